/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's virtiod-net, virtiod-switch, and a peer that the switch dials: one of the programs is
 * killed under load, and frames go on both ways. argv[2]: how often; argv[3]: the switch.
 */
#include "daemon/devices/net/test_net_load.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/kit_core.h"

#ifdef SANITIZED
#define SANDBOX "--sandbox=none"
#else
#define SANDBOX "--sandbox=strict"
#endif

static const char *program;

/* Starts the switch, which ends with the test. */
static pid_t start_switch(struct kit *k)
{
	g_autofree char *listen = g_strconcat("--listen=unix:", kit_path(k, "switch"), NULL);
	g_autofree char *port = g_strconcat("--port=stream=unix:", kit_path(k, "peer"), NULL);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(program, program, listen, port, SANDBOX, "--log-level=error", NULL);
		_exit(127);
	}
	return pid;
}

static void stop_switch(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	status = test_wait_child(pid);
	assert_true(WIFSIGNALED(status));
}

static pid_t begin(struct kit *k, struct net_load *l)
{
	g_autofree char *option = g_strconcat("--stream=unix:", kit_path(k, "switch"), NULL);
	struct net_peer *p = peer_new(k, "peer");
	pid_t pid = start_switch(k);

	kit_start(k, option, "--mac=" MAC_TEXT, NULL);
	load_begin(l, k, p);
	load_goes_on(l);
	return pid;
}

static void test_switch(struct kit *k)
{
	unsigned kills = kit_rounds(k, 4);
	struct net_load l;
	pid_t pid = begin(k, &l);

	for (unsigned i = 0; i < kills; i++) {
		load_both_ways(&l);
		stop_switch(pid);
		pid = start_switch(k);
		load_goes_on(&l);
	}
	stop_switch(pid);
	peer_free(l.p);
}

static void test_port(struct kit *k)
{
	unsigned kills = kit_rounds(k, 4);
	struct net_load l;
	pid_t pid = begin(k, &l);

	for (unsigned i = 0; i < kills; i++) {
		load_both_ways(&l);
		kit_restart(k);
		load_goes_on(&l);
	}
	stop_switch(pid);
	peer_free(l.p);
}

static const struct kit_test tests[] = {
	{ "switch", test_switch, .skip = KIT_NO_PAUSE | KIT_NO_KILL | KIT_NO_HOSTILE },
	{ "port", test_port, .skip = KIT_NO_PAUSE | KIT_NO_KILL | KIT_NO_HOSTILE },
};

int main(int argc, char **argv)
{
	if (argc < 4)
		return EXIT_FAILURE;
	program = argv[3];
	return kit_main(tests, G_N_ELEMENTS(tests), 3, argv);
}

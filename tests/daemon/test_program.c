/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, the socket and the end of a daemon. argv[1] is virtiod-toy. */
#include "base/option.h"
#include "tests/daemon/program.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/sock.h"
#include "base/util.h"
#include "vhost-user/wire/vu_proto.h"

static void test_prints(void **state)
{
	g_autofree char *out = NULL, *version = NULL, *help = NULL;
	struct running c = START(-1, NULL, "--bogus", "--print-capabilities", "--color=blue");

	assert_int_equal(end(&c, &out, NULL), 0);
	assert_string_equal(out,
		"{\n  \"type\": \"input\",\n  \"features\": [\n"
		"    \"color\",\n    \"shape\"\n  ]\n}\n");
	c = START(-1, NULL, "--version");
	assert_int_equal(end(&c, &version, NULL), 0);
	assert_string_equal(version, "virtiod-toy " VIRTIOD_VERSION "\n");
	c = START(-1, NULL, "--help");
	assert_int_equal(end(&c, &help, NULL), 0);
	assert_non_null(strstr(help, "a toy"));
	assert_non_null(strstr(help, "--color=COLOR"));
	assert_non_null(strstr(help, "--socket-path=PATH"));
}

static void test_bad_options(void **state)
{
	const struct {
		const char *option[2];
		const char *message;
		int status; /* 0: EXIT_USAGE */
	} bad[] = {
		{ { "--bogus", NULL }, "--bogus" },
		{ { "stray", NULL }, "unexpected argument 'stray'" },
		{ { NULL }, "one of --socket-path=PATH and --fd=N is needed" },
		{ { path_option, "--fd=0" }, "exclude each other" },
		{ { "--fd=0", "--socket-mode=0600" }, "exclude each other" },
		{ { "--fd=-1", NULL }, "invalid --fd=-1: a number from 0 to 2147483647" },
		{ { path_option, "--one-off=maybe" }, "invalid --one-off=maybe: on or off" },
		{ { "--fd=77", NULL }, "77", EXIT_FAILURE },
		{ { "--fd=1", NULL }, "1", EXIT_FAILURE },
		{ { path_option, "--color=blue" }, "'blue' is not red", EXIT_FAILURE },
		{ { path_option, "--socket-mode=999" }, "--socket-mode=999" },
		{ { path_option, "--socket-group=no-such-group" }, "no-such-group" },
		{ { path_option, "--log-level=loud" }, "--log-level=loud" },
		{ { path_option, "--probe=maybe" }, "--probe=maybe" },
		{ { path_option, "--xen=perhaps" }, "--xen=perhaps" },
		{ { path_option, "--stats=0" }, "--stats=0" },
		{ { path_option, "--stats=often" }, "--stats=often" },
		{ { path_option, "--xen-copy=19" }, "--xen-copy=19" },
		{ { path_option, "--workers=0" }, "invalid --workers=0: a number from 1 to 64" },
		{ { path_option, "--workers=65" }, "--workers=65" },
		{ { path_option, "--cpu-list=0,2-" },
			"invalid --cpu-list=0,2-: a list of CPU numbers such as 0,2-3" },
		{ { path_option, "--cpu-list=2-1" }, "--cpu-list=2-1" },
		{ { path_option, "--cpu-list=" }, "invalid --cpu-list=: " },
		{ { path_option, "--cpu-list=1024" }, "--cpu-list=1024" },
		{ { path_option, "--cpu-list=1023" }, "worker 0: cannot start it on CPU 1023",
			EXIT_FAILURE },
		{ { path_option, "--poll-us=1001" }, "--poll-us=1001" },
		{ { path_option, "--poll-us=-1" }, "--poll-us=-1" },
		{ { path_option, "--run-as=no-such-user" }, "--run-as=no-such-user: " },
		{ { path_option, "--run-as=root" }, "--run-as=root: " },
		{ { path_option, "--chroot=/" }, "--chroot=/: needs --run-as" },
		{ { "--socket-path=/nowhere/at/all", NULL }, "/nowhere/at/all", EXIT_FAILURE },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		struct running c = start(-1, NULL,
			(const char *[]){ bad[i].option[0],
				bad[i].option[0] ? bad[i].option[1] : NULL, NULL });

		assert_ends(&c, bad[i].status ? bad[i].status : EXIT_USAGE, bad[i].message);
	}
}

static void test_one_after_the_other(void **state)
{
	struct running c = START(-1, NULL, path_option, "--color=red", "--workers=3",
		"--cpu-list=0,0-0", "--poll-us=auto");
	int first = dial(), second;
	struct stat st, later;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(is_served(first));
	second = dial();
	assert_false(is_served(second));
	close(second);
	assert_true(is_served(first));
	close(first);
	/* The same socket goes on. */
	for (int i = 0; i < 3; i++) {
		second = dial();
		assert_true(is_served(second));
		close(second);
	}
	assert_int_equal(stat(path, &later), 0);
	assert_int_equal(later.st_ino, st.st_ino);
	assert_int_equal(kill(c.pid, SIGHUP), 0);
	second = dial();
	assert_int_equal(kill(c.pid, SIGTERM), 0);
	assert_ends(&c, 0, "busy: another front-end was turned away");
	close(second);
	assert_int_equal(access(path, F_OK), -1);
}

/* Where no device of Xen's is, auto means off. */
static void test_xen(void **state)
{
	const struct vu_header ask = { VU_GET_PROTOCOL_FEATURES, VU_VERSION, 0 };
	bool xen_host =
		access("/dev/xen/privcmd", F_OK) == 0 || access("/dev/xen/gntdev", F_OK) == 0;
	const struct {
		const char *option;
		bool offered;
	} cases[] = {
		{ "--xen=on", true },
		{ "--xen=off", false },
		{ "--xen=auto", xen_host },
		{ NULL, xen_host },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct running c = START(-1, NULL, path_option, cases[i].option);
		uint8_t reply[sizeof(ask) + sizeof(uint64_t)];
		uint64_t features;
		int fd = dial();

		assert_int_equal(send(fd, &ask, sizeof(ask), MSG_NOSIGNAL), sizeof(ask));
		assert_int_equal(recv(fd, reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
		memcpy(&features, reply + sizeof(ask), sizeof(features));
		assert_int_equal(features >> VU_F_XEN_MMAP & 1, cases[i].offered);
		/* What it has mapped is asked for, and no reason to end. */
		assert_int_equal(kill(c.pid, SIGUSR1), 0);
		assert_true(is_served(fd));
		assert_true(is_served(fd));
		assert_int_equal(kill(c.pid, SIGTERM), 0);
		assert_ends(&c, 0, "Xen memory: 0 pages mapped");
		close(fd);
	}
}

/* Periodically, also without a front-end. */
static void test_stats(void **state)
{
	struct running c = START(-1, NULL, path_option, "--stats=1");
	g_autoptr(GString) text = g_string_new(NULL);
	char byte;

	while (!strstr(text->str, "Xen memory: ") || text->str[text->len - 1] != '\n') {
		assert_int_equal(read(c.err, &byte, 1), 1);
		g_string_append_c(text, byte);
	}
	assert_non_null(strstr(text->str, "queue 0: 0 requests served"));
	assert_int_equal(kill(c.pid, SIGTERM), 0);
	assert_ends(&c, 0, "");
}

static void test_socket_file(void **state)
{
	g_autofree char *group = g_strdup_printf("--socket-group=%u", (unsigned)getgid());
	struct running c = START(-1, NULL, path_option, "--socket-mode=0660", group), second;
	int fd = dial();
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(st.st_gid, getgid());
	second = START(-1, NULL, path_option);
	assert_ends(&second, 1, "another process serves it");
	/* It does not take away what another has put in its place. */
	assert_int_equal(unlink(path), 0);
	second = START(-1, NULL, path_option);
	close(fd);
	fd = dial();
	assert_int_equal(kill(c.pid, SIGTERM), 0);
	assert_ends(&c, 0, "listening at");
	assert_int_equal(access(path, F_OK), 0);
	c = second;
	/* Killed, it leaves the file, which the next one replaces. */
	assert_int_equal(kill(c.pid, SIGKILL), 0);
	assert_int_equal(waitpid(c.pid, NULL, 0), c.pid);
	close(c.out);
	close(c.err);
	close(fd);
	assert_int_equal(access(path, F_OK), 0);
	/* A connection that sends nothing (another daemon's check) is not the one front-end. */
	c = START(-1, NULL, path_option, "--one-off");
	for (int i = 0; i < 3; i++)
		close(dial());
	fd = dial();
	assert_true(is_served(fd));
	close(fd);
	assert_ends(&c, 0, "disconnected");
	assert_int_equal(access(path, F_OK), -1);
}

static void test_inherited(void **state)
{
	g_autofree char *env = g_strconcat("NOTIFY_SOCKET=", path, NULL);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int pair[2], fd, notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char state_text[32] = "";
	struct running c;

	/* Connected: it ends with its front-end. And systemd hears that it is ready. */
	strcpy(address.sun_path, path);
	assert_int_equal(bind(notify, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	c = START(pair[1], env, "--fd=3");
	close(pair[1]);
	assert_true(is_served(pair[0]));
	assert_true(recv(notify, state_text, sizeof(state_text) - 1, 0) > 0);
	assert_string_equal(state_text, "READY=1");
	close(pair[0]);
	assert_ends(&c, 0, "disconnected");
	close(notify);
	assert_int_equal(unlink(path), 0);

	/* Listening, as --fd and by socket activation; the file is not ours to remove. */
	fd = sock_listen(path, 0600, (gid_t)-1, NULL);
	for (int activated = 0; activated < 2; activated++) {
		if (activated)
			c = START(fd, "LISTEN_FDS=1", "--log-level=debug");
		else
			c = START(fd, NULL, "--fd=3");
		for (int i = 0; i < 2; i++) {
			pair[0] = dial();
			assert_true(is_served(pair[0]));
			close(pair[0]);
		}
		assert_int_equal(kill(c.pid, SIGINT), 0);
		assert_ends(&c, 0, "connected");
		assert_int_equal(access(path, F_OK), 0);
	}
	c = START(fd, "LISTEN_FDS=2", "--log-level=debug");
	assert_ends(&c, 1, "passed 2 sockets");
	close(fd);
	assert_int_equal(unlink(path), 0);
}

/* SIGHUP and SIGUSR1 before the program handles them wait until it does. */
static void test_signals_at_the_start(void **state)
{
	struct running c = START(-1, NULL, path_option, "--early-signals");
	int fd = dial();

	assert_true(is_served(fd));
	assert_int_equal(kill(c.pid, SIGTERM), 0);
	assert_ends(&c, 0, "Xen memory: ");
	close(fd);
}

/* SIGTERM may come at any time while the program ends by itself: the status is 0 all the same. */
static void test_terminated_at_the_end(void **state)
{
	unsigned n = 100 / test_patience(); /* programs start and end slowly there */
	int pair[2];

	for (unsigned i = 0; i < n; i++) {
		struct running c;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		c = START(pair[1], NULL, "--fd=3");
		close(pair[1]);
		assert_int_equal(is_served(pair[0]), 1);
		close(pair[0]);
		test_pause(i * 3000 / n);
		kill(c.pid, SIGTERM);
		assert_ends(&c, 0, "");
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(program, test_prints),
		TEST_WITH(program, test_bad_options),
		TEST_WITH(program, test_one_after_the_other),
		TEST_WITH(program, test_xen),
		TEST_WITH(program, test_stats),
		TEST_WITH(program, test_socket_file),
		TEST_WITH(program, test_inherited),
		TEST_WITH(program, test_signals_at_the_start),
		TEST_WITH(program, test_terminated_at_the_end),
	};

	program = argv[1];
	return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that executes its commands, or, by its mode, does something that no worker may. */
#include "tests/lib/test.h"

#include "base/util.h"
#include "hostile_worker.h"
#include "supervisor_world.h"
#include "xen/ipc.h"

static char *mode;
static int record_fd;

static void record(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void record(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vdprintf(record_fd, format, args);
	va_end(args);
}

static bool is_mode(const char *verb, const char *what)
{
	g_autofree char *text = g_strdup_printf("%s %s", verb, what);

	return g_strcmp0(mode, text) == 0;
}

static void say(int fd, uint32_t type, uint32_t device)
{
	const struct ipc_event event = { .type = type, .device = device };

	ipc_send(fd, &event, sizeof(event), NULL, 0);
}

static int call(struct ipc_client *c, struct ipc_request request, struct ipc_reply *reply)
{
	int fds[IPC_MAX_FDS];
	unsigned n;

	if (!ipc_call(c, &request, reply, fds, &n))
		exit(2);
	for (unsigned i = 0; i < n; i++)
		fd_close(&fds[i]);
	return n;
}

static void add(struct ipc_client *c, const struct ipc_device *d, unsigned n_fds)
{
	struct ipc_reply dial, made, assigned[2];
	int n = call(c, (struct ipc_request){ .type = IPC_DIAL, .device = d->device }, &dial);

	for (unsigned which = IPC_KICK; which <= IPC_CALL; which++) {
		struct ipc_request request = {
			.type = IPC_EVENTFD, .device = d->device, .which = which, .on = 1
		};

		call(c, request, &made);
		request.type = IPC_ASSIGN;
		call(c, request, &assigned[which]);
	}
	record("ADD %u \"%s\" at 0x%x fds %u dial %d kept %u with %d assign %d %d\n", d->device,
		d->name, (unsigned)d->base, n_fds, dial.err, dial.kept, n, assigned[0].err,
		assigned[1].err);
}

/* Does what no worker may do; the supervisor must end it for each. */
static void misbehave(int commands, int requests, const struct ipc_device *d)
{
	const struct ipc_request bad = { .type = 77, .device = d->device };

	if (mode && g_str_has_prefix(mode, "hostile "))
		hostile_worker_act(atoi(mode + strlen("hostile ")), commands, requests, d->device);
	else if (g_strcmp0(mode, "event") == 0)
		say(commands, 77, 0);
	else if (g_strcmp0(mode, "removed") == 0)
		say(commands, IPC_REMOVED, d->device);
	else if (g_strcmp0(mode, "request") == 0)
		ipc_send(requests, &bad, sizeof(bad), NULL, 0);
	else if (g_strcmp0(mode, "short") == 0)
		ipc_send(requests, &bad, 1, NULL, 0);
	else if (g_strcmp0(mode, "close") == 0)
		close(commands);
	else
		return;
	for (;;)
		pause();
}

static void obey(int commands, int requests, struct ipc_client *c, const struct ipc_command *o,
	unsigned n_fds)
{
	static const char *const names[] = { [IPC_GUEST] = "GUEST",
		[IPC_ADD] = "ADD",
		[IPC_REMOVE] = "REMOVE",
		[IPC_COUNTERS] = "COUNTERS",
		[IPC_QUIT] = "QUIT" };

	if (is_mode("die", names[o->type]))
		abort();
	if (is_mode("deaf", names[o->type]))
		return;
	switch (o->type) {
	case IPC_GUEST:
		record("GUEST %s %u fds %u uid %u vcpus %u\n", o->guest.name, o->guest.domid, n_fds,
			o->guest.uid, o->guest.vcpus);
		say(commands, IPC_READY, 0);
		break;
	case IPC_ADD:
		misbehave(commands, requests, &o->add);
		add(c, &o->add, n_fds);
		if (g_strcmp0(mode, "give up") == 0 && o->add.device == 0)
			for (unsigned i = 0; i < 2; i++)
				say(commands, IPC_GIVEN_UP, i ? 0 : UINT32_MAX);
		break;
	case IPC_REMOVE:
		record("REMOVE %u\n", o->device);
		say(commands, IPC_REMOVED, o->device);
		break;
	default:
		record("%s\n", names[o->type]);
		if (o->type == IPC_QUIT)
			exit(0);
	}
}

static void fake_worker(int commands, int requests)
{
	struct ipc_client *c = ipc_client_new(dup(requests));
	struct pollfd pfd = { .fd = commands, .events = POLLIN };
	struct ipc_command command;
	int fds[IPC_MAX_FDS];
	unsigned n;

	if (g_strcmp0(mode, "sleep") == 0)
		pause();
	while (poll(&pfd, 1, -1) > 0 &&
		ipc_receive(commands, &command, sizeof(command), fds, &n) == 1) {
		for (unsigned i = 0; i < n; i++)
			fd_close(&fds[i]);
		obey(commands, requests, c, &command, n);
	}
}

void fake_worker_if_asked(int argc, char **argv)
{
	const char *mode_file = g_getenv("FAKE_WORKER_MODE");
	unsigned n_fds = count_fds();

	if (argc != 6 || strcmp(argv[1], "worker") != 0)
		return;
	record_fd = open(
		g_getenv("FAKE_WORKER_RECORD"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (g_file_get_contents(mode_file, &mode, NULL, NULL))
		unlink(mode_file);
	/* Those of readdir's ".", "..", its own fd, and three for input and output. */
	record("START %d \"%s\" %s %s sockets %u\n", getpid(), argv[0], argv[4], argv[5],
		n_fds - 6);
	fake_worker(atoi(argv[2]), atoi(argv[3]));
	exit(0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's side of the IPC: commands and replies of any content, a device's state as a
 * predecessor left it, guest accesses that came before it, back-ends that answer as they like.
 */
#include "tests/fuzz/fuzz.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/sock.h"
#include "base/util.h"
#include "tests/fuzz/hostile.h"
#include "tests/lib/test.h"
#include "tests/xen/fake_host.h"
#include "vmm/vmm_dev.h"
#include "xen/ipc.h"
#include "xen/worker/worker.h"

#define MAX_COMMANDS 8
#define MAX_BACKENDS 8
#define QUIET_MS 2

static struct fuzz_input *input; /* the thread's, once it runs */
static int commands[2], requests[2], events[2], state, journal, area;
static struct hostile_backend *backends[MAX_BACKENDS];
static unsigned n_backends;

static void setup(void)
{
	autofd fd = memfd_create("host", MFD_CLOEXEC);

	g_assert_true(fake_host_map(fd));
}

static int connect_backend(int fds[3])
{
	if (n_backends == MAX_BACKENDS)
		return EAGAIN;
	backends[n_backends++] = hostile_start(fuzz_part(input, fuzz_u8(input)), &fds[0]);
	g_assert_true(sock_pair(fds + 1));
	return 0;
}

static void reply_to(const struct ipc_request *r)
{
	struct ipc_reply reply = { .config_size = -1 };
	uint8_t how = fuzz_u8(input);
	int fds[IPC_MAX_FDS];
	unsigned n = 0;
	size_t size;

	switch (r->type) {
	case IPC_DIAL:
		reply.err = connect_backend(fds);
		n = reply.err ? 0 : 3;
		break;
	case IPC_EVENTFD:
		fds[n++] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		break;
	case IPC_KEEP:
		fds[n++] = fcntl(area, F_DUPFD_CLOEXEC, 0);
		break;
	}
	if (how & 1)
		fuzz_copy(input, &reply, fuzz_u8(input));
	size = how & 2 ? 1 + fuzz_u8(input) : sizeof(reply); /* without a reply, it waits */
	ipc_send(requests[0], &reply, size, fds, how & 4 ? fuzz_u8(input) % (n + 1) : n);
	fds_close(fds, n);
}

/* Answers requests until none come; then QUIT. */
static void *supervise(void *opaque)
{
	static const struct ipc_command quit = { .type = IPC_QUIT };
	struct pollfd p = { .fd = requests[0], .events = POLLIN };
	struct ipc_request r;
	unsigned n;
	int fds[IPC_MAX_FDS], ready;

	do {
		ready = poll(&p, 1, QUIET_MS);
		if (!ready)
			ipc_send(commands[0], &quit, sizeof(quit), NULL, 0);
		else if (ipc_receive(requests[0], &r, sizeof(r), fds, &n) != 1)
			break;
		else {
			fds_close(fds, n);
			reply_to(&r);
		}
	} while (true);
	return NULL;
}

/* Sends a command. GUEST and ADD are mostly valid: what is not ends the worker. */
static void send_command(struct fuzz_input *in)
{
	struct ipc_command c = { .type = fuzz_u8(in) % 7 };
	uint8_t how = fuzz_u8(in);
	size_t size;
	int fds[] = { events[1], state, journal, state };
	unsigned n = c.type == IPC_GUEST ? 3 : 0;

	if (c.type == IPC_GUEST) {
		c.guest = (struct ipc_guest){ .name = "web",
			.domid = 5,
			.vcpus = 2,
			.servers = 2,
			.server = { { 0, { 1, 2 } }, { 1, { 3, 4 } } },
			.banks = 1,
			.bank = { { 0x40000000, 0x8000000 } } };
		fds[1] = journal;
	} else if (c.type == IPC_ADD) {
		c.add = (struct ipc_device){ .device = how >> 3 & 3,
			.name = "web/0",
			.base = 0x2000000,
			.window = 0x200,
			.irq = 33,
			.wait_ms = 1 };
		fds[0] = state;
		n = 1;
	}
	if (how & 1) {
		uint16_t at = fuzz_u16(in) % (sizeof(c) - 64);

		fuzz_copy(in, (uint8_t *)&c + 4 + at, fuzz_u8(in) % 60);
	}
	/* The fake's own limit. */
	if (c.type == IPC_GUEST)
		c.guest.server[0].id = c.guest.server[1].id = 0;
	size = how & 2 ? fuzz_u16(in) % sizeof(c) : sizeof(c);
	ipc_send(commands[0], &c, size, fds, how & 4 ? fuzz_u8(in) % (n + 1) : n);
}

/* Writes a predecessor's state, and its vCPUs' requests. */
static void write_past(struct fuzz_input *in)
{
	uint8_t bytes[64];

	memset(fake_host, 0, sizeof(*fake_host));
	for (unsigned i = fuzz_u8(in) % 8; i; i--) {
		uint16_t at = fuzz_u16(in), len = fuzz_u8(in) % sizeof(bytes);

		fuzz_copy(in, bytes, len);
		g_assert_cmpint(pwrite(state, bytes, len, at), ==, len);
	}
	for (unsigned i = fuzz_u8(in) % 4; i; i--)
		fuzz_copy(in, &fake_host->page[0][i], sizeof(fake_host->page[0][i]));
	for (unsigned i = fuzz_u8(in) % 4; i; i--) {
		uint32_t port = fuzz_u8(in) % 6;

		g_assert_cmpint(write(events[0], &port, sizeof(port)), ==, sizeof(port));
	}
}

static void open_files(void)
{
	state = memfd_create("state", MFD_CLOEXEC);
	journal = memfd_create("journal", MFD_CLOEXEC);
	area = memfd_create("area", MFD_CLOEXEC);
	if (ftruncate(state, IPC_STATE_SIZE) || ftruncate(area, 0x4000) ||
		ftruncate(journal, IPC_MAX_SERVERS * sizeof(struct ipc_journal)) ||
		!sock_pair_records(commands) || !sock_pair_records(requests) ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, events))
		abort();
}

static void run(struct fuzz_input *in)
{
	struct fuzz_input own = fuzz_part(in, fuzz_u16(in) % 1024);
	pthread_t supervisor;

	input = in;
	n_backends = 0;
	open_files();
	write_past(&own);
	for (unsigned i = 0; i < MAX_COMMANDS && fuzz_more(&own); i++)
		send_command(&own);
	g_assert_cmpint(pthread_create(&supervisor, NULL, supervise, NULL), ==, 0);
	worker_run(commands[1], requests[1]);
	pthread_join(supervisor, NULL);
	for (unsigned i = 0; i < n_backends; i++)
		hostile_join(backends[i]);
	close(commands[0]);
	close(requests[0]);
	close(events[0]);
	close(events[1]);
	close(state);
	close(journal);
	close(area);
}

FUZZ_TARGET(worker, .setup = setup, .run = run);

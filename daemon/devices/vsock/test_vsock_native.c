/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-vsock at sockets of the host's kernel. Skipped where that has no loopback for them;
 * tests/e2e-qemu runs it in a guest that has.
 */
#include "daemon/devices/vsock/test_vsock.h"

#include <errno.h>
#include <linux/vm_sockets.h>

#define LOCAL 1
#define SMALL 4096 /* bytes that the kernel keeps */
#define BLOCK 2048
#define BLOCKS 40

static struct sockaddr_vm at_port(uint32_t port)
{
	return (struct sockaddr_vm){ .svm_family = AF_VSOCK, .svm_cid = LOCAL, .svm_port = port };
}

/* Listens at a port that is free; -1: the kernel cannot. */
static int listen_native(uint32_t *port)
{
	struct sockaddr_vm a = at_port(VMADDR_PORT_ANY);
	autofd fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const uint64_t size = SMALL;
	socklen_t len = sizeof(a);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -1;
	setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_MIN_SIZE, &size, sizeof(size));
	setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof(size));
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = a.svm_port;
	return fd_steal(&fd);
}

static uint32_t free_port(void)
{
	uint32_t port;
	int fd = listen_native(&port);

	close(fd);
	return port;
}

static struct vsock_guest start(struct kit *k, const char *option, const char *more)
{
	struct vsock_guest g = guest_new(k);

	kit_start(k, "--guest-cid=77", option, more, NULL);
	guest_listen(&g);
	return g;
}

static void test_to_host(struct kit *k)
{
	struct vsock_guest g = start(k, "--native", NULL);
	autofd listener = listen_native(&g.port), fd = guest_connect(&g, listener);

	host_say(fd, "question");
	guest_hear(&g, "question");
	guest_say(&g, "answer");
	host_hear(k, fd, "answer");
	guest_send(&g, OP(SHUTDOWN), VSOCK_NO_SEND, NULL, 0);
	host_expect_end(k, fd);
	host_say(fd, "rest");
	guest_hear(&g, "rest");
	fd_close(&fd);
	guest_expect_shutdown(&g, VSOCK_NEITHER);
}

/* What the kernel does not take is kept, and goes on when it does. */
static void test_slow_reader(struct kit *k)
{
	struct vsock_guest g = start(k, "--native", NULL);
	autofd listener = listen_native(&g.port), fd = guest_connect(&g, listener);
	uint8_t block[BLOCK], got[BLOCK];

	for (unsigned i = 0; i < BLOCKS; i++) {
		memset(block, (int)i, sizeof(block));
		guest_send(&g, OP(RW), 0, block, sizeof(block));
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		size_t done = 0;

		while (done < sizeof(got)) {
			ssize_t n;

			host_wait(k, fd, POLLIN);
			n = read(fd, got + done, sizeof(got) - done);
			assert_true(n > 0);
			done += (size_t)n;
		}
		memset(block, (int)i, sizeof(block));
		assert_memory_equal(got, block, sizeof(block));
	}
}

static void test_forwarded(struct kit *k)
{
	struct vsock_guest g = start(k, "--native", "--forward-cid=1");
	autofd listener = listen_native(&g.port), fd = -1;

	g.cid = LOCAL;
	fd = guest_connect(&g, listener);
	guest_say(&g, "text");
	host_hear(k, fd, "text");
}

static void test_refused(struct kit *k)
{
	struct vsock_guest g = start(k, "--native", NULL);
	autofd listener = -1;

	g.port = free_port();
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	listener = listen_native(&g.port);
	g.type = SEQPACKET;
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	g.type = STREAM;
	g.cid = LOCAL;
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	assert_int_equal(sock_accept(listener), -1);
}

/* Returns a connection of a process of the host to a port that the guest is asked for. */
static int call(struct vsock_guest *g, uint32_t port)
{
	const struct sockaddr_vm a = at_port(port);
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct vsock_packet *s;

	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	s = guest_next(g);
	assert_int_equal(le16toh(s->h.op), OP(REQUEST));
	assert_int_equal(le64toh(s->h.src_cid), VSOCK_HOST_CID);
	assert_int_equal(le32toh(s->h.dst_port), port);
	g->guest_port = port;
	g->port = le32toh(s->h.src_port);
	return fd;
}

static void test_from_host(struct kit *k)
{
	uint32_t port = free_port();
	g_autofree char *option = g_strdup_printf("--native-port=%u", port);
	struct vsock_guest g = start(k, option, uds(k));
	autofd fd = call(&g, port);

	guest_send(&g, OP(RESPONSE), 0, NULL, 0);
	host_say(fd, "question");
	guest_hear(&g, "question");
	guest_say(&g, "answer");
	host_hear(k, fd, "answer");
	fd_close(&fd);
	guest_expect_shutdown(&g, VSOCK_NEITHER);
	guest_send(&g, OP(RST), 0, NULL, 0);
	fd = call(&g, port);
	guest_send(&g, OP(RST), 0, NULL, 0);
	host_expect_end(k, fd);
}

static const struct kit_test tests[] = {
	{ "to the host", test_to_host, .skip = KIT_NO_KILL },
	{ "slow reader", test_slow_reader, .skip = KIT_NO_KILL | KIT_NO_HOSTILE },
	{ "forwarded", test_forwarded, .skip = KIT_NO_KILL },
	{ "refused", test_refused, .skip = KIT_NO_KILL },
	{ "from the host", test_from_host, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	uint32_t port;
	autofd fd = listen_native(&port);

	if (fd < 0) {
		fprintf(stderr, "SKIPPED: the kernel has no loopback for AF_VSOCK (%s)\n",
			g_strerror(errno));
		return 77;
	}
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-vsock: connections of the host, and clients that do not behave. */
#include "daemon/devices/vsock/test_vsock.h"

/* Returns a client at PATH that has sent this. */
static int client(struct kit *k, const char *text)
{
	int fd = sock_connect(kit_path(k, "v"), NULL);

	assert_true(fd >= 0);
	if (*text)
		host_say(fd, text);
	return fd;
}

/* Takes the request of a client, whose port is new. */
static void expect_request(struct vsock_guest *g, uint32_t port)
{
	const struct vsock_packet *s = guest_next(g);

	assert_int_equal(le16toh(s->h.op), OP(REQUEST));
	assert_int_equal(le16toh(s->h.type), STREAM);
	assert_int_equal(le64toh(s->h.src_cid), VSOCK_HOST_CID);
	assert_int_equal(le64toh(s->h.dst_cid), CID);
	assert_int_equal(le32toh(s->h.dst_port), port);
	g->port = le32toh(s->h.src_port);
	g->guest_port = port;
}

static void expect_ok(struct vsock_guest *g, int fd)
{
	g_autofree char *line = g_strdup_printf("OK %u\n", g->port);

	host_hear(g->k, fd, line);
}

static void test_connect(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL), other = g;
	autofd fd = client(k, "CONNECT 52\n"), fd2 = -1;

	expect_request(&g, 52);
	guest_send(&g, OP(RESPONSE), 0, NULL, 0);
	expect_ok(&g, fd);
	host_say(fd, "question");
	guest_hear(&g, "question");
	guest_say(&g, "answer");
	host_hear(k, fd, "answer");
	/* To the same port. */
	fd2 = client(k, "CONNECT 52\n");
	other.next = g.next;
	expect_request(&other, 52);
	assert_int_not_equal(other.port, g.port);
	guest_send(&other, OP(RESPONSE), 0, NULL, 0);
	expect_ok(&other, fd2);
	guest_say(&other, "two");
	host_hear(k, fd2, "two");
}

/* Data may follow the line at once, and the line may come in parts. */
static void test_eager(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd fd = client(k, "CONNECT 4294967294\nquestion"), fd2 = -1;
	struct kit_request none = { 0 };

	expect_request(&g, 4294967294);
	assert_false(guest_has_packet(&g)); /* not before the guest has accepted */
	guest_send(&g, OP(RESPONSE), 0, NULL, 0);
	guest_hear(&g, "question");
	expect_ok(&g, fd);
	fd2 = client(k, "CONN");
	for (const char *rest = "ECT 7\n"; *rest; rest++) {
		const char text[] = { *rest, '\0' };

		kit_is_done(k, &none);
		host_say(fd2, text);
	}
	expect_request(&g, 7);
}

static void test_guest_refuses(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd fd = client(k, "CONNECT 52\n");

	expect_request(&g, 52);
	guest_send(&g, OP(RST), 0, NULL, 0);
	host_expect_end(k, fd);
	/* What is no answer ends it, too. */
	fd_close(&fd);
	fd = client(k, "CONNECT 52\n");
	expect_request(&g, 52);
	guest_say(&g, "data");
	guest_expect(&g, OP(RST));
	host_expect_end(k, fd);
}

/* A client that leaves before the guest has answered. */
static void test_client_leaves(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd fd = client(k, "CONNECT 52\n");

	expect_request(&g, 52);
	fd_close(&fd);
	guest_expect(&g, OP(RST));
	guest_send(&g, OP(RESPONSE), 0, NULL, 0);
	guest_expect(&g, OP(RST));
}

static void test_bad_lines(struct kit *k)
{
	static const char *const lines[] = { "\n", "CONNECT\n", "CONNECT \n", "CONNECT -1\n",
		"CONNECT 4294967295\n", "CONNECT 99999999999999999999\n", "connect 1\n",
		"CONNECT 1 2\n", "GET / HTTP/1.1\r\n",
		"CONNECT 00000000000000000000000000000000000000001\n",
		"................................................................" };
	struct vsock_guest g = guest_start(k, NULL);

	for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
		autofd fd = client(k, lines[i]);

		host_expect_end(k, fd);
	}
	assert_false(guest_has_packet(&g));
}

/* Clients that say nothing, or half of it, and leave. */
static void test_silent(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	struct kit_request none = { 0 };

	for (unsigned i = 0; i < 20; i++) {
		int fd = client(k, i % 2 ? "CONNECT 1" : "");

		kit_is_done(k, &none);
		close(fd);
	}
	while (!strstr(kit_call(k, "counters", ""), "\"connections\":0,"))
		kit_is_done(k, &none);
	assert_false(guest_has_packet(&g));
}

/* They hold places, for a time. */
static void test_timeouts(struct kit *k)
{
	struct vsock_guest g = guest_start(k, "--max-connections=2");
	autofd silent = client(k, "CONN"), asked = client(k, "CONNECT 1\n"), third = -1;
	autofd listener = host_listen(k, PORT, SOCK_STREAM);

	expect_request(&g, 1);
	third = client(k, "");
	host_expect_end(k, third);
	g.port = PORT;
	g.guest_port = GUEST_PORT;
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	kit_core_hurry(kit_core(k));
	host_expect_end(k, silent);
	kit_core_hurry(kit_core(k));
	host_expect_end(k, asked);
	assert_int_equal(le16toh(guest_next(&g)->h.op), OP(RST));
	fd_close(&third);
	third = guest_connect(&g, listener);
}

/* A host that accepts late: the guest waits meanwhile, and other connections do not. */
static void test_full_backlog(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL), waits;
	autofd listener = host_listen(k, PORT, SOCK_STREAM), other = -1, fd = -1, fd2 = -1;

	assert_int_equal(listen(listener, 0), 0);
	fd = sock_connect(kit_path(k, "v_1024"), NULL);
	waits = g;
	guest_send(&waits, OP(REQUEST), 0, NULL, 0);
	assert_false(guest_has_packet(&g));
	other = host_listen(k, PORT + 1, SOCK_STREAM);
	g.port++;
	fd2 = guest_connect(&g, other);
	fd_close(&fd);
	fd = host_accept(k, listener);
	waits.next = g.next;
	guest_expect(&waits, OP(RESPONSE));
}

/* Lets the time be over that the device tries to connect. */
static void lose_patience(struct kit_core *core)
{
	struct vsock *v = core->device.data;

	for (unsigned i = 0; i < v->max_conns; i++) {
		if (v->conn[i].state == VSOCK_DIALLING)
			v->conn[i].dial_end = 1;
	}
}

/* A host that never accepts. */
static void test_no_accept(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = -1;

	assert_int_equal(listen(listener, 0), 0);
	fd = sock_connect(kit_path(k, "v_1024"), NULL);
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	if (kit_core(k)) {
		assert_false(guest_has_packet(&g));
		lose_patience(kit_core(k));
	}
	guest_expect(&g, OP(RST));
}

static const struct kit_test tests[] = {
	{ "connect", test_connect, .skip = KIT_NO_KILL },
	{ "eager client", test_eager, .skip = KIT_NO_KILL },
	{ "guest refuses", test_guest_refuses, .skip = KIT_NO_KILL },
	{ "client leaves", test_client_leaves, .skip = KIT_NO_KILL },
	{ "bad lines", test_bad_lines, .skip = KIT_NO_KILL },
	{ "silent clients", test_silent, .skip = KIT_NO_KILL },
	{ "timeouts", test_timeouts,
		.skip = KIT_NO_KILL | KIT_NO_PAUSE | KIT_NO_HOSTILE | KIT_NO_PROCESS },
	{ "full backlog", test_full_backlog, .skip = KIT_NO_KILL },
	{ "no accept", test_no_accept, .skip = KIT_NO_KILL | KIT_NO_PAUSE | KIT_NO_HOSTILE },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

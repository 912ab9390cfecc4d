/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-vsock: connections of the guest, what ends them, and what is refused. */
#include "daemon/devices/vsock/test_vsock.h"

static void test_config(struct kit *k)
{
	uint64_t cid;

	guest_start(k, NULL);
	kit_config_read(k, 0, &cid, sizeof(cid));
	assert_int_equal(le64toh(cid), CID);
}

static void test_options(struct kit *k)
{
	kit_start_fails(k, "--uds-path=PATH is missing", NULL);
	kit_start_fails(k, "guest-cid", uds(k), "--guest-cid=2", NULL);
	kit_start_fails(k, "forward-cid", uds(k), "--forward-cid=x", NULL);
	kit_start_fails(k, "native-port", uds(k), "--native-port=4294967295", NULL);
	kit_start_fails(k, "max-connections", uds(k), "--max-connections=0", NULL);
	assert_true(g_file_set_contents(kit_path(k, "v"), "x", 1, NULL));
	kit_start_fails(k, "is not a socket", uds(k), NULL);
}

/* Sends data both ways; the type says which kind of socket the host has. */
static void check_talk(struct kit *k, uint16_t type)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, type == STREAM ? SOCK_STREAM : SOCK_SEQPACKET),
	       fd = -1;

	g.type = type;
	fd = guest_connect(&g, listener);
	guest_say(&g, "from the guest");
	host_hear(k, fd, "from the guest");
	host_say(fd, "from the host");
	guest_hear(&g, "from the host");
	guest_say(&g, "more");
	host_hear(k, fd, "more");
}

static void test_stream(struct kit *k)
{
	check_talk(k, STREAM);
}

static void test_seqpacket(struct kit *k)
{
	check_talk(k, SEQPACKET);
}

static void test_forward(struct kit *k)
{
	struct vsock_guest g = guest_start(k, "--forward-cid=3");
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = -1, other = -1;

	g.cid = 3;
	fd = guest_connect(&g, listener);
	host_say(fd, "three");
	guest_hear(&g, "three");
	/* The same ports are another connection of another address. */
	g.cid = 2;
	g.fwd_cnt = 0;
	other = guest_connect(&g, listener);
	guest_say(&g, "two");
	host_hear(k, other, "two");
}

/* The guest closes; what it sent before arrives. */
static void test_guest_closes(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = guest_connect(&g, listener);

	guest_say(&g, "last words");
	guest_send(&g, OP(SHUTDOWN), VSOCK_NEITHER, NULL, 0);
	guest_expect(&g, OP(RST));
	host_hear(k, fd, "last words");
	host_expect_end(k, fd);
	/* The ports are free. */
	fd_close(&fd);
	fd = guest_connect(&g, listener);
}

/* The host closes; the guest gets what was sent before, and agrees. */
static void test_host_closes(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = guest_connect(&g, listener);

	host_say(fd, "last words");
	fd_close(&fd);
	guest_hear(&g, "last words");
	guest_expect_shutdown(&g, VSOCK_NEITHER);
	/* What was on its way is dropped. */
	guest_say(&g, "too late");
	guest_send(&g, OP(RST), 0, NULL, 0);
	fd = guest_connect(&g, listener);
}

static void test_guest_half_closes(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = guest_connect(&g, listener);

	guest_say(&g, "question");
	guest_send(&g, OP(SHUTDOWN), VSOCK_NO_SEND, NULL, 0);
	host_hear(k, fd, "question");
	host_expect_end(k, fd);
	host_say(fd, "answer");
	guest_hear(&g, "answer");
	/* No data after that. */
	guest_say(&g, "more");
	guest_expect(&g, OP(RST));
}

static void test_guest_stops_receiving(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = guest_connect(&g, listener);

	guest_send(&g, OP(SHUTDOWN), VSOCK_NO_RECEIVE, NULL, 0);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	guest_say(&g, "still sending");
	host_hear(k, fd, "still sending");
	guest_send(&g, OP(SHUTDOWN), VSOCK_NO_SEND, NULL, 0);
	guest_expect(&g, OP(RST));
	host_expect_end(k, fd);
}

static void test_host_half_closes(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = guest_connect(&g, listener);

	host_say(fd, "question");
	shutdown(fd, SHUT_WR);
	guest_hear(&g, "question");
	guest_expect_shutdown(&g, VSOCK_NO_SEND);
	guest_say(&g, "answer");
	host_hear(k, fd, "answer");
	fd_close(&fd);
	guest_expect_shutdown(&g, VSOCK_NEITHER);
}

static void test_host_stops_receiving(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = guest_connect(&g, listener);

	shutdown(fd, SHUT_RD);
	guest_say(&g, "into the void");
	guest_expect_shutdown(&g, VSOCK_NO_RECEIVE);
	guest_say(&g, "again");
	host_say(fd, "from the host");
	guest_hear(&g, "from the host");
}

/* What there is no connection for. */
static void test_refused(struct kit *k)
{
	static const unsigned ops[] = { OP(INVALID), OP(RESPONSE), OP(SHUTDOWN), OP(RW),
		OP(CREDIT_UPDATE), OP(CREDIT_REQUEST), 99 };
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT + 1, SOCK_SEQPACKET);

	guest_send(&g, OP(REQUEST), 0, NULL, 0); /* nobody listens */
	guest_expect(&g, OP(RST));
	for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
		guest_send(&g, ops[i], 0, "x", 1);
		guest_expect(&g, OP(RST));
	}
	g.port = PORT + 1; /* another type of socket */
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	assert_int_equal(sock_accept(listener), -1);
	g.cid = 5; /* not the host */
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	g.cid = 2 | 1ull << 32;
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	g.cid = 2;
	g.src_cid = CID + 1; /* not the guest */
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	g.src_cid = CID;
	g.type = 3;
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	/* RST is not answered. */
	guest_send(&g, OP(RST), 0, NULL, 0);
	assert_false(guest_has_packet(&g));
}

/* What ends a connection. */
static void test_broken_rules(struct kit *k)
{
	static const struct {
		unsigned op;
		uint16_t type;
	} packets[] = {
		{ OP(INVALID), STREAM },
		{ OP(REQUEST), STREAM },
		{ OP(RESPONSE), STREAM },
		{ 99, STREAM },
		{ OP(RW), SEQPACKET },
	};
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM);

	for (unsigned i = 0; i < G_N_ELEMENTS(packets); i++) {
		autofd fd = guest_connect(&g, listener);

		g.type = packets[i].type;
		guest_send(&g, packets[i].op, 0, NULL, 0);
		g.type = STREAM;
		guest_expect(&g, OP(RST));
		host_expect_end(k, fd);
	}
}

static void test_no_seqpacket(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_SEQPACKET);

	g.type = SEQPACKET;
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	assert_int_equal(sock_accept(listener), -1);
}

static void test_no_stream(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM);

	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	assert_int_equal(sock_accept(listener), -1);
}

static void test_short_header(struct kit *k)
{
	guest_start(k, NULL);
	kit_send(k, VSOCK_TX, "short", 5, 0);
	kit_wait_broken(k, "the header of a packet has 5 bytes");
}

static void test_short_packet(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	g_autofree uint8_t *bytes = make_packet(&g, OP(RW), 0, "123456", 6);

	kit_send(k, VSOCK_TX, bytes, HEAD + 5, 0);
	kit_wait_broken(k, "a packet of 6 bytes has 5");
}

static void test_small_buffer(struct kit *k)
{
	struct vsock_guest g = guest_new(k);
	g_autofree uint8_t *bytes = make_packet(&g, OP(RW), 0, NULL, 0);

	kit_start(k, uds(k), "--guest-cid=77", NULL);
	kit_send(k, VSOCK_RX, NULL, 0, HEAD - 1);
	kit_send(k, VSOCK_TX, bytes, HEAD, 0);
	kit_wait_broken(k, "a buffer of 43 bytes for packets");
}

static const struct kit_test tests[] = {
	{ "config", test_config },
	{ "options", test_options, .skip = KIT_NO_PROCESS },
	{ "stream", test_stream, .skip = KIT_NO_KILL },
	{ "seqpacket", test_seqpacket, .skip = KIT_NO_KILL },
	{ "forward-cid", test_forward, .skip = KIT_NO_KILL },
	{ "guest closes", test_guest_closes, .skip = KIT_NO_KILL },
	{ "host closes", test_host_closes, .skip = KIT_NO_KILL },
	{ "guest half-closes", test_guest_half_closes, .skip = KIT_NO_KILL },
	{ "guest stops receiving", test_guest_stops_receiving, .skip = KIT_NO_KILL },
	{ "host half-closes", test_host_half_closes, .skip = KIT_NO_KILL },
	{ "host stops receiving", test_host_stops_receiving, .skip = KIT_NO_KILL },
	{ "refused", test_refused, .skip = KIT_NO_KILL },
	{ "broken rules", test_broken_rules, .skip = KIT_NO_KILL },
	{ "no seqpacket", test_no_seqpacket, .features = 1, .skip = KIT_NO_KILL },
	{ "no stream", test_no_stream,
		.features = 1 << VIRTIO_VSOCK_F_SEQPACKET | 1 << VSOCK_F_NO_IMPLIED_STREAM,
		.skip = KIT_NO_KILL },
	{ "short header", test_short_header },
	{ "short packet", test_short_packet },
	{ "small buffer", test_small_buffer, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

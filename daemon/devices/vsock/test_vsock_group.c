/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-vsock: guests of a group, whose other programs the test plays. */
#include "daemon/devices/vsock/test_vsock.h"

#define OTHER 4
#define OTHER_PORT 52

static struct vsock_guest start(struct kit *k)
{
	g_autofree char *group = g_strconcat("--group=", kit_path(k, "g"), NULL);

	return guest_start(k, group);
}

/* Listens as the program of another guest. */
static int listen_other(struct kit *k, uint16_t type)
{
	int fd = type == STREAM ? sock_listen(kit_path(k, "g_4"), 0600, (gid_t)-1, NULL)
				: sock_listen_records(kit_path(k, "g_seqpacket_4"), 0600, NULL);

	assert_true(fd >= 0);
	return fd;
}

/* Returns a connection of the other guest's program, which has said this. */
static int call(struct kit *k, uint16_t type, const char *line)
{
	int fd = type == STREAM ? sock_connect(kit_path(k, "g_77"), NULL)
				: sock_try_records(kit_path(k, "g_seqpacket_77"));

	assert_true(fd >= 0);
	host_say(fd, line);
	return fd;
}

/* Requests a connection to the other guest; returns its end, which has heard of it. */
static int request(struct vsock_guest *g, int listener)
{
	int fd;

	g->cid = OTHER;
	g->port = OTHER_PORT;
	guest_send(g, OP(REQUEST), 0, NULL, 0);
	fd = host_accept(g->k, listener);
	host_hear(g->k, fd, "CONNECT 52 FROM 77 5000\n");
	return fd;
}

static void test_to_sibling(struct kit *k)
{
	struct vsock_guest g = start(k);
	autofd listener = listen_other(k, STREAM), fd = request(&g, listener);

	assert_false(guest_has_packet(&g));
	host_say(fd, "OK ");
	assert_false(guest_has_packet(&g));
	host_say(fd, "52\nhello");
	guest_expect(&g, OP(RESPONSE));
	guest_hear(&g, "hello");
	guest_say(&g, "answer");
	host_hear(k, fd, "answer");
	guest_send(&g, OP(SHUTDOWN), VSOCK_NO_SEND, NULL, 0);
	host_expect_end(k, fd);
	fd_close(&fd);
	guest_expect_shutdown(&g, VSOCK_NEITHER);
}

static void test_refused(struct kit *k)
{
	static const char *const answers[] = { "", "O", "NO 52\n", "\n",
		"OK.............................................................." };
	struct vsock_guest g = start(k);
	autofd listener = -1;

	/* There is no such guest. */
	g.cid = OTHER;
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	/* Itself, and addresses that are no guest's. */
	for (uint64_t cid = 0; cid < 2; cid++) {
		g.cid = cid;
		guest_send(&g, OP(REQUEST), 0, NULL, 0);
		guest_expect(&g, OP(RST));
	}
	g.cid = CID;
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	listener = listen_other(k, STREAM);
	for (unsigned i = 0; i < G_N_ELEMENTS(answers); i++) {
		autofd fd = request(&g, listener);

		host_say(fd, answers[i]);
		fd_close(&fd);
		guest_expect(&g, OP(RST));
	}
	/* Data before the answer. */
	{
		autofd fd = request(&g, listener);

		guest_say(&g, "data");
		guest_expect(&g, OP(RST));
		host_expect_end(k, fd);
	}
	/* The sibling listens for streams alone. */
	g.type = SEQPACKET;
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
}

static void expect_message(struct vsock_guest *g, const char *text)
{
	const struct vsock_packet *s = guest_expect(g, OP(RW));

	assert_int_equal(s->len, strlen(text));
	assert_memory_equal(s->data, text, s->len);
	assert_int_equal(le32toh(s->h.flags), VSOCK_SEQ_EOM);
	g->fwd_cnt += s->len;
}

/* Requires that the next message of the guest is this. */
static void hear_message(struct kit *k, int fd, const char *text)
{
	char got[64];

	host_wait(k, fd, POLLIN);
	assert_int_equal(recv(fd, got, sizeof(got), 0), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void check_messages(struct vsock_guest *g, int fd)
{
	host_say(fd, "one");
	host_say(fd, "two\n");
	expect_message(g, "one");
	expect_message(g, "two\n");
	guest_say(g, "three");
	guest_say(g, "four");
	hear_message(g->k, fd, "three");
	hear_message(g->k, fd, "four");
}

static void test_messages_to(struct kit *k)
{
	struct vsock_guest g = start(k);
	autofd listener = listen_other(k, SEQPACKET), fd = -1;

	g.type = SEQPACKET;
	fd = request(&g, listener);
	host_say(fd, "OK 52\n");
	guest_expect(&g, OP(RESPONSE));
	check_messages(&g, fd);
	fd_close(&fd);
	guest_expect_shutdown(&g, VSOCK_NEITHER);
}

/* An answer is a message of its own, and whole. */
static void test_bad_messages_to(struct kit *k)
{
	static const char *const answers[] = { "OK 52", "OK 52\nmore", "NO 52\n" };
	struct vsock_guest g = start(k);
	autofd listener = listen_other(k, SEQPACKET);

	g.type = SEQPACKET;
	for (unsigned i = 0; i < G_N_ELEMENTS(answers); i++) {
		autofd fd = request(&g, listener);

		host_say(fd, answers[i]);
		guest_expect(&g, OP(RST));
	}
}

static void test_messages_from(struct kit *k)
{
	struct vsock_guest g = start(k);
	autofd fd = call(k, SEQPACKET, "CONNECT 5000 FROM 4 52\n");

	g.type = SEQPACKET;
	g.cid = OTHER;
	g.port = OTHER_PORT;
	guest_expect(&g, OP(REQUEST));
	guest_send(&g, OP(RESPONSE), 0, NULL, 0);
	hear_message(k, fd, "OK 52\n");
	check_messages(&g, fd);
	guest_send(&g, OP(SHUTDOWN), VSOCK_NEITHER, NULL, 0);
	guest_expect(&g, OP(RST));
	host_expect_end(k, fd);
}

static void test_from_sibling(struct kit *k)
{
	struct vsock_guest g = start(k);
	autofd fd = call(k, STREAM, "CONNECT 5000 FROM 4 52\nhello"), again = -1;

	g.cid = OTHER;
	g.port = OTHER_PORT;
	guest_expect(&g, OP(REQUEST));
	guest_send(&g, OP(RESPONSE), 0, NULL, 0);
	host_hear(k, fd, "OK 52\n");
	guest_hear(&g, "hello");
	guest_say(&g, "answer");
	host_hear(k, fd, "answer");
	/* The same once more. */
	again = call(k, STREAM, "CONNECT 5000 FROM 4 52\n");
	host_expect_end(k, again);
}

static void test_bad_lines(struct kit *k)
{
	static const char *const lines[] = { "CONNECT 5000\n", "CONNECT 1 FROM 2 52\n",
		"CONNECT 1 FROM 77 52\n", "CONNECT 1 FROM 4\n", "CONNECT 1 FROM 4 5 6\n",
		"CONNECT 1 AS 4 5\n", "CONNECT -1 FROM 4 5\n", "CONNECT 1 FROM 4294967296 5\n",
		"CONNECT 1 FROM 4 4294967295\n", "\n" };
	static const char *const messages[] = { "CONNECT 5000 FROM 4 52",
		"CONNECT 5000 FROM 4 52\nhello", "" };
	struct vsock_guest g = start(k);

	for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
		autofd fd = call(k, STREAM, lines[i]), fd2 = call(k, SEQPACKET, lines[i]);

		host_expect_end(k, fd);
		host_expect_end(k, fd2);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(messages); i++) {
		autofd fd = call(k, SEQPACKET, messages[i]);

		host_expect_end(k, fd);
	}
	assert_false(guest_has_packet(&g));
}

/* A driver that knows no messages is not asked for them. */
static void test_no_messages(struct kit *k)
{
	struct vsock_guest g = start(k);
	autofd fd = call(k, SEQPACKET, "CONNECT 5000 FROM 4 52\n");

	host_expect_end(k, fd);
	assert_false(guest_has_packet(&g));
}

/* Two that have no group in common know nothing of each other. */
static void test_no_group(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = listen_other(k, STREAM);

	g.cid = OTHER;
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
	assert_int_equal(sock_accept(listener), -1);
}

static const struct kit_test tests[] = {
	{ "to a sibling", test_to_sibling, .skip = KIT_NO_KILL },
	{ "refused", test_refused, .skip = KIT_NO_KILL },
	{ "from a sibling", test_from_sibling, .skip = KIT_NO_KILL },
	{ "bad lines", test_bad_lines, .skip = KIT_NO_KILL },
	{ "messages to a sibling", test_messages_to, .skip = KIT_NO_KILL },
	{ "bad messages to it", test_bad_messages_to, .skip = KIT_NO_KILL },
	{ "messages from a sibling", test_messages_from, .skip = KIT_NO_KILL },
	{ "no messages", test_no_messages, .features = 1 << VSOCK_F_STREAM, .skip = KIT_NO_KILL },
	{ "no group", test_no_group, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

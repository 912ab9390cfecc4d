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
static int listen_other(struct kit *k)
{
	g_autofree char *name = g_strdup_printf("g_%u", OTHER);
	int fd = sock_listen(kit_path(k, name), 0600, (gid_t)-1, NULL);

	assert_true(fd >= 0);
	return fd;
}

/* Returns a connection of the other guest's program, which has said this. */
static int call(struct kit *k, const char *line)
{
	int fd = sock_connect(kit_path(k, "g_77"), NULL);

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
	autofd listener = listen_other(k), fd = request(&g, listener);

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
	listener = listen_other(k);
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
	g.type = SEQPACKET;
	guest_send(&g, OP(REQUEST), 0, NULL, 0);
	guest_expect(&g, OP(RST));
}

static void test_from_sibling(struct kit *k)
{
	struct vsock_guest g = start(k);
	autofd fd = call(k, "CONNECT 5000 FROM 4 52\nhello"), again = -1;

	g.cid = OTHER;
	g.port = OTHER_PORT;
	guest_expect(&g, OP(REQUEST));
	guest_send(&g, OP(RESPONSE), 0, NULL, 0);
	host_hear(k, fd, "OK 52\n");
	guest_hear(&g, "hello");
	guest_say(&g, "answer");
	host_hear(k, fd, "answer");
	/* The same once more. */
	again = call(k, "CONNECT 5000 FROM 4 52\n");
	host_expect_end(k, again);
}

static void test_bad_lines(struct kit *k)
{
	static const char *const lines[] = { "CONNECT 5000\n", "CONNECT 1 FROM 2 52\n",
		"CONNECT 1 FROM 77 52\n", "CONNECT 1 FROM 4\n", "CONNECT 1 FROM 4 5 6\n",
		"CONNECT 1 AS 4 5\n", "CONNECT -1 FROM 4 5\n", "CONNECT 1 FROM 4294967296 5\n",
		"CONNECT 1 FROM 4 4294967295\n", "\n" };
	struct vsock_guest g = start(k);

	for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
		autofd fd = call(k, lines[i]);

		host_expect_end(k, fd);
	}
	assert_false(guest_has_packet(&g));
}

/* Two that have no group in common know nothing of each other. */
static void test_no_group(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = listen_other(k);

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
	{ "no group", test_no_group, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

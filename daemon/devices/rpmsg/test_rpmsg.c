/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-rpmsg: the name service, echo, services with ends on the host. */
#include "test_rpmsg.h"

static void test_echo(struct kit *k)
{
	struct kit_request *in, *out;
	uint8_t big[496];

	kit_start(k, NULL);
	check_announcement(k, give_buffer(k), "rpmsg-raw", 1024, 0);
	in = give_buffer(k);
	out = send_message(k, ME, 1024, "Hello", 5);
	check_message(k, in, 1024, ME, "Hello", 5);
	kit_wait(k, out);
	/* Without a buffer for the answer the message waits. */
	fill(big, sizeof(big), 0);
	out = send_message(k, ME + 1, 1024, big, sizeof(big));
	assert_false(kit_is_done(k, out));
	check_message(k, give_buffer(k), 1024, ME + 1, big, sizeof(big));
	kit_wait(k, out);
	in = give_buffer(k);
	send_message(k, ME, 1024, "", 0);
	check_message(k, in, 1024, ME, "", 0);
}

static void test_services(struct kit *k)
{
	struct kit_request *in;

	kit_start(k, "--service=a@7,backend=null", "--service=b@0x8,backend=echo",
		"--service=c,backend=echo", NULL);
	check_announcement(k, give_buffer(k), "a", 7, 0);
	check_announcement(k, give_buffer(k), "b", 8, 0);
	check_announcement(k, give_buffer(k), "c", 1026, 0);
	kit_wait(k, send_message(k, ME, 7, "null", 4));
	in = give_buffer(k);
	send_message(k, ME, 8, "b", 1);
	check_message(k, in, 8, ME, "b", 1);
	kit_wait(k, send_message(k, ME, 9, "nobody", 6));
	kit_wait_log(k, "a message to address 9, where there is no service: dropped");
	assert_non_null(strstr(kit_call(k, "services", ""),
		"{\"service\":\"b\",\"address\":8,\"backend\":\"echo\",\"path\":null,"
		"\"host_open\":true,\"has_peer\":true,\"peer\":1030,\"waiting\":0}"));
}

/* A service is there while its end is connected. */
static void test_unix(struct kit *k)
{
	struct kit_request *in, *out;
	char text[5];

	kit_start(k, spec(k, "--service=a,backend=unix:%s", "a"), NULL);
	in = give_buffer(k);
	for (unsigned i = 0; i < 2; i++) {
		int fd = join(k, "a");

		check_announcement(k, in, "a", 1024, 0);
		in = give_buffer(k);
		/* What the host sends is for who has sent something. */
		assert_int_equal(write(fd, "abc", 3), 3);
		if (!i)
			assert_false(kit_is_done(k, in));
		out = send_message(k, ME, 1024, "Hello", 5);
		read_host(k, fd, text, 5, out);
		assert_memory_equal(text, "Hello", 5);
		check_message(k, in, 1024, ME, "abc", 3);
		kit_wait(k, out);
		close(fd);
		check_announcement(k, give_buffer(k), "a", 1024, 1);
		in = give_buffer(k);
	}
	/* What has no reader waits for one. */
	out = send_message(k, ME, 1024, "again", 5);
	assert_false(kit_is_done(k, out));
	kit_pause(k);
	assert_false(kit_is_done(k, out));
}

/* One service that is stuck stops no other one, and gets each byte once, also over stops. */
static void test_stuck(struct kit *k)
{
	g_autofree uint8_t *bytes = pattern(100 * 496), *got = g_malloc(100 * 496);
	struct kit_request *stuck[100], *in;
	int fd;

	kit_start(k, spec(k, "--service=a,backend=unix:%s", "a"), "--service=b,backend=echo", NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(stuck); i++)
		stuck[i] = add_message(k, ME, 1024, bytes + i * 496, 496);
	kit_kick(k, RPMSG_TX);
	check_announcement(k, give_buffer(k), "b", 1025, 0);
	in = give_buffer(k);
	send_message(k, ME, 1025, "b", 1);
	check_message(k, in, 1025, ME, "b", 1);
	assert_false(kit_is_done(k, stuck[0]));
	fd = join(k, "a");
	read_host(k, fd, got, 10000, stuck[0]);
	kit_pause(k);
	read_host(k, fd, got + 10000, 100 * 496 - 10000, stuck[0]);
	assert_memory_equal(got, bytes, 100 * 496);
	for (unsigned i = 0; i < G_N_ELEMENTS(stuck); i++)
		kit_wait(k, stuck[i]);
	close(fd);
}

static void test_announcements(struct kit *k)
{
	static const char ns[NS_BYTES] =
		"mine\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
		"\0\x08\4\0\0\0\0\0";
	kit_start(k, NULL);
	kit_wait(k, send_message(k, ME, RPMSG_NS_ADDRESS, ns, sizeof(ns)));
	kit_wait_log(k, "the guest announces 'mine' at 1032");
	kit_wait(k, send_message(k, ME, RPMSG_NS_ADDRESS, ns, 39));
	kit_wait_log(k, "a message of the guest has 39 bytes (40)");
}

static void test_reset(struct kit *k)
{
	kit_start(k, NULL);
	for (unsigned i = 0; i < 2; i++) {
		check_announcement(k, give_buffer(k), "rpmsg-raw", 1024, 0);
		kit_reset(k);
	}
}

/* A process that follows another one announces again: what the guest got is not known. */
static void test_successor(struct kit *k)
{
	struct kit_request *in;

	kit_start(k, NULL);
	check_announcement(k, give_buffer(k), "rpmsg-raw", 1024, 0);
	kit_restart(k);
	check_announcement(k, give_buffer(k), "rpmsg-raw", 1024, 0);
	kit_restart(k);
	kit_restart(k);
	in = give_buffer(k);
	check_announcement(k, in, "rpmsg-raw", 1024, 0);
}

static void test_short(struct kit *k)
{
	kit_start(k, NULL);
	kit_send(k, RPMSG_TX, "123456789012345", 15, 0);
	kit_wait_broken(k, "shorter than its header of 16 bytes");
}

static void test_too_long(struct kit *k)
{
	static const struct rpmsg_header h = { .len = 1 };

	kit_start(k, NULL);
	kit_send(k, RPMSG_TX, &h, sizeof(h), 0);
	kit_wait_broken(k, "a message of 1 bytes is in a buffer for 0");
}

static void test_no_room(struct kit *k)
{
	kit_start(k, NULL);
	kit_send(k, RPMSG_RX, NULL, 0, 55);
	kit_wait_broken(k, "a receive buffer is of 55 bytes (at least 56)");
}

static void test_no_name_service(struct kit *k)
{
	struct kit_request *in;

	kit_start(k, NULL);
	in = give_buffer(k);
	send_message(k, ME, 1024, "Hello", 5);
	check_message(k, in, 1024, ME, "Hello", 5);
}

static void test_bad_options(struct kit *k)
{
	kit_start_fails(k, "invalid --service: 'a'", "--service=a", NULL);
	kit_start_fails(k, "invalid --service: 'a,echo'", "--service=a,echo", NULL);
	kit_start_fails(k, "invalid back-end: 'tty'", "--service=a,backend=tty", NULL);
	kit_start_fails(k, "invalid name of a service: ''", "--service=@9,backend=echo", NULL);
	kit_start_fails(k, "(1 to 31 bytes)",
		"--service=12345678901234567890123456789012,backend=echo", NULL);
	kit_start_fails(
		k, "invalid address of a service: '53'", "--service=a@53,backend=echo", NULL);
	kit_start_fails(k, "invalid address of a service: 'x'", "--service=a@x,backend=echo", NULL);
	kit_start_fails(k, "two have address 7", "--service=a@7,backend=echo",
		"--service=b@7,backend=null", NULL);
}

static const struct kit_test tests[] = {
	{ "echo", test_echo, .skip = KIT_NO_KILL },
	{ "services", test_services, .skip = KIT_NO_KILL },
	{ "unix", test_unix, .skip = KIT_NO_KILL },
	{ "stuck", test_stuck, .skip = KIT_NO_KILL },
	{ "announcements", test_announcements, .skip = KIT_NO_KILL },
	{ "reset", test_reset, .skip = KIT_NO_KILL | KIT_NO_HOSTILE },
	{ "successor", test_successor, .skip = KIT_NO_KILL },
	{ "short message", test_short, .skip = KIT_NO_KILL },
	{ "too long a message", test_too_long, .skip = KIT_NO_KILL },
	{ "no room", test_no_room, .skip = KIT_NO_KILL },
	{ "no name service", test_no_name_service, .features = 1ull << 32, .skip = KIT_NO_KILL },
	{ "bad options", test_bad_options },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

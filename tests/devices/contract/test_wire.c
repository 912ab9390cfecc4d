/* SPDX-License-Identifier: Apache-2.0 */
/* struct virtio_device_wire, over the whole matrix of the kit. */
#include "ask.h"

#include <sys/socket.h>

static struct contract_config config(struct kit *k)
{
	struct contract_config c;

	kit_config_read(k, 0, &c, sizeof(c));
	return c;
}

/* Checks that the device lives, and serves its queues. */
static void check_serves(struct kit *k)
{
	assert_int_equal(result(k, ask(k, CONTRACT_ECHO, 0)), 0);
}

static void test_announce(struct kit *k)
{
	static const uint8_t mac[6] = { 2, 3, 5, 7, 11, 13 }, none[6];

	kit_start(k, NULL);
	assert_true(kit_announce(k, mac));
	assert_memory_equal(config(k).mac, mac, 6);
	assert_false(kit_announce(k, none));
	assert_memory_equal(config(k).mac, mac, 6);
	check_serves(k);
}

static void test_mtu(struct kit *k)
{
	kit_start(k, NULL);
	assert_true(kit_mtu(k, 9000));
	assert_int_equal(config(k).mtu, 9000);
	kit_wait_config(k, 1);
	assert_false(kit_mtu(k, 67));
	assert_int_equal(config(k).mtu, 9000);
	check_serves(k);
}

static void test_display(struct kit *k)
{
	char greeting[sizeof(CONTRACT_GREETING)];
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	kit_start(k, NULL);
	assert_true(kit_display(k, pair[1]));
	close(pair[1]);
	assert_int_equal(read(pair[0], greeting, sizeof(greeting)), sizeof(greeting));
	assert_string_equal(greeting, CONTRACT_GREETING);
	/* The device has closed its end. */
	assert_int_equal(read(pair[0], greeting, 1), 0);
	close(pair[0]);
	check_serves(k);
}

static void test_sessions(struct kit *k)
{
	uint64_t payload[4] = { 7, 0, 1, 2 };

	kit_start(k, NULL);
	kit_session_open(k, payload, sizeof(payload));
	assert_int_equal(payload[1], CONTRACT_SESSION + 7);
	assert_int_equal(payload[3], 2);
	kit_session_open(k, payload, sizeof(payload));
	assert_int_equal(config(k).sessions, 2);
	kit_session_close(k, payload[1]);
	assert_int_equal(config(k).sessions, 1);
	check_serves(k);
}

static void test_object(struct kit *k)
{
	static const uint8_t there[16] = { 1 }, none[16] = { 255 };
	char byte;
	int fd;

	kit_start(k, NULL);
	assert_int_equal(kit_object(k, none), -1);
	fd = kit_object(k, there);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, 4096), 1);
	assert_int_equal(byte, 'b');
	close(fd);
	check_serves(k);
}

/* From one device to another, with a request in flight. */
static void test_state(struct kit *k)
{
	g_autoptr(GByteArray) state = NULL;
	struct kit_request *held;

	kit_start(k, NULL);
	held = ask(k, CONTRACT_HOLD, 0);
	assert_true(kit_mtu(k, 1280));
	state = kit_save(k);
	kit_restart(k);
	assert_int_equal(config(k).mtu, 0);
	assert_true(kit_load(k, state));
	assert_int_equal(config(k).mtu, 1280);
	assert_int_equal(result(k, ask(k, CONTRACT_RELEASE, 0)), 0);
	assert_int_equal(result(k, held), 0);
}

static void test_bad_state(struct kit *k)
{
	g_autoptr(GByteArray) state = NULL;

	kit_start(k, NULL);
	assert_true(kit_mtu(k, 1280));
	state = kit_save(k);
	assert_true(kit_mtu(k, 1500));
	g_byte_array_set_size(state, state->len - 1);
	assert_false(kit_load(k, state));
	assert_int_equal(config(k).mtu, 1500);
	check_serves(k);
}

static void test_left(struct kit *k)
{
	struct kit_request *held;

	kit_start(k, NULL);
	held = ask(k, CONTRACT_HOLD, 0);
	kit_leave(k);
	kit_wait_log(k, "the front-end has left");
	assert_int_equal(result(k, ask(k, CONTRACT_RELEASE, 0)), 0);
	assert_int_equal(result(k, held), 0);
}

static const struct kit_test tests[] = {
	{ "announce", test_announce },
	{ "mtu", test_mtu },
	{ "display", test_display },
	{ "sessions", test_sessions },
	{ "object", test_object },
	{ "state", test_state },
	{ "bad state", test_bad_state },
	{ "left", test_left },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

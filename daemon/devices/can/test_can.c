/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-can on a bus of Unix sockets: the controller, frames, others at the bus. argv[2]: the
 * number of kills.
 */
#include "daemon/devices/can/test_can.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"
#include "tests/lib/kit_core.h"

#define OK CAN_RESULT_OK
#define NOT_OK CAN_RESULT_NOT_OK

static const char *bus(struct kit *k)
{
	static char text[256];

	g_snprintf(text, sizeof(text), "--bus=unix:%s", kit_path(k, "bus"));
	return text;
}

/* Lets the device do something. */
static void step(struct kit *k)
{
	struct kit_request none = { 0 };

	kit_is_done(k, &none);
}

/* Connects to the bus as another program does, the n-th one. */
static int join(struct kit *k, unsigned n)
{
	g_autofree char *count = g_strdup_printf("\"connections\":%u,", n);
	int fd = sock_connect(kit_path(k, "bus"), NULL);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (!strstr(kit_call(k, "state", ""), count))
		step(k);
	return fd;
}

static void put(int fd, uint32_t id, uint8_t flags, const char *data, unsigned n)
{
	struct canfd_frame f = { .can_id = id, .flags = flags, .len = (uint8_t)n };

	if (data)
		memcpy(f.data, data, n);
	assert_int_equal(write(fd, &f, sizeof(f)), sizeof(f));
}

/* Returns false if there is no frame, after the device has had the time to send one. */
static bool get(struct kit *k, int fd, struct canfd_frame *f)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t end = g_get_monotonic_time() + KIT_PATIENCE_MS * 1000ll;

	while (poll(&p, 1, kit_core(k) ? 0 : 20) == 0) {
		assert_true(g_get_monotonic_time() < end);
		step(k);
	}
	return read(fd, f, sizeof(*f)) == sizeof(*f);
}

static void start(struct kit *k)
{
	kit_start(k, bus(k), NULL);
	assert_int_equal(can_control(k, CAN_MSG_START), OK);
}

static void test_states(struct kit *k)
{
	struct canfd_frame f;
	autofd peer = -1;

	kit_start(k, bus(k), NULL);
	peer = join(k, 1);
	assert_int_equal(can_result(k, can_send(k, 1, 0, 1, 1)), NOT_OK);
	assert_int_equal(can_control(k, 0x203), NOT_OK);
	assert_int_equal(can_control(k, CAN_MSG_START), OK);
	assert_int_equal(can_control(k, CAN_MSG_START), OK);
	assert_int_equal(can_result(k, can_send(k, 2, 0, 1, 1)), OK);
	assert_true(get(k, peer, &f));
	assert_int_equal(f.can_id, 2);
	assert_int_equal(can_control(k, CAN_MSG_STOP), OK);
	assert_int_equal(can_result(k, can_send(k, 3, 0, 1, 1)), NOT_OK);
	/* A driver that starts afresh finds it stopped. */
	assert_int_equal(can_control(k, CAN_MSG_START), OK);
	kit_reset(k);
	assert_int_equal(can_result(k, can_send(k, 4, 0, 1, 1)), NOT_OK);
	assert_int_equal(recv(peer, &f, 1, MSG_DONTWAIT), -1);
}

/* What is sent, and what arrives at the bus. */
static const struct {
	uint32_t id, flags, n;
	uint32_t bus_id, bus_flags;
	bool bad;
} frames[] = {
	{ 0x7ff, 0, 8, 0x7ff, 0 },
	{ 0, 0, 0, 0, 0 },
	{ 0x1fffffff, CAN_MSG_EXTENDED, 3, 0x1fffffff | CAN_EFF_FLAG, 0 },
	{ 0x123, CAN_MSG_RTR, 4, 0x123 | CAN_RTR_FLAG, 0 },
	{ 0x123, CAN_MSG_FD, 64, 0x123, CANFD_FDF },
	{ 0x12345, CAN_MSG_FD | CAN_MSG_EXTENDED, 12, 0x12345 | CAN_EFF_FLAG, CANFD_FDF },
	{ 0x800, 0, 1, .bad = true },
	{ 0x20000000, CAN_MSG_EXTENDED, 1, .bad = true },
	{ 1, 0, 9, .bad = true },
	{ 1, CAN_MSG_FD, 65, .bad = true },
	{ 1, CAN_MSG_FD | CAN_MSG_RTR, 1, .bad = true },
	{ 1, 0x1000, 1, .bad = true },
};

static void test_tx(struct kit *k)
{
	autofd peer = -1;
	struct kit_request *r;

	start(k);
	peer = join(k, 1);
	for (unsigned i = 0; i < G_N_ELEMENTS(frames); i++) {
		uint8_t result = can_result(
			k, can_send(k, frames[i].id, frames[i].flags, (uint8_t)i, frames[i].n));
		struct canfd_frame f;

		assert_int_equal(result, frames[i].bad ? NOT_OK : OK);
		if (frames[i].bad)
			continue;
		assert_true(get(k, peer, &f));
		assert_int_equal(f.can_id, frames[i].bus_id);
		assert_int_equal(f.flags, frames[i].bus_flags);
		assert_int_equal(f.len, frames[i].n);
		for (unsigned b = 0; b < f.len; b++)
			assert_int_equal(f.data[b], frames[i].bus_id & CAN_RTR_FLAG ? 0 : i);
	}
	r = kit_send(k, CAN_TX, "short", 5, 1);
	assert_int_equal(can_result(k, r), NOT_OK);
	kit_send(k, CAN_TX, "no room", 7, 0);
	kit_wait_broken(k, "no room for a result");
}

static void test_rx(struct kit *k)
{
	struct kit_request *r[4];
	autofd peer = -1, other = -1;
	struct canfd_frame f;

	start(k);
	peer = join(k, 1);
	put(peer, 0x7ff, 0, "abcdefgh", 8);
	put(peer, 0x1fffffff | CAN_EFF_FLAG, 0, "x", 1);
	put(peer, 0x100 | CAN_RTR_FLAG, 0, NULL, 3);
	/* No frames: too long, a remote one of CAN FD, an error. */
	put(peer, 0x100, 0, "123456789", 9);
	put(peer, 0x100 | CAN_RTR_FLAG, CANFD_FDF, NULL, 3);
	put(peer, 0x100 | CAN_ERR_FLAG, 0, "x", 1);
	put(peer, 0x100, CANFD_FDF, "0123456789ab", 12);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		r[i] = can_listen(k);
	can_expect(k, r[0], 0x7ff, 0, "abcdefgh", 8);
	can_expect(k, r[1], 0x1fffffff, CAN_MSG_EXTENDED, "x", 1);
	can_expect(k, r[2], 0x100, CAN_MSG_RTR, NULL, 3);
	can_expect(k, r[3], 0x100, CAN_MSG_FD, "0123456789ab", 12);
	/* Nothing comes while it is stopped, also not later. */
	r[0] = can_listen(k);
	assert_int_equal(can_control(k, CAN_MSG_STOP), OK);
	other = join(k, 2);
	for (unsigned i = 0; i < 2; i++) {
		put(peer, 1, 0, &"ab"[i], 1);
		assert_true(get(k, other, &f)); /* the bus has carried it */
	}
	assert_false(kit_is_done(k, r[0]));
	assert_non_null(strstr(kit_call(k, "state", ""), "stopped"));
	assert_int_equal(can_control(k, CAN_MSG_START), OK);
	put(peer, 2, 0, "c", 1);
	can_expect(k, r[0], 2, 0, "c", 1);
}

/* A driver without CAN FD and remote frames neither sends nor gets them. */
static void test_classic_only(struct kit *k)
{
	struct kit_request *r;
	autofd peer = -1;

	start(k);
	peer = join(k, 1);
	assert_int_equal(can_result(k, can_send(k, 1, CAN_MSG_FD, 1, 8)), NOT_OK);
	assert_int_equal(can_result(k, can_send(k, 1, CAN_MSG_RTR, 1, 0)), NOT_OK);
	r = can_listen(k);
	put(peer, 1, CANFD_FDF, "a", 1);
	put(peer, 1 | CAN_RTR_FLAG, 0, NULL, 1);
	put(peer, 2, 0, "b", 1);
	can_expect(k, r, 2, 0, "b", 1);
}

static void test_short_buffer(struct kit *k)
{
	autofd peer = -1;

	start(k);
	peer = join(k, 1);
	kit_send(k, CAN_RX, NULL, 0, 23);
	put(peer, 1, 0, "12345678", 8);
	kit_wait_broken(k, "a buffer of 23 bytes for a frame of 24");
}

/* More frames than the device holds, in order, both ways, while nobody else is slow. */
static void test_many(struct kit *k)
{
	struct canfd_frame f;
	/* In another process the device may have to wait too long for this one. */
	unsigned sent = 0, got = 0, ahead = kit_core(k) ? 400 : CAN_FIFO / 2;
	autofd peer = -1;

	start(k);
	peer = join(k, 1);
	while (got < 400) {
		struct kit_request *r[2];

		f = (struct canfd_frame){ .can_id = sent, .len = 1 };
		while (sent < 400 && sent < got + ahead && write(peer, &f, sizeof(f)) == sizeof(f))
			f.can_id = ++sent;
		r[0] = kit_add(k, CAN_RX, NULL, 0, CAN_ROOM);
		r[1] = can_listen(k);
		can_expect(k, r[0], got++, 0, NULL, 1);
		can_expect(k, r[1], got++, 0, NULL, 1);
	}
	for (unsigned i = 0; i < 400; i++) {
		assert_int_equal(can_result(k, can_send(k, i, 0, 0, 1)), OK);
		assert_true(get(k, peer, &f));
		assert_int_equal(f.can_id, i);
	}
}

/* One that does not read is waited for once, others get all frames. */
static void test_slow(struct kit *k)
{
	autofd slow = -1, peer = -1;
	struct canfd_frame f;
	unsigned i;

	start(k);
	slow = join(k, 1);
	peer = join(k, 2);
	for (i = 0; i < 2000; i++) {
		assert_int_equal(can_result(k, can_send(k, i, 0, 0, 1)), OK);
		assert_true(get(k, peer, &f));
		assert_int_equal(f.can_id, i);
	}
	kit_wait_log(k, "does not take them");
	for (i = 0; read(slow, &f, sizeof(f)) == sizeof(f); i++)
		assert_int_equal(f.can_id, i);
	assert_in_range(i, 1, 1999);
	/* And it takes frames again. */
	assert_int_equal(can_result(k, can_send(k, 7, 0, 0, 1)), OK);
	assert_true(get(k, slow, &f));
	assert_int_equal(f.can_id, 7);
}

/* The others hear each other, too. */
static void test_others(struct kit *k)
{
	struct canfd_frame f;
	struct kit_request *r;
	autofd a = -1, b = -1;

	start(k);
	a = join(k, 1);
	b = join(k, 2);
	r = can_listen(k);
	put(a, 5, 0, "x", 1);
	can_expect(k, r, 5, 0, "x", 1);
	assert_true(get(k, b, &f));
	assert_int_equal(f.can_id, 5);
	/* By the control socket: to all. */
	r = can_listen(k);
	kit_call(k, "send", "\"id\":\"0x12345\",\"data\":\"00ff7e\"");
	can_expect(k, r, 0x12345, CAN_MSG_EXTENDED, "\0\xff\x7e", 3);
	assert_true(get(k, a, &f));
	assert_true(get(k, b, &f));
	assert_int_equal(f.can_id, 0x12345 | CAN_EFF_FLAG);
	assert_non_null(strstr(kit_call(k, "send", "\"id\":1,\"data\":\"0\""), "invalid data"));
	assert_non_null(strstr(
		kit_call(k, "send", "\"id\":1,\"data\":\"000102030405060708\""), "no frame"));
	assert_int_equal(recv(a, &f, 1, MSG_DONTWAIT), -1);
}

static void test_bus_off(struct kit *k)
{
	kit_start(k, "--bus=null", NULL);
	assert_int_equal(can_control(k, CAN_MSG_START), OK);
	kit_call(k, "bus-off", "");
	kit_wait_config(k, 1);
	assert_int_equal(can_status(k), CAN_STATUS_BUSOFF);
	assert_int_equal(can_result(k, can_send(k, 1, 0, 0, 1)), NOT_OK);
	assert_non_null(strstr(kit_call(k, "bus-off", ""), "the controller is bus-off"));
	assert_int_equal(can_control(k, CAN_MSG_START), OK);
	assert_int_equal(can_status(k), 0);
	assert_int_equal(can_result(k, can_send(k, 1, 0, 0, 1)), OK);
}

/* Here the test carries the bus. */
static void test_carried(struct kit *k)
{
	g_autofree char *path = g_strdup(kit_path(k, "bus"));
	autofd listener = sock_listen(path, 0600, (gid_t)-1, NULL);
	struct canfd_frame f;
	struct kit_request *r;
	autofd end = -1;

	kit_start(k, bus(k), NULL);
	end = sock_accept(listener);
	assert_true(end >= 0);
	assert_int_equal(can_control(k, CAN_MSG_START), OK);
	assert_int_equal(can_result(k, can_send(k, 9, 0, 0, 1)), OK);
	assert_true(get(k, end, &f));
	r = can_listen(k);
	put(end, 5, 0, "x", 1);
	can_expect(k, r, 5, 0, "x", 1);
	fd_close(&end);
	kit_wait_log(k, "has ended: start this one again");
	kit_wait_config(k, 1);
	assert_int_equal(can_status(k), CAN_STATUS_BUSOFF);
	assert_int_equal(can_control(k, CAN_MSG_START), NOT_OK);
}

/* Reads all that comes to a carrier whose member is killed and started again. */
static unsigned count_frames(int listener, unsigned *seen, unsigned n)
{
	unsigned all = 0;
	int fd;

	for (; (fd = sock_accept(listener)) >= 0; close(fd)) {
		struct canfd_frame f;

		while (recv(fd, &f, sizeof(f), MSG_DONTWAIT) == sizeof(f)) {
			assert_true(f.can_id < n);
			seen[f.can_id]++;
			all++;
		}
	}
	return all;
}

/* A frame that was in flight when a program was killed is not sent again; its guest knows. */
static void test_once(struct kit *k)
{
	g_autofree char *path = g_strdup(kit_path(k, "bus"));
	autofd listener = sock_listen(path, 0600, (gid_t)-1, NULL);
	unsigned kills = kit_rounds(k, 10);
	g_autofree unsigned *seen = g_new0(unsigned, kills), *results = g_new0(unsigned, kills);

	kit_start(k, bus(k), NULL);
	while (can_control(k, CAN_MSG_START) != OK)
		assert_true(kit_has_kills(k));
	for (unsigned i = 0; i < kills; i++)
		results[i] = can_result(k, can_send(k, i, 0, 0, 1));
	count_frames(listener, seen, kills);
	for (unsigned i = 0; i < kills; i++) {
		assert_true(seen[i] <= 1);
		assert_true(results[i] == NOT_OK || seen[i] == 1);
		assert_true(results[i] == OK || kit_has_kills(k));
	}
}

static void test_bad_options(struct kit *k)
{
	kit_start_fails(k, "--bus=unix:PATH is missing", NULL);
	kit_start_fails(k, "--bus=tcp:1: unix:PATH or null", "--bus=tcp:1", NULL);
	kit_start_fails(k, "/nowhere/bus", "--bus=unix:/nowhere/bus", NULL);
	kit_start_fails(k, "--interface=nosuchcan", "--interface=nosuchcan", NULL);
	kit_start_fails(k, "--interface", "--interface=can0", "--bus=unix:/tmp/bus", NULL);
}

/* Others lose their connection to a bus whose program is killed: KIT_NO_KILL. */
static const struct kit_test tests[] = {
	{ "states", test_states, .skip = KIT_NO_KILL },
	{ "tx", test_tx, .skip = KIT_NO_KILL | KIT_NO_HOSTILE },
	{ "rx", test_rx, .skip = KIT_NO_KILL },
	{ "classic only", test_classic_only, .features = 1, .skip = KIT_NO_KILL },
	{ "short buffer", test_short_buffer, .skip = KIT_NO_KILL },
	{ "many", test_many, .skip = KIT_NO_KILL },
	{ "slow", test_slow, .skip = KIT_NO_KILL | KIT_NO_PAUSE | KIT_NO_HOSTILE },
	{ "others", test_others, .skip = KIT_NO_KILL },
	{ "bus-off", test_bus_off, .skip = KIT_NO_KILL },
	{ "carried", test_carried, .skip = KIT_NO_KILL },
	{ "once", test_once },
	{ "bad options", test_bad_options },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

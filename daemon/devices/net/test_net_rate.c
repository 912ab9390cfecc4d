/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-net with limits: how long frames take at least, on any machine. */
#include "daemon/devices/net/test_net.h"

#define N 20
#define LEN 1000

/* Fails the test if that began less than so many milliseconds ago. */
static void check_took(gint64 begin, unsigned ms)
{
	assert_true(g_get_monotonic_time() - begin >= ms * 1000);
}

static void send_all(struct kit *k)
{
	uint8_t frame[LEN];
	struct kit_request *r[N];

	make_frame(frame, LEN, 1);
	for (unsigned i = 0; i < N; i++)
		r[i] = send_frame(k, NULL, frame, LEN);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(kit_wait(k, r[i]), 0);
}

static void receive_all(struct kit *k)
{
	struct kit_request *r[N];

	for (unsigned i = 0; i < N; i++)
		r[i] = give_buffer(k, LEN);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(kit_wait(k, r[i]), HEADER + LEN);
}

/* Of 20 frames 5 pass at once, and the last one is not waited for. */
static void test_packets(struct kit *k)
{
	gint64 begin;

	kit_start(k, "--backend=null", "--generate=1000", "--rate=rx-packets=500,tx-packets=500",
		"--burst=rx-packets=5,tx-packets=5", NULL);
	begin = g_get_monotonic_time();
	send_all(k);
	check_took(begin, 14 * 2);
	begin = g_get_monotonic_time();
	receive_all(k);
	check_took(begin, 14 * 2);
}

static void test_bytes(struct kit *k)
{
	gint64 begin;

	kit_start(k, "--backend=null", "--generate=1000", "--rate=tx=500000,rx=500000",
		"--burst=tx=5000,rx=5000", NULL);
	begin = g_get_monotonic_time();
	receive_all(k);
	check_took(begin, 14 * 2);
	begin = g_get_monotonic_time();
	send_all(k);
	check_took(begin, 14 * 2);
}

/* One direction has no limit of the other; what is longer than a burst passes. */
static void test_one_way(struct kit *k)
{
	kit_start(k, "--backend=null", "--generate=1000", "--rate=rx-packets=1",
		"--burst=rx-packets=1", NULL);
	send_all(k);
	assert_int_equal(counter(k, "tx_frames"), N);
	assert_int_equal(kit_wait(k, give_buffer(k, LEN)), HEADER + LEN);
	assert_false(kit_is_done(k, give_buffer(k, LEN)));
}

static void test_longer_than_burst(struct kit *k)
{
	kit_start(k, "--backend=null", "--generate=1000", "--rate=rx=20K,tx=20K",
		"--burst=rx=1,tx=1", NULL);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t frame[LEN];

		assert_int_equal(kit_wait(k, give_buffer(k, LEN)), HEADER + LEN);
		make_frame(frame, LEN, 1);
		assert_int_equal(kit_wait(k, send_frame(k, NULL, frame, LEN)), 0);
	}
}

/* A frame that waits for its time in the socket, and those that the device has read. */
static void test_stream(struct kit *k)
{
	g_autofree char *option = g_strconcat("--stream=unix:", kit_path(k, "peer"), NULL);
	struct net_peer *p = peer_new(k, "peer");
	struct kit_request *r[N];
	uint8_t frame[LEN];
	gint64 begin;

	kit_start(k, option, "--rate=rx-packets=500", "--burst=rx-packets=5", NULL);
	WAIT_UNTIL(peer_accept(p));
	for (unsigned i = 0; i < N; i++)
		r[i] = give_buffer(k, LEN);
	begin = g_get_monotonic_time();
	for (unsigned i = 0; i < N; i++) {
		make_frame(frame, LEN, (uint8_t)i);
		assert_true(peer_send(p, frame, LEN));
	}
	for (unsigned i = 0; i < N; i++) {
		make_frame(frame, LEN, (uint8_t)i);
		check_received(k, &r[i], 1, frame, LEN);
	}
	check_took(begin, 14 * 2);
	peer_free(p);
}

static void test_options(struct kit *k)
{
	static const char *const wrong[] = { "--rate=5", "--rate=rx=0", "--rate=rx=x",
		"--rate=rx=1,", "--rate=tx-packets=1K", "--rate=rx=2048T", "--burst=rx=1" };

	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++)
		kit_start_fails(k, "rx=BYTES", "--backend=null", wrong[i], NULL);
	kit_start_fails(
		k, "at most an hour", "--backend=null", "--rate=rx=1", "--burst=rx=3600", NULL);
}

static const struct kit_test tests[] = {
	{ "packets", test_packets, .skip = KIT_NO_KILL },
	{ "bytes", test_bytes, .skip = KIT_NO_KILL },
	{ "one way", test_one_way, .skip = KIT_NO_KILL },
	{ "longer than burst", test_longer_than_burst, .skip = KIT_NO_KILL },
	{ "stream", test_stream, .skip = KIT_NO_KILL },
	{ "options", test_options, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The device's state: streams that are not what was saved, and front-ends that give up. */
#include "tests/daemon/wire_agent.h"

#include <signal.h>

#define SIZE 100
#define HEADER 32
#define LIMIT (64u << 20)

static GByteArray *saved(struct peer *p)
{
	GByteArray *stream;

	wire_fill_state(SIZE);
	stream = wire_save_all(p, 1000);
	assert_int_equal(wire_check_state(p), 0);
	assert_int_equal(stream->len, HEADER + SIZE);
	wire_seen.calls = 0;
	return stream;
}

/* Cuts the state short at every byte, and damages every byte: the device does not see it. */
static void damaged(struct peer *p)
{
	g_autoptr(GByteArray) stream = saved(p);

	for (unsigned i = 0; i < stream->len; i++) {
		assert_int_equal(wire_load_all(p, stream->data, i, 1000), EINVAL);
		stream->data[i] ^= 1 << i % 8;
		assert_int_equal(wire_load_all(p, stream->data, stream->len, 1000), EINVAL);
		stream->data[i] ^= 1 << i % 8;
	}
	g_byte_array_append(stream, (const guint8 *)"", 1);
	assert_int_equal(wire_load_all(p, stream->data, stream->len, 1000), EINVAL);
	assert_int_equal(wire_seen.calls, 0);
	assert_int_equal(wire_load_all(p, stream->data, HEADER + SIZE, 1000), 0);
	assert_int_equal(wire_seen.calls, 1);
}

static void test_damaged(void **state)
{
	wire_in_modes(state, damaged);
}

/* What is wrong is named. */
static void test_messages(void **state)
{
	const struct {
		unsigned at;
		const char *words;
	} rows[] = {
		{ 0, "not the state of a virtiod device" },
		{ 8, "version" },
		{ 12, "of a device with id" },
		{ 16, "100 bytes of" },
		{ 24, "damaged on its way" },
		{ HEADER, "damaged on its way" },
	};
	struct peer *p = *state;
	g_autoptr(GByteArray) stream = NULL;

	wire_begin(p, &(const struct agent_mode)AGENT_ONE, &wire_all);
	stream = saved(p);
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		log_clear();
		stream->data[rows[i].at]++;
		assert_int_equal(wire_load_all(p, stream->data, stream->len, 1000), EINVAL);
		assert_logged(rows[i].words);
		stream->data[rows[i].at]--;
	}
	wire_end(p);
}

/* Checks that more than there may be is not kept. */
static void too_large(struct peer *p)
{
	const unsigned n = LIMIT + HEADER + 1000000;
	g_autofree uint8_t *bytes = g_malloc0(n);
	g_autoptr(GByteArray) nothing = NULL;

	assert_int_equal(wire_load_all(p, bytes, n, 1000000), EFBIG);
	g_byte_array_set_size(wire_seen.state, LIMIT + 1);
	nothing = wire_save_all(p, 1000000);
	assert_int_equal(nothing->len, 0);
	assert_int_equal(wire_check_state(p), EFBIG);
}

static void test_too_large(void **state)
{
	wire_in_modes(state, too_large);
}

static void reader_leaves(struct peer *p)
{
	int ends[2];

	wire_fill_state(1000000);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	wire_set_state_fd(p, VU_DEVICE_STATE_SAVE, 0, ends[1]);
	close(ends[1]);
	peer_run();
	close(ends[0]);
	assert_int_equal(wire_check_state(p), EPIPE);
}

static void test_reader_leaves(void **state)
{
	wire_in_modes(state, reader_leaves);
}

/* Leaves, waiting for the result or not, and its end of the pipe lives on. */
static void front_end_leaves(struct peer *p, uint32_t direction, bool checks)
{
	bool load = direction == VU_DEVICE_STATE_LOAD;
	int ends[2];

	wire_fill_state(1000000);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	wire_set_state_fd(p, direction, 0, ends[!load]);
	close(ends[!load]);
	if (checks)
		peer_send(p, VU_CHECK_DEVICE_STATE, 0, NULL, 0, NULL, 0);
	peer_run();
	peer_disconnect(p);
	assert_int_equal(backend_state(p->backend), BACKEND_IDLE);
	/* Our end is the only one. */
	test_wait_fd(ends[load], POLLHUP | POLLERR);
	close(ends[load]);
	peer_connect(p);
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, WIRE_FEATURES), 0);
	assert_int_equal(peer_ask(p, VU_GET_MIN_VQ, NULL, 0), 1);
}

static void front_ends_leave(struct peer *p)
{
	for (unsigned i = 0; i < 4; i++)
		front_end_leaves(p, i % 2, i / 2);
}

static void test_front_end_leaves(void **state)
{
	wire_in_modes(state, front_ends_leave);
}

/* Replaces a transfer that was given up by the next. */
static void replaced(struct peer *p)
{
	g_autoptr(GByteArray) stream = saved(p);
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	wire_set_state_fd(p, VU_DEVICE_STATE_LOAD, 0, ends[0]);
	close(ends[0]);
	assert_int_equal(write(ends[1], "half", 4), 4);
	peer_run();
	assert_int_equal(wire_load_all(p, stream->data, stream->len, 1000), 0);
	assert_int_equal(wire_seen.calls, 1);
	test_wait_fd(ends[1], POLLERR);
	close(ends[1]);
}

static void test_replaced(void **state)
{
	wire_in_modes(state, replaced);
}

/* Vrings start before all of the state is there. */
static void started_meanwhile(struct peer *p)
{
	g_autoptr(GByteArray) stream = saved(p);
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	wire_set_state_fd(p, VU_DEVICE_STATE_LOAD, 0, ends[0]);
	close(ends[0]);
	agent_start(p);
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, WIRE_FEATURES), 0);
	assert_int_equal(write(ends[1], stream->data, stream->len), stream->len);
	close(ends[1]);
	peer_run();
	assert_int_equal(wire_check_state(p), EBUSY);
	assert_int_equal(wire_seen.calls, 0);
}

static void test_started_meanwhile(void **state)
{
	wire_in_modes(state, started_meanwhile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_damaged),
		TEST_WITH(peer, test_messages),
		TEST_WITH(peer, test_too_large),
		TEST_WITH(peer, test_reader_leaves),
		TEST_WITH(peer, test_front_end_leaves),
		TEST_WITH(peer, test_replaced),
		TEST_WITH(peer, test_started_meanwhile),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests_name("state-hostile", tests, NULL, NULL);
}

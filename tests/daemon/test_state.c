/* SPDX-License-Identifier: Apache-2.0 */
/* The device's state, saved and loaded through a pipe. */
#include "tests/daemon/wire_agent.h"

#include <signal.h>
#include <sys/mman.h>

static void round_trip(struct peer *p)
{
	const struct {
		unsigned size, piece;
	} rows[] = {
		{ 0, 100 },
		{ 1, 1 },
		{ 1000, 7 },
		{ 300000, 1000 },
		{ 3000000, 100000 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GByteArray) stream = NULL, before = g_byte_array_new();

		wire_fill_state(rows[i].size);
		g_byte_array_append(before, wire_seen.state->data, rows[i].size);
		stream = wire_save_all(p, rows[i].piece);
		assert_int_equal(wire_check_state(p), 0);
		assert_true(stream->len > rows[i].size);
		wire_fill_state(10);
		assert_int_equal(wire_load_all(p, stream->data, stream->len, rows[i].piece), 0);
		assert_int_equal(wire_seen.state->len, rows[i].size);
		assert_memory_equal(wire_seen.state->data, before->data, rows[i].size);
	}
}

static void test_round_trip(void **state)
{
	wire_in_modes(state, round_trip);
}

/* Asks to check while the pipe is full, or empty: the answer comes when the result is known. */
static void check_waits(struct peer *p)
{
	g_autofree uint8_t *bytes = g_malloc(2000000);
	int ends[2];
	ssize_t n, total = 0;

	wire_fill_state(1000000);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	wire_set_state_fd(p, VU_DEVICE_STATE_SAVE, 0, ends[1]);
	close(ends[1]);
	/* Other messages are answered meanwhile. */
	peer_ask(p, VU_GET_FEATURES, NULL, 0);
	peer_send(p, VU_CHECK_DEVICE_STATE, 0, NULL, 0, NULL, 0);
	assert_false(peer_receive(p));
	do {
		WAIT_IN_LOOP(test_readable(ends[0], 0));
		n = read(ends[0], bytes + total, 2000000 - total);
		total += n;
	} while (n > 0);
	close(ends[0]);
	assert_true(peer_receive(p));
	assert_int_equal(p->msg.payload.u64, 0);

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	wire_set_state_fd(p, VU_DEVICE_STATE_LOAD, 0, ends[0]);
	close(ends[0]);
	assert_int_equal(write(ends[1], bytes, 100), 100);
	peer_send(p, VU_CHECK_DEVICE_STATE, 0, NULL, 0, NULL, 0);
	assert_false(peer_receive(p));
	close(ends[1]);
	assert_true(peer_receive(p));
	assert_int_equal(p->msg.payload.u64, EINVAL);
}

static void test_check_waits(void **state)
{
	wire_in_modes(state, check_waits);
}

static void ask_min_vq(struct peer *p)
{
	assert_int_equal(peer_ask(p, VU_GET_MIN_VQ, NULL, 0), 1);
	assert_int_equal(p->msg.header.size, sizeof(uint32_t));
}

/* Checks that message 43 is GET_MIN_VQ, or CHECK_DEVICE_STATE. */
static void ambiguous(struct peer *p)
{
	const uint64_t without_probe = WIRE_FEATURES & ~VU_BIT(VU_F_PROBE);
	const uint64_t without_state = WIRE_FEATURES & ~VU_BIT(VU_F_DEVICE_STATE);

	ask_min_vq(p);
	for (unsigned i = 0; i < 2; i++) {
		g_byte_array_unref(wire_save_all(p, 1000));
		assert_int_equal(wire_check_state(p), 0);
		ask_min_vq(p);
		ask_min_vq(p);
	}
	/* One that did not begin awaits no check. */
	assert_int_not_equal(
		wire_set_state_fd(p, VU_DEVICE_STATE_SAVE, 1, p->memfd), VU_DEVICE_STATE_NO_FD);
	ask_min_vq(p);
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, without_probe), 0);
	assert_int_equal(wire_check_state(p), EINVAL);
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, without_state), 0);
	ask_min_vq(p);
}

static void test_ambiguous(void **state)
{
	wire_in_modes(state, ambiguous);
}

static void refused(struct peer *p)
{
	const struct {
		uint32_t direction, phase;
	} rows[] = { { 2, 0 }, { 0, 1 }, { UINT32_MAX, 0 }, { 1, UINT32_MAX } };
	int event = eventfd(0, EFD_CLOEXEC), ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
		assert_int_equal(wire_set_state_fd(p, rows[i].direction, rows[i].phase, ends[1]),
			VU_DEVICE_STATE_NO_FD | EINVAL);
	/* What cannot be waited for. */
	assert_int_equal(wire_set_state_fd(p, 0, 0, p->memfd), VU_DEVICE_STATE_NO_FD | EINVAL);
	assert_int_equal(wire_set_state_fd(p, 0, 0, event), VU_DEVICE_STATE_NO_FD | EINVAL);
	/* A vring runs. */
	agent_start(p);
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, WIRE_FEATURES), 0);
	assert_int_equal(wire_set_state_fd(p, 0, 0, ends[1]), VU_DEVICE_STATE_NO_FD | EBUSY);
	for (unsigned i = 0; i < AGENT_QUEUES; i++)
		peer_get_base(p, i);
	assert_int_equal(wire_seen.calls, 0);
	assert_int_equal(wire_set_state_fd(p, 0, 0, ends[1]), VU_DEVICE_STATE_NO_FD);
	assert_int_equal(wire_check_state(p), 0);
	close(ends[0]);
	close(ends[1]);
	close(event);
}

static void test_refused(void **state)
{
	wire_in_modes(state, refused);
}

/* Checks a device that cannot save, or does not take what it gets. */
static void device_refuses(struct peer *p)
{
	g_autoptr(GByteArray) stream = NULL, nothing = NULL;

	wire_fill_state(1000);
	stream = wire_save_all(p, 1000);
	assert_int_equal(wire_check_state(p), 0);
	wire_seen.refuses = true;
	log_clear();
	nothing = wire_save_all(p, 1000);
	assert_int_equal(nothing->len, 0);
	assert_int_equal(wire_check_state(p), EIO);
	assert_logged("device state is not saved: the agent refuses");
	assert_int_equal(wire_load_all(p, stream->data, stream->len, 1000), EIO);
	assert_logged("device state is not loaded: the agent refuses");
	wire_seen.refuses = false;
	wire_seen.silent = true;
	assert_int_equal(wire_load_all(p, stream->data, stream->len, 1000), EIO);
	wire_seen.silent = false;
	assert_int_equal(wire_load_all(p, stream->data, stream->len, 1000), 0);
}

static void test_device_refuses(void **state)
{
	wire_in_modes(state, device_refuses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_round_trip),
		TEST_WITH(peer, test_check_waits),
		TEST_WITH(peer, test_ambiguous),
		TEST_WITH(peer, test_refused),
		TEST_WITH(peer, test_device_refuses),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}

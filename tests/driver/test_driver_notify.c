/* SPDX-License-Identifier: Apache-2.0 */
/* Kicks and calls: asked for exactly when wanted, with and without EVENT_IDX. */
#include "fake_device.h"

/* Makes n requests available at once; true if that kicks. */
static bool publish(struct fake_device *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(fake_add(f, 0, 1, 8, i), 0);
	return driver_ring_publish(f->ring);
}

/* Completes all; true if the driver asked for a call for that. */
static bool complete(struct fake_device *f)
{
	for (int head; (head = fake_pop(f)) >= 0;)
		fake_push(f, head, 8);
	fake_publish(f);
	return fake_wants_call(f);
}

static unsigned reap_all(struct fake_device *f)
{
	void *token;
	uint32_t len;
	unsigned n = 0;

	while (driver_ring_reap(f->ring, &token, &len) == 1)
		n++;
	return n;
}

static void kick_flag(uint64_t features)
{
	struct fake_device f;

	fake_up(&f, 16, features);
	assert_true(publish(&f, 1));
	fake_disarm(&f);
	assert_false(publish(&f, 3));
	for (unsigned i = 0; i < 4; i++)
		assert_int_not_equal(fake_pop(&f), -1);
	assert_false(fake_arm(&f));
	assert_true(publish(&f, 1));
	assert_false(publish(&f, 0));
	fake_down(&f);
}

static void test_kick_flag(void **state)
{
	kick_flag(0);
	kick_flag(F_PACKED);
}

/*
 * Expects a kick if, and only if, what is published passes the event: for every distance, all
 * around the 16-bit index, and the vring with its wrap counter.
 */
static void kick_event(unsigned size, uint64_t features)
{
	struct fake_device f;

	fake_up(&f, size, features | F_EVENT_IDX);
	/* Only the event counts. */
	if (!f.is_packed)
		shm_store16(&f.used->flags, VRING_USED_F_NO_NOTIFY);
	for (unsigned i = 0; i < 70000; i++) {
		unsigned n = 1 + i % size;
		int ahead = (int)(i / size % (size + 4)) - 2;

		fake_ask_kick(&f, ahead);
		assert_int_equal(publish(&f, n), ahead >= 0 && ahead < (int)n);
		complete(&f);
		assert_int_equal(reap_all(&f), n);
	}
	fake_down(&f);
}

static void test_kick_event(void **state)
{
	kick_event(8, 0);
	kick_event(8, F_PACKED);
	kick_event(7, F_PACKED);
	kick_event(5, F_PACKED | F_IN_ORDER);
}

static void call(unsigned size, uint64_t features)
{
	struct fake_device f;

	fake_up(&f, size, features);
	/* A new vring wants calls. */
	publish(&f, 1);
	assert_true(complete(&f));
	assert_int_equal(reap_all(&f), 1);

	for (unsigned i = 0; i < 66000; i++) {
		unsigned n = 1 + i % (size - 1);

		publish(&f, n);
		/* Armed with nothing there: called. */
		assert_false(driver_ring_arm(f.ring));
		assert_true(complete(&f));
		/* Armed too late for that call: told at once, also half-way. */
		assert_true(driver_ring_arm(f.ring));
		assert_int_equal(reap_all(&f), n);
		assert_false(driver_ring_arm(f.ring));

		/* Not armed: not called, however many complete. */
		driver_ring_disarm(f.ring);
		publish(&f, 1);
		assert_false(complete(&f));
		publish(&f, n);
		assert_false(complete(&f));
		assert_int_equal(reap_all(&f), n + 1);
	}
	/* 2.7.7.1 */
	if (!f.is_packed && f.event_idx)
		assert_int_equal(shm_load16(&f.avail->flags), 0);
	fake_down(&f);
}

static void test_call_flag(void **state)
{
	call(8, 0);
	call(8, F_PACKED);
}

static void test_call_event(void **state)
{
	call(8, F_EVENT_IDX);
	call(8, F_EVENT_IDX | F_PACKED);
	call(11, F_EVENT_IDX | F_PACKED | F_IN_ORDER);
}

/* Arms after some of what is there was reaped: the rest is not forgotten. */
static void arm_half_way(uint64_t features)
{
	struct fake_device f;
	void *token;
	uint32_t len;

	fake_up(&f, 8, features);
	publish(&f, 2);
	complete(&f);
	assert_int_equal(driver_ring_reap(f.ring, &token, &len), 1);
	assert_true(driver_ring_arm(f.ring));
	if (f.is_packed)
		assert_int_equal(shm_load16(&f.driver_event->off_wrap), 1 | 1 << 15);
	else
		assert_int_equal(shm_load16(fake_used_event(&f)), 1);
	assert_int_equal(driver_ring_reap(f.ring, &token, &len), 1);
	assert_false(driver_ring_arm(f.ring));
	fake_down(&f);
}

static void test_arm_half_way(void **state)
{
	arm_half_way(F_EVENT_IDX);
	arm_half_way(F_EVENT_IDX | F_PACKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fd_checked(test_kick_flag),
		fd_checked(test_kick_event),
		fd_checked(test_call_flag),
		fd_checked(test_call_event),
		fd_checked(test_arm_half_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

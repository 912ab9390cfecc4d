/* SPDX-License-Identifier: Apache-2.0 */
/* Kicks and calls: asked for exactly when wanted, with and without EVENT_IDX. */
#include "fake_device.h"

/* Makes n requests available at once; true if that kicks. */
static bool publish(struct fake *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(fake_add(f, 0, 1, 8, i), 0);
	return driver_ring_publish(f->ring);
}

/* The device completes all; true if the driver asked for a call for that. */
static bool complete(struct fake *f, bool event_idx)
{
	uint16_t old = f->used_idx;

	for (int head; (head = fake_pop(f)) >= 0;)
		fake_push(f, head, 8);
	fake_publish(f);
	if (event_idx)
		return vring_need_event(shm_load16(fake_used_event(f)), f->used_idx, old);
	return !(shm_load16(&f->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

static unsigned reap_all(struct fake *f)
{
	void *token;
	uint32_t len;
	unsigned n = 0;

	while (driver_ring_reap(f->ring, &token, &len) == 1)
		n++;
	return n;
}

static void test_kick_flag(void **state)
{
	struct fake f;

	fake_up(&f, 16, 0);
	assert_true(publish(&f, 1));
	shm_store16(&f.used->flags, VRING_USED_F_NO_NOTIFY);
	assert_false(publish(&f, 3));
	shm_store16(&f.used->flags, 0);
	assert_true(publish(&f, 1));
	assert_false(publish(&f, 0));
	fake_down(&f);
}

/*
 * A kick if, and only if, the index passes avail_event: for every distance, all around the 16-bit
 * index.
 */
static void test_kick_event(void **state)
{
	struct fake f;

	fake_up(&f, 8, F_EVENT_IDX);
	/* Only the event counts. */
	shm_store16(&f.used->flags, VRING_USED_F_NO_NOTIFY);
	for (unsigned i = 0; i < 70000; i++) {
		unsigned n = 1 + i % 8;
		int ahead = (int)(i / 8 % 12) - 2;

		shm_store16(fake_avail_event(&f), f.last_avail + ahead);
		assert_int_equal(publish(&f, n), ahead >= 0 && ahead < (int)n);
		complete(&f, true);
		assert_int_equal(reap_all(&f), n);
	}
	fake_down(&f);
}

static void test_call(bool event_idx)
{
	struct fake f;

	fake_up(&f, 8, event_idx ? F_EVENT_IDX : 0);
	/* A new ring wants calls. */
	publish(&f, 1);
	assert_true(complete(&f, event_idx));
	assert_int_equal(reap_all(&f), 1);

	for (unsigned i = 0; i < 66000; i++) {
		unsigned n = 1 + i % 7;

		publish(&f, n);
		/* Armed with nothing there: called. */
		assert_false(driver_ring_arm(f.ring));
		assert_true(complete(&f, event_idx));
		/* Armed too late for that call: told at once, also half-way. */
		assert_true(driver_ring_arm(f.ring));
		assert_int_equal(reap_all(&f), n);
		assert_false(driver_ring_arm(f.ring));

		/* Not armed: not called, however many complete. */
		driver_ring_disarm(f.ring);
		publish(&f, 1);
		assert_false(complete(&f, event_idx));
		publish(&f, n);
		assert_false(complete(&f, event_idx));
		assert_int_equal(reap_all(&f), n + 1);
	}
	/* 2.7.7.1 */
	if (event_idx)
		assert_int_equal(shm_load16(&f.avail->flags), 0);
	fake_down(&f);
}

static void test_call_flag(void **state)
{
	test_call(false);
}

static void test_call_event(void **state)
{
	test_call(true);
}

/* Armed after some of what is there was reaped: the rest is not forgotten. */
static void test_arm_half_way(void **state)
{
	struct fake f;
	void *token;
	uint32_t len;

	fake_up(&f, 8, F_EVENT_IDX);
	publish(&f, 2);
	complete(&f, true);
	assert_int_equal(driver_ring_reap(f.ring, &token, &len), 1);
	assert_true(driver_ring_arm(f.ring));
	assert_int_equal(shm_load16(fake_used_event(&f)), 1);
	assert_int_equal(driver_ring_reap(f.ring, &token, &len), 1);
	assert_false(driver_ring_arm(f.ring));
	fake_down(&f);
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

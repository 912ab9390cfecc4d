/* SPDX-License-Identifier: Apache-2.0 */
/* When a worker polls and for how long, by a clock that the test makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/worker/pace.h"
#include "daemon/worker/poll_window.h"

#define US 1000
#define CAP (50 * US)

/* A driver whose next request comes so long after the last; a sleep makes it later by wake. */
struct driver {
	int64_t gap, wake;
};

struct sums {
	int64_t polled;
	unsigned windows, hits;
};

static struct sums run(struct poll_window *p, struct driver d, unsigned requests)
{
	struct sums s = { 0 };

	for (unsigned i = 0; i < requests; i++) {
		int64_t window = poll_window_next(p);

		assert_in_range(window, 0, p->cap);
		s.windows += window > 0;
		if (d.gap < window) {
			s.hits++;
			s.polled += d.gap;
			poll_window_hit(p, d.gap);
		} else {
			s.polled += window;
			poll_window_slept(p, d.gap + d.wake);
		}
	}
	return s;
}

static void test_never(void **state)
{
	struct poll_window p;

	poll_window_init(&p, 0);
	assert_int_equal(run(&p, (struct driver){ .gap = 1 }, 1000).windows, 0);
}

static void test_polled_driver(void **state)
{
	struct poll_window p;

	poll_window_init(&p, CAP);
	assert_int_equal(run(&p, (struct driver){ .gap = 300 }, 1000).hits, 1000);
	/* It stops: that costs little. */
	assert_in_range(poll_window_next(&p), 10 * US, 12 * US);
}

static void test_blocking_driver(void **state)
{
	const struct driver d = { .gap = 20 * US, .wake = 40 * US };
	struct poll_window p;

	poll_window_init(&p, CAP);
	assert_int_equal(run(&p, d, 1000).hits, 1000);
	/* A pause is forgotten at once. */
	run(&p, (struct driver){ .gap = 1000 * US }, 1);
	assert_in_range(run(&p, d, 1000).hits, 990, 1000);
}

/* Once a millisecond: no polling at all, but at first. */
static void test_paced_driver(void **state)
{
	const struct driver d = { .gap = 1000 * US, .wake = 40 * US };
	struct poll_window p;

	poll_window_init(&p, CAP);
	assert_in_range(run(&p, d, 100).windows, 1, 2);
	assert_int_equal(run(&p, d, 100000).windows, 0);
	/* It hurries up, and is found out in spite of the sleeps. */
	assert_in_range(
		run(&p, (struct driver){ .gap = 15 * US, .wake = 60 * US }, 100).hits, 90, 100);
}

/* Just too slow for the cap, or on the CPU that the poll takes: tried ever less often. */
static void test_futile(void **state)
{
	const struct driver d = { .gap = 60 * US, .wake = 10 * US };
	struct poll_window p;
	struct sums s;

	poll_window_init(&p, CAP);
	run(&p, d, 10000);
	s = run(&p, d, 100000);
	assert_int_equal(s.hits, 0);
	assert_in_range(s.windows, 1, 100);
	/* It is noticed within a while when that changes. */
	s = run(&p, (struct driver){ .gap = 10 * US, .wake = 10 * US }, 10000);
	assert_in_range(s.hits, 8900, 10000);
}

/* What polling found came late: somebody else was on the CPU. */
static void test_descheduled(void **state)
{
	struct poll_window p;

	poll_window_init(&p, CAP);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(poll_window_next(&p) > 0);
		poll_window_hit(&p, 4000 * US);
		if (p.gap > p.cap)
			break;
	}
	assert_int_equal(poll_window_next(&p), 0);
}

/* Naps are for many requests, but not so many that the vring would be full of them. */
static void test_pace(void **state)
{
	static const struct {
		uint64_t popped, passed_us;
		unsigned room;
		uint32_t nap_us;
	} looks[] = { { 0, 200, 1024, 0 }, { 200, 200, 1024, 128 }, { 900, 10, 1024, 128 },
		{ 242, 200, 1024, 150 }, { 260, 200, 1024, 0 }, { 1000, 100, 1024, 0 },
		{ 1100, 100, 256, 32 }, { 1300, 100, 256, 0 }, { 0, 100, 1024, 0 } };
	struct pace p = { 0 };
	uint64_t now = 0;

	for (unsigned i = 0; i < sizeof(looks) / sizeof(*looks); i++) {
		now += looks[i].passed_us * US;
		assert_int_equal(
			pace_nap(&p, now, looks[i].popped, looks[i].room), looks[i].nap_us * US);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_polled_driver),
		cmocka_unit_test(test_blocking_driver),
		cmocka_unit_test(test_paced_driver),
		cmocka_unit_test(test_futile),
		cmocka_unit_test(test_descheduled),
	};

	return cmocka_run_group_tests_name("poll-window", tests, NULL, NULL);
}

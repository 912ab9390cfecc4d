/* SPDX-License-Identifier: Apache-2.0 */
/* Limits by token buckets on a simulated clock: what passes in a second, beside what may. */
#include "tests/lib/test.h"

#include "base/bucket.h"

#include <inttypes.h>

#define NS_PER_S UINT64_C(1000000000)

/* Returns what passes in the second after the first, of requests that always wait. */
static uint64_t passed(uint64_t rate, uint64_t burst, uint64_t size)
{
	struct bucket b;
	uint64_t n = 0;

	bucket_set(&b, rate, burst);
	for (uint64_t now = NS_PER_S; now < 3 * NS_PER_S;) {
		uint64_t at = bucket_wait(&b, now);

		if (at) {
			assert_true(at > now);
			now = at;
			continue;
		}
		bucket_take(&b, size, now);
		n += now >= 2 * NS_PER_S ? size : 0;
	}
	return n;
}

static void test_rate(void **state)
{
	static const struct {
		uint64_t rate, burst, size;
	} cases[] = {
		/* A bucket that holds one token must not be full before it is asked. */
		{ 10, 1, 1 },
		{ 100, 1, 1 },
		{ 100, 2, 1 },
		{ 1000, 1, 1 },
		{ 1000, 100, 1 },
		{ 500, 500, 1 },
		{ 50000, 5000, 1 },
		{ 10000000, 1000000, 65536 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		uint64_t rate = cases[i].rate;
		uint64_t n = passed(rate, cases[i].burst, cases[i].size);
		/* 2 %, and one request more or less where the second cuts it. */
		uint64_t off = rate / 50 + cases[i].size;

		if (n + off < rate || n > rate + off)
			fail_msg("%" PRIu64 " per second of %" PRIu64 ", burst %" PRIu64, n, rate,
				cases[i].burst);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

/* Of two that share a bucket: together no more, and neither is left out. */
static void test_shared(void **state)
{
	uint64_t n[2] = { 0 }, now = NS_PER_S, at[2] = { now, now };
	struct bucket b;

	bucket_set(&b, 1000, 10);
	while (now < 3 * NS_PER_S) {
		unsigned i = at[1] < at[0] || (at[1] == at[0] && now % 2);
		uint64_t wait;

		now = at[i];
		wait = bucket_wait(&b, now);
		if (wait) {
			/* Timers are late, now the one, now the other. */
			at[i] = wait + (n[0] + n[1]) * 7919 % 50000 * (i + 1);
			continue;
		}
		bucket_take(&b, 1, now);
		n[i] += now >= 2 * NS_PER_S;
		/* A request takes a while. */
		at[i] = now + 20000;
	}
	assert_in_range(n[0] + n[1], 980, 1020);
	assert_in_range(n[0], 300, 700);
}

/* Whatever the memory holds: nobody waits for longer than the debt that is allowed, or for ever. */
static void test_hostile(void **state)
{
	static const uint64_t words[] = { 0, 1, 5, NS_PER_S, BUCKET_MAX_RATE, 1ull << 63,
		UINT64_MAX };
	const uint64_t now = 5 * NS_PER_S;
	const size_t n = G_N_ELEMENTS(words);

	for (size_t i = 0; i < n * n * n; i++) {
		struct bucket b = { words[i % n], words[i / n % n], words[i / n / n] };
		uint64_t at;

		bucket_burst(&b);
		assert_true(bucket_rate(&b) <= BUCKET_MAX_RATE);
		bucket_take(&b, 1, now);
		bucket_give_back(&b, 1);
		bucket_take(&b, UINT64_MAX, now);
		at = bucket_wait(&b, now);
		assert_true(at == 0 || at > now);
		assert_true(at < now + 4 * BUCKET_MAX_BURST_S * NS_PER_S);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

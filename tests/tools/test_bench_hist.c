/* SPDX-License-Identifier: Apache-2.0 */
/* The histogram of latencies: its error is bounded, its percentiles are in order. */
#include "tests/lib/test.h"

#include "tools/bench/bench_hist.h"

/* Allows half a bucket. */
static void assert_near(uint64_t got, uint64_t expected)
{
	uint64_t most = expected >> (BENCH_HIST_SUB_BITS + 1);

	assert_in_range(got, expected - most, expected + most);
}

static void test_empty(void **state)
{
	g_autofree struct bench_hist *h = g_new0(struct bench_hist, 1);

	assert_int_equal(bench_hist_percentile(h, 0.5), 0);
	assert_true(bench_hist_mean(h) == 0);
}

static void test_one_value(void **state)
{
	for (unsigned bit = 0; bit < BENCH_HIST_TOP_BIT; bit++) {
		for (int more = -1; more <= 1; more++) {
			g_autofree struct bench_hist *h = g_new0(struct bench_hist, 1);
			uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)more;

			bench_hist_add(h, value);
			/* Of one value nothing is lost: no percentile is outside of min and max. */
			assert_int_equal(bench_hist_percentile(h, 0.001), value);
			assert_int_equal(bench_hist_percentile(h, 1), value);
			assert_int_equal(h->min, value);
			assert_int_equal(h->max, value);
		}
	}
}

static void test_buckets(void **state)
{
	for (uint64_t value = 1; value < UINT64_C(1) << 39; value = value * 9 / 8 + 1) {
		g_autofree struct bench_hist *h = g_new0(struct bench_hist, 1);

		bench_hist_add(h, 0);
		bench_hist_add(h, value);
		bench_hist_add(h, UINT64_C(1) << 39);
		assert_near(bench_hist_percentile(h, 0.5), value);
	}
}

static void test_percentiles(void **state)
{
	g_autofree struct bench_hist *h = g_new0(struct bench_hist, 1);

	for (uint64_t i = 1; i <= 100000; i++)
		bench_hist_add(h, i * 10);
	assert_int_equal(h->count, 100000);
	assert_int_equal(h->min, 10);
	assert_int_equal(h->max, 1000000);
	assert_true(bench_hist_mean(h) == 500005);
	assert_near(bench_hist_percentile(h, 0.5), 500000);
	assert_near(bench_hist_percentile(h, 0.9), 900000);
	assert_near(bench_hist_percentile(h, 0.99), 990000);
	assert_near(bench_hist_percentile(h, 0.999), 999000);
	assert_near(bench_hist_percentile(h, 1), 1000000);
}

/* A single slow request out of a thousand is the 99.9 % only if it is more than that. */
static void test_outlier(void **state)
{
	g_autofree struct bench_hist *h = g_new0(struct bench_hist, 1);

	for (unsigned i = 0; i < 999; i++)
		bench_hist_add(h, 5);
	bench_hist_add(h, 1000000);
	assert_int_equal(bench_hist_percentile(h, 0.999), 5);
	assert_near(bench_hist_percentile(h, 0.9991), 1000000);
	bench_hist_add(h, UINT64_MAX); /* longer than anything: counted all the same */
	assert_true(bench_hist_percentile(h, 1) > UINT64_C(1) << 39);
	assert_true(h->max == UINT64_MAX);
}

static void test_merge(void **state)
{
	g_autofree struct bench_hist *a = g_new0(struct bench_hist, 1);
	g_autofree struct bench_hist *b = g_new0(struct bench_hist, 1);
	g_autofree struct bench_hist *sum = g_new0(struct bench_hist, 1);

	for (uint64_t i = 100; i < 200; i++)
		bench_hist_add(i % 2 ? a : b, i);
	bench_hist_merge(sum, sum); /* nothing and nothing */
	assert_int_equal(sum->count, 0);
	bench_hist_merge(sum, a);
	bench_hist_merge(sum, b);
	assert_int_equal(sum->count, 100);
	assert_int_equal(sum->min, 100);
	assert_int_equal(sum->max, 199);
	assert_true(bench_hist_mean(sum) == 149.5);
	assert_near(bench_hist_percentile(sum, 0.5), 149);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_one_value),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_outlier),
		cmocka_unit_test(test_merge),
	};

	return cmocka_run_group_tests_name("bench_hist", tests, NULL, NULL);
}

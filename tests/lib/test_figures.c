/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of hostile peers' tests: a stall is beyond it, what a loaded machine delays is not. */
#include "tests/lib/test.h"

#include "tests/lib/figures.h"

#define SECOND G_TIME_SPAN_SECOND
#define SPAN_MS 200

static void test_limit(void **state)
{
	static const struct {
		double seconds, idle, usual; /* idle: share of the CPUs' time */
		bool within;
	} cases[] = {
		{ 0.01, 1.0, 0.01, true },
		{ 0.9, 1.0, 0.01, true },
		/* A stall, on an idle machine and on one of whose two CPUs another has one. */
		{ 3.0, 0.98, 0.01, false },
		{ 3.0, 0.98, 0.3, false },
		{ 3.0, 0.5, 0.01, false },
		/* A loaded machine. */
		{ 5.3, 0.02, 0.6, true },
		{ 30.0, 0.0, 0.01, true },
		{ 120.0, 0.05, 0.01, false },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		int64_t us = test_patience() * cases[i].seconds * SECOND;
		const struct figures_time took = { us, us * cases[i].idle };

		assert_int_equal(figures_within(took, cases[i].usual * SECOND), cases[i].within);
	}
}

static void test_idle_clock(void **state)
{
	g_autofree char *stat = g_strdup_printf(
		"cpu  11 22 33 %ld 44 0 55\ncpu0 1 2 3 4\n", 7 * sysconf(_SC_CLK_TCK));

	assert_int_equal(figures_idle(stat, 1), 7 * SECOND);
	assert_int_equal(figures_idle(stat, 2), 7 * SECOND / 2);
	assert_int_equal(figures_idle("cpu  1 2 3\n", 1), -1);
	assert_int_equal(figures_idle("", 1), -1);
}

static bool stop;

static void *work(void *opaque)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		continue;
	return NULL;
}

/* Pauses while so many threads work. Returns how long that takes. */
static struct figures_time span(unsigned workers)
{
	pthread_t *threads = g_new(pthread_t, workers);
	struct figures_time start;

	stop = false;
	for (unsigned i = 0; i < workers; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
	start = figures_now();
	test_pause(SPAN_MS * 1000);
	start = figures_since(start);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < workers; i++)
		pthread_join(threads[i], NULL);
	g_free(threads);
	return start;
}

static void test_machine(void **state)
{
	struct figures_time quiet = span(0), loaded = span(g_get_num_processors());

	print_message("[  NOTE    ] of %lld ms, CPUs were idle for %lld; of %lld with load, %lld\n",
		(long long)quiet.us / 1000, (long long)quiet.idle / 1000,
		(long long)loaded.us / 1000, (long long)loaded.idle / 1000);
	assert_true(quiet.us >= SPAN_MS * 1000 && loaded.us >= SPAN_MS * 1000);
	/* The kernel counts ticks of 10 ms. */
	assert_in_range(quiet.idle, 0, quiet.us + 20000);
	assert_in_range(loaded.idle, 0, loaded.us / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_idle_clock),
		cmocka_unit_test(test_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a process uses: this one's CPU time grows, it has memory; others may be unknown. */
#include "tests/lib/test.h"

#include "tools/bench/bench_usage.h"

static gpointer burn(gpointer until)
{
	while (bench_usage_cpu(getpid()) < *(int64_t *)until)
		;
	return NULL;
}

/* Also of threads, and of threads that have ended. */
static void test_cpu(void **state)
{
	int64_t before = bench_usage_cpu(getpid()), until = before + 5000000, after;

	assert_true(before > 0);
	g_thread_join(g_thread_new("burn", burn, &until));
	after = bench_usage_cpu(getpid());
	assert_true(after >= until);
}

static void test_memory(void **state)
{
	struct bench_usage u = { 0 };

	bench_usage_memory(getpid(), &u);
	assert_true(u.rss_kib > 0);
	assert_true(u.pss_kib > 0 && u.pss_kib <= u.rss_kib);
	assert_true(u.private_dirty_kib > 0 && u.private_dirty_kib <= u.pss_kib);
}

static void test_unknown(void **state)
{
	static const int pids[] = { 0, -1, 1 << 22 /* PID_MAX_LIMIT */ };

	for (size_t i = 0; i < G_N_ELEMENTS(pids); i++) {
		struct bench_usage u = { 0 };

		assert_true(bench_usage_cpu(pids[i]) == BENCH_UNKNOWN);
		bench_usage_memory(pids[i], &u);
		assert_true(u.rss_kib == BENCH_UNKNOWN);
		assert_true(u.pss_kib == BENCH_UNKNOWN);
		assert_true(u.private_dirty_kib == BENCH_UNKNOWN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpu),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests_name("bench_usage", tests, NULL, NULL);
}

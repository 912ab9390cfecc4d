/* SPDX-License-Identifier: Apache-2.0 */
/* The progress bar's line, at any width. */
#include "tests/lib/test.h"

#include "tools/block/progress.h"

#define MIB (UINT64_C(1) << 20)

static void check_line(
	uint64_t done, uint64_t total, uint64_t us, unsigned columns, const char *expected)
{
	g_autofree char *line = progress_line(done, total, us, columns);

	assert_string_equal(line, expected);
}

static void test_bar(void **state)
{
	check_line(0, 64 * MIB, 0, 80,
		"  0% [>                                     ] 0 bytes of 64 MiB  -");
	check_line(32 * MIB, 64 * MIB, 1000000, 80,
		" 50% [==================>                 ] 32 MiB of 64 MiB  32 MiB/s  ETA 0:01");
	check_line(64 * MIB, 64 * MIB, 2000000, 70,
		"100% [==========================] 64 MiB of 64 MiB  32 MiB/s  ETA 0:00");
}

static void test_more_than_total(void **state)
{
	g_autofree char *line = progress_line(128 * MIB, 64 * MIB, 2000000, 80);

	assert_true(g_str_has_prefix(line, "100% ["));
	assert_non_null(strstr(line, "ETA 0:00"));
}

static void test_unknown_total(void **state)
{
	check_line(32 * MIB, 0, 2000000, 80, "32 MiB  16 MiB/s  0:02");
	check_line(0, 0, 0, 80, "0 bytes  -  0:00");
}

static void test_fits(void **state)
{
	for (unsigned columns = 1; columns < 200; columns++) {
		g_autofree char *line = progress_line(5 * MIB, 64 * MIB, 12345678, columns);

		assert_true(strlen(line) <= columns);
		assert_true(columns > 60 || !strchr(line, '[') || strchr(line, ']'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bar),
		cmocka_unit_test(test_more_than_total),
		cmocka_unit_test(test_unknown_total),
		cmocka_unit_test(test_fits),
	};

	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}

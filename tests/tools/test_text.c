/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, rates and times as people read them. */
#include "tests/lib/test.h"

#include "text.h"

#define KIB UINT64_C(1024)

static void check_text(char *got, const char *expected)
{
	assert_string_equal(got, expected);
	g_free(got);
}

static void test_size(void **state)
{
	check_text(text_size(0), "0 bytes");
	check_text(text_size(1), "1 byte");
	check_text(text_size(1023), "1023 bytes");
	check_text(text_size(1024), "1 KiB");
	check_text(text_size(1536), "1.5 KiB");
	check_text(text_size(2047), "1.9 KiB");
	check_text(text_size(64 * KIB * KIB), "64 MiB");
	check_text(text_size(1023 * KIB * KIB), "1023 MiB");
	check_text(text_size(KIB * KIB * KIB * 5 / 2), "2.5 GiB");
	check_text(text_size(UINT64_MAX), "15.9 EiB");
}

static void test_rate(void **state)
{
	check_text(text_rate(123, 0), "-");
	check_text(text_rate(KIB * KIB, 1000000), "1 MiB/s");
	check_text(text_rate(KIB * KIB, 500000), "2 MiB/s");
	check_text(text_rate(0, 500000), "0 bytes/s");
}

static void test_duration(void **state)
{
	check_text(text_duration(0), "0:00");
	check_text(text_duration(67), "1:07");
	check_text(text_duration(3599), "59:59");
	check_text(text_duration(3600 + 62), "1:01:02");
	check_text(text_duration(100 * 3600), "100:00:00");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_duration),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}

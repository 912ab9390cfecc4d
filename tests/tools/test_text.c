/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, rates and times, read and written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>

#include "text.h"
#include "virtioctl.h"

#define KIB UINT64_C(1024)

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t size;
	} good[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "0512", 512 },
		{ "0x1000", 4096 },
		{ "0X10K", 16 * KIB },
		{ "512B", 512 },
		{ "4k", 4 * KIB },
		{ "4K", 4 * KIB },
		{ "4KB", 4 * KIB },
		{ "4KiB", 4 * KIB },
		{ "10M", 10 * KIB * KIB },
		{ "3GiB", 3 * KIB * KIB * KIB },
		{ "2T", 2 * KIB * KIB * KIB * KIB },
		{ "18446744073709551615", UINT64_MAX },
		{ "16777215T", (UINT64_C(16777215) << 40) },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autoptr(GError) error = NULL;
		uint64_t size = 1;

		assert_true(text_parse_size(good[i].text, "--length", &size, &error));
		assert_null(error);
		assert_true(size == good[i].size);
	}
}

static void test_parse_refuses(void **state)
{
	static const char *const bad[] = { "", "K", "-1", "+1", " 1", "1 ", "1.5M", "4Q", "4KX",
		"4iB", "4KiBs", "0x", "0xG", "1e3", "18446744073709551616", "16777216T",
		"18014398509481984K" };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		uint64_t size = 7;

		assert_false(text_parse_size(bad[i], "--length", &size, &error));
		assert_true(g_error_matches(error, CTL_ERROR, CTL_ERROR_USAGE));
		assert_true(g_str_has_prefix(error->message, "--length: '"));
		assert_int_equal(size, 7);
	}
}

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
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_duration),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}

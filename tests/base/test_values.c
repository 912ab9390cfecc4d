/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, sizes and words as text; errors in one line; memory that cannot shrink. */
#include "tests/lib/test.h"

#include <sys/stat.h>

#include "base/choice.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memfd.h"
#include "base/number.h"
#include "base/util.h"

static void test_number(void **state)
{
	static const struct {
		const char *text;
		uint64_t min, max;
		bool good;
		uint64_t value;
	} rows[] = {
		{ "0", 0, 0, true, 0 },
		{ "4096", 1, 4096, true, 4096 },
		{ "0x10", 0, 16, true, 16 },
		{ "0XfF", 0, 255, true, 255 },
		{ "18446744073709551615", 0, UINT64_MAX, true, UINT64_MAX },
		{ "18446744073709551616", 0, UINT64_MAX },
		{ "4097", 1, 4096 },
		{ "0", 1, 4096 },
		{ "", 0, 9 },
		{ "-1", 0, UINT64_MAX },
		{ "+1", 0, 9 },
		{ " 1", 0, 9 },
		{ "1 ", 0, 9 },
		{ "0x", 0, 9 },
		{ "0x-1", 0, UINT64_MAX },
		{ "1K", 0, 4096 },
		{ "one", 0, 9 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		uint64_t value = 77;

		assert_int_equal(
			number_parse(rows[i].text, rows[i].min, rows[i].max, &value), rows[i].good);
		assert_true(value == (rows[i].good ? rows[i].value : 77));
	}
}

static void test_bytes(void **state)
{
	static const struct {
		const char *text;
		unsigned shift;
		bool good;
		uint64_t value;
	} rows[] = {
		{ "4096", 0, true, 4096 },
		{ "0x1000", 0, true, 4096 },
		{ "0", 0, true, 0 },
		{ "0512", 0, true, 512 },
		{ "0X10K", 0, true, 16384 },
		{ "512B", 0, true, 512 },
		{ "10M", 0, true, 10 << 20 },
		{ "3GiB", 0, true, UINT64_C(3) << 30 },
		{ "2T", 0, true, UINT64_C(2) << 40 },
		{ "4K", 0, true, 4096 },
		{ "4k", 20, true, 4096 },
		{ "4KB", 0, true, 4096 },
		{ "4KiB", 0, true, 4096 },
		{ "4B", 20, true, 4 },
		{ "256", 20, true, 256 << 20 },
		{ "2G", 20, true, UINT64_C(2) << 30 },
		{ "16777215T", 0, true, UINT64_C(16777215) << 40 },
		{ "16777216T", 0 },
		{ "17592186044416", 20 },
		{ "1.5M", 0 },
		{ "4iB", 0 },
		{ "4KK", 0 },
		{ "4Kb", 0 },
		{ "4 K", 0 },
		{ "K", 0 },
		{ "4Q", 0 },
		{ "4KX", 0 },
		{ "4KiBs", 0 },
		{ "0x", 0 },
		{ "0xG", 0 },
		{ "1e3", 0 },
		{ "+1", 0 },
		{ " 1", 0 },
		{ "1 ", 0 },
		{ "18446744073709551616", 0 },
		{ "18014398509481984K", 0 },
		{ "-4K", 0 },
		{ "", 0 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		uint64_t value = 77;

		assert_int_equal(
			number_parse_bytes(rows[i].text, rows[i].shift, &value), rows[i].good);
		assert_true(value == (rows[i].good ? rows[i].value : 77));
	}
}

static void test_choice(void **state)
{
	static const char *const words[] = { "one", "two", NULL };
	static const char *const bad[] = { "", "tw", "twoo", "One" };
	g_autofree char *two = choice_list(words), *three = choice_list(choice_words);
	unsigned which = 77;

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_false(choice_parse(bad[i], words, &which));
	assert_int_equal(which, 77);
	assert_true(choice_parse("two", words, &which));
	assert_int_equal(which, 1);
	assert_true(choice_parse("on", choice_words, &which));
	assert_int_equal(which, CHOICE_ON);
	assert_true(choice_parse("no", choice_words, &which));
	assert_int_equal(which, CHOICE_OFF);
	assert_false(choice_parse("yes", words, &which));
	assert_string_equal(two, "one or two");
	assert_string_equal(three, "auto, on or off");
}

static bool with_prefix(GError **error, const char *prefix, const char *format, ...)
	G_GNUC_PRINTF(3, 4);
static bool with_prefix(GError **error, const char *prefix, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_setv(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, prefix, format, args);
	va_end(args);
	return false;
}

static void test_error(void **state)
{
	g_autoptr(GError) plain = NULL, prefixed = NULL, bare = NULL, number = NULL;

	assert_false(error_set(&plain, G_FILE_ERROR, G_FILE_ERROR_IO, "%d%% of %s", 7, "it"));
	assert_true(g_error_matches(plain, G_FILE_ERROR, G_FILE_ERROR_IO));
	assert_string_equal(plain->message, "7% of it");
	assert_false(with_prefix(&prefixed, "%s", "%s", "%d"));
	assert_string_equal(prefixed->message, "%s: %d");
	assert_false(with_prefix(&bare, NULL, "%u", 1));
	assert_string_equal(bare->message, "1");
	assert_false(error_errno(&number, ENOENT, "image '%s'", "a%s"));
	assert_true(g_error_matches(number, G_FILE_ERROR, G_FILE_ERROR_NOENT));
	assert_string_equal(number->message, "image 'a%s': No such file or directory");
	/* The caller need not want to know. */
	assert_false(error_set(NULL, G_FILE_ERROR, G_FILE_ERROR_IO, "%d", 7));
	assert_false(error_errno(NULL, ENOENT, "%d", 7));
}

static void test_memfd(void **state)
{
	autofd fd = memfd_sealed("test", 3 * 4096);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 3 * 4096);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(ftruncate(fd, 4 * 4096), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(memfd_sealed("test", UINT64_MAX), -1);
	assert_int_equal(errno, EFBIG);
}

static void test_clock(void **state)
{
	uint64_t us = (uint64_t)g_get_monotonic_time(), ns = clock_now_ns();

	cpu_relax();
	assert_true(ns / 1000 >= us && clock_now_ns() >= ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_memfd),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

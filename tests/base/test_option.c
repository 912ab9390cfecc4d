/* SPDX-License-Identifier: Apache-2.0 */
/* What a command line is told that is wrong, and levels by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/option.h"

static void test_bad(void **state)
{
	g_autoptr(GError) error = NULL;

	assert_false(option_bad(&error, "--%s=%d: 100%% wrong", "queues", 7));
	assert_true(g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE));
	assert_string_equal(error->message, "--queues=7: 100% wrong");
	/* Whoever does not want to know. */
	assert_false(option_bad(NULL, "--%s", "queues"));
}

static void test_levels(void **state)
{
	const struct {
		const char *text;
		enum log_level level;
	} good[] = {
		{ "error", LOG_LEVEL_ERROR },
		{ "warning", LOG_LEVEL_WARNING },
		{ "info", LOG_LEVEL_INFO },
		{ "debug", LOG_LEVEL_DEBUG },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autoptr(GError) error = NULL;
		enum log_level level =
			good[i].level == LOG_LEVEL_ERROR ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR;

		/* Its opposite before: it is set. */
		assert_true(option_log_level(good[i].text, &level, &error));
		assert_int_equal(level, good[i].level);
		assert_null(error);
	}
}

static void test_no_level(void **state)
{
	const enum log_level levels[] = { LOG_LEVEL_ERROR, LOG_LEVEL_DEBUG };

	for (unsigned i = 0; i < G_N_ELEMENTS(levels); i++) {
		g_autoptr(GError) error = NULL;
		enum log_level level = levels[i];

		assert_true(option_log_level(NULL, &level, &error));
		assert_int_equal(level, levels[i]);
		assert_null(error);
	}
}

static void test_bad_levels(void **state)
{
	const char *const bad[] = { "", "warn", "Error", "errors", "info ", "0", "%s%n" };

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *says = g_strdup_printf(
			"--log-level=%s: not one of error, warning, info, debug", bad[i]);
		enum log_level level = LOG_LEVEL_INFO;
		g_autoptr(GError) error = NULL;

		assert_false(option_log_level(bad[i], &level, &error));
		assert_true(g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE));
		assert_string_equal(error->message, says);
		assert_false(option_log_level(bad[i], &level, NULL));
	}
}

static void test_words(void **state)
{
	static const char *const words[] = { "one", "two", NULL };
	g_autoptr(GError) error = NULL;
	unsigned which = 77;

	assert_false(option_word("", words, &which, &error));
	assert_true(g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE));
	assert_string_equal(error->message, "not one of one, two");
	assert_false(option_word("tw", words, &which, NULL));
	assert_int_equal(which, 77);
	assert_true(option_word("two", words, &which, NULL));
	assert_int_equal(which, 1);
	assert_true(option_word("one", words, &which, NULL));
	assert_int_equal(which, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_no_level),
		cmocka_unit_test(test_bad_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

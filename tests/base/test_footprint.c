/* SPDX-License-Identifier: Apache-2.0 */
/* Starting costs memory that is given back, and what was written stays. */
#include "tests/lib/test.h"

#include "base/footprint.h"

static int variable = 7;

/* Returns resident pages of files, in KiB. */
static unsigned resident_files(void)
{
	g_autofree char *status = NULL;
	const char *line;
	unsigned kib;

	assert_true(g_file_get_contents("/proc/self/status", &status, NULL, NULL));
	line = strstr(status, "RssFile:");
	assert_non_null(line);
	assert_int_equal(sscanf(line, "RssFile: %u", &kib), 1);
	return kib;
}

static void test_trim(void **state)
{
	g_autofree char *text = g_strdup("kept");
	unsigned before, after;

	before = resident_files();
	variable = 8;
	footprint_trim();
	after = resident_files();
	assert_true(after < before);
	assert_int_equal(variable, 8);
	assert_string_equal(text, "kept");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_trim) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Values of rule files: bytes and escapes, as GKeyFile reads them where they are UTF-8. */
#include "tests/lib/test.h"

#include "launch/rule_text.h"

static const char *const good[] = { "", "/srv/a.img", "/d\xc3\xbcsk", "a\\sb\\n\\t\\r", "\\\\",
	"\\\\;a", "a;b", ";", ";;", "a;;b", ";a", "a;", "a; b ;" };
static const char *const of_lists[] = { "a\\;b;c", "\\;", "\\;;", "a\\\\\\;;b" };
static const char *const bad[] = { "\\", "a\\q", "\\x41", "a;b\\" };

static void check_list(GKeyFile *file, const char *raw)
{
	g_auto(GStrv) list = rule_text_list(raw, NULL), expected = NULL;

	g_key_file_set_value(file, "a", "k", raw);
	expected = g_key_file_get_string_list(file, "a", "k", NULL, NULL);
	if (!g_strv_equal((const char *const *)list, (const char *const *)expected))
		fail_msg("\"%s\" is not read as by GKeyFile", raw);
}

static void test_options_like_key_files(void **state)
{
	g_autoptr(GKeyFile) file = g_key_file_new();

	for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autofree char *value = rule_text_string(good[i], NULL), *expected = NULL;

		g_key_file_set_value(file, "a", "k", good[i]);
		expected = g_key_file_get_string(file, "a", "k", NULL);
		assert_string_equal(value, expected);
		check_list(file, good[i]);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(of_lists); i++)
		check_list(file, of_lists[i]);
}

static void test_options_are_bytes(void **state)
{
	g_auto(GStrv) list = rule_text_list("--a=\xfc\\;\\\\;--b\\s\xff", NULL);
	g_autofree char *value = rule_text_string("/d\xfcsk;\\s", NULL);

	assert_string_equal(value, "/d\xfcsk; ");
	assert_string_equal(list[0], "--a=\xfc;\\");
	assert_string_equal(list[1], "--b \xff");
	assert_null(list[2]);
}

static void test_options_bad_escapes(void **state)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) of_string = NULL, of_list = NULL;

		assert_null(rule_text_string(bad[i], &of_string));
		assert_error_has(&of_string, "after each backslash");
		assert_null(rule_text_list(bad[i], &of_list));
		assert_error_has(&of_list, "after each backslash");
	}
	assert_null(rule_text_string("a\\;b", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_like_key_files),
		cmocka_unit_test(test_options_are_bytes),
		cmocka_unit_test(test_options_bad_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

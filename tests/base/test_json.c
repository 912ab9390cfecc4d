/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: structure, commas and escapes. */
#include "tests/lib/test.h"

#include <math.h>

#include "base/json.h"

static void test_structure(void **state)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct json j = { .out = out };

	json_open_object(&j, NULL);
	json_uint(&j, "n", UINT64_MAX);
	json_bool(&j, "yes", true);
	json_bool(&j, "no", false);
	json_null(&j, "nothing");
	json_string(&j, "absent", NULL);
	json_hex64(&j, "hex", 0x1234);
	json_double(&j, "real", 1234567.8912);
	json_double(&j, "small", -0.0123456);
	json_double(&j, "infinite", INFINITY);
	json_open_array(&j, "empty");
	json_close_array(&j);
	json_open_array(&j, "list");
	json_uint(&j, NULL, 1);
	json_open_object(&j, NULL);
	json_string(&j, "a", "b");
	json_close_object(&j);
	json_close_array(&j);
	json_string(&j, "last", "z");
	json_close_object(&j);
	assert_string_equal(out->str,
		"{\n"
		"  \"n\": 18446744073709551615,\n"
		"  \"yes\": true,\n"
		"  \"no\": false,\n"
		"  \"nothing\": null,\n"
		"  \"absent\": null,\n"
		"  \"hex\": \"0x0000000000001234\",\n"
		"  \"real\": 1234567.891,\n"
		"  \"small\": -0.012346,\n"
		"  \"infinite\": null,\n"
		"  \"empty\": [],\n"
		"  \"list\": [\n"
		"    1,\n"
		"    {\n"
		"      \"a\": \"b\"\n"
		"    }\n"
		"  ],\n"
		"  \"last\": \"z\"\n"
		"}");
}

static void check_string(const char *value, const char *expected)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct json j = { .out = out };

	json_string(&j, NULL, value);
	assert_string_equal(out->str, expected);
}

static void test_escapes(void **state)
{
	check_string("", "\"\"");
	check_string("/run/a b.sock", "\"/run/a b.sock\"");
	check_string("a\"b\\c", "\"a\\\"b\\\\c\"");
	check_string("\n\t\x01\x1f\x7f", "\"\\u000a\\u0009\\u0001\\u001f\\u007f\"");
	check_string("\xc3\xa9\xe2\x82\xac", "\"\xc3\xa9\xe2\x82\xac\"");
	check_string("\xc2\x80\xc2\x9b\xc2\xa0", "\"\\u0080\\u009b\xc2\xa0\"");
	/* Not UTF-8: U+FFFD for each byte. */
	check_string("a\xff\xfe", "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void test_key_is_escaped(void **state)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct json j = { .out = out };

	json_open_object(&j, NULL);
	json_uint(&j, "a\"b", 1);
	json_close_object(&j);
	assert_string_equal(out->str, "{\n  \"a\\\"b\": 1\n}");
}

static void test_one_line(void **state)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct json j = { .out = out, .one_line = true };

	json_open_object(&j, NULL);
	json_int(&j, "n", INT64_MIN);
	json_open_array(&j, "list");
	json_string(&j, NULL, "a\nb");
	json_open_object(&j, NULL);
	json_close_object(&j);
	json_close_array(&j);
	json_close_object(&j);
	assert_string_equal(out->str, "{\"n\":-9223372036854775808,\"list\":[\"a\\u000ab\",{}]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_structure),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_key_is_escaped),
		cmocka_unit_test(test_one_line),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}

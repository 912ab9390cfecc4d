/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that is read: what is taken, what it decodes to, and what is refused. */
#include "tests/lib/test.h"

#include "base/json_read.h"

/* Appends "key=text;" or "key:text;" for what is no string. */
static bool note(void *opaque, const char *key, const struct json_value *v)
{
	g_string_append_printf(
		opaque, "%s%c%.*s;", key, v->type == JSON_STRING ? '=' : ':', (int)v->len, v->text);
	return !g_str_equal(key, "stop");
}

/* Reads a copy of exactly len bytes, so that a sanitizer sees what lies behind. */
static bool read_bytes(const char *text, size_t len, GString *out)
{
	g_autofree char *copy = g_malloc(len + 1);

	memcpy(copy, text, len);
	return json_read_object(copy, len, note, out);
}

static void test_accepted(void **state)
{
	static const struct {
		const char *text, *members;
	} cases[] = {
		{ "{}", "" },
		{ " { \t\r\n} ", "" },
		{ "{\"a\":1}", "a:1;" },
		{ "{ \"a\" : \"b\" , \"c\" : null }", "a=b;c:null;" },
		{ "{\"a\":true,\"b\":false,\"c\":-0.5e+10}", "a:true;b:false;c:-0.5e+10;" },
		{ "{\"\\u0041\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "A=\"\\/\b\f\n\r\t;" },
		{ "{\"a\":\"\\u00e9\\u20ac\\ud83d\\ude00\"}",
			"a=\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80;" },
		{ "{\"a\":{\"b\":[1,{\"c\":\"\\n\"}]},\"d\":[]}",
			"a:{\"b\":[1,{\"c\":\"\\n\"}]};d:[];" },
		{ "{\"a\":1,\"a\":2}", "a:1;a:2;" },
		{ "{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}",
			"a:[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]];" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GString) out = g_string_new(NULL);

		if (!read_bytes(cases[i].text, strlen(cases[i].text), out))
			fail_msg("'%s' is refused", cases[i].text);
		assert_string_equal(out->str, cases[i].members);
	}
}

static void test_refused(void **state)
{
	static const char *const cases[] = { "", "[]", "1", "\"a\"", "{", "}", "{}x", "{} {}",
		"{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{a:1}", "{'a':1}", "{\"a\":01}",
		"{\"a\":+1}", "{\"a\":1.}", "{\"a\":.5}", "{\"a\":1e}", "{\"a\":-}", "{\"a\":nul}",
		"{\"a\":True}", "{\"a\":NaN}", "{\"a\":\"b}", "{\"a\":\"\\x\"}",
		"{\"a\":\"\\u12\"}", "{\"a\":\"\\u0000\"}", "{\"a\":\"\\ud83d\"}",
		"{\"a\":\"\\ude00\"}", "{\"a\":\"\\ud83d\\u0041\"}", "{\"a\":\"\n\"}",
		"{\"a\":[1 2]}", "{\"a\":[1,]}", "{\"a\":[1}", "{\"a\":{\"b\" 1}}",
		"{\"a\":1 \"b\":2}", "{\"a\":1}}", "{\"a\":\"\\", "{\"stop\":1}",
		"{\"a\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}" };

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GString) out = g_string_new(NULL);

		if (read_bytes(cases[i], strlen(cases[i]), out))
			fail_msg("'%s' is taken", cases[i]);
	}
}

static bool note_element(void *opaque, const struct json_value *v)
{
	return note(opaque, "", v) && v->type != JSON_NULL;
}

static void test_array(void **state)
{
	static const struct {
		const char *text, *elements; /* NULL: refused */
	} cases[] = {
		{ "[]", "" },
		{ " [ ] ", "" },
		{ "[1, \"\\u0041\" ,[2,[3]],{\"a\":\"\\n\"}]", ":1;=A;:[2,[3]];:{\"a\":\"\\n\"};" },
		{ "", NULL },
		{ "{}", NULL },
		{ "[1 2]", NULL },
		{ "[1,]", NULL },
		{ "[,1]", NULL },
		{ "[1", NULL },
		{ "[1]x", NULL },
		{ "[1]]", NULL },
		{ "[[1]", NULL },
		{ "[null]", NULL },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *copy = g_strdup(cases[i].text);
		g_autoptr(GString) out = g_string_new(NULL);
		bool taken = json_read_array(copy, strlen(copy), note_element, out);

		if (taken != !!cases[i].elements)
			fail_msg("'%s' is %s", cases[i].text, taken ? "taken" : "refused");
		if (taken)
			assert_string_equal(out->str, cases[i].elements);
	}
}

/* Every beginning of an object is refused, and nothing behind it is read. */
static void test_cut(void **state)
{
	static const char text[] = "{\"a\":[1,{\"b\":\"\\ud83d\\ude00\"}],\"c\":-1.5e3,\"d\":true}";

	for (size_t len = 0; len + 1 < sizeof(text); len++) {
		g_autoptr(GString) out = g_string_new(NULL);

		assert_false(read_bytes(text, len, out));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_array),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests_name("json_read", tests, NULL, NULL);
}

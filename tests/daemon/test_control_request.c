/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the control socket: JSON-RPC's rules, and the types of parameters. */
#include "tests/lib/test.h"

#include "control/request.h"

#define V "\"jsonrpc\":\"2.0\","

static void read_line(struct control_request *r, char **line, const char *text)
{
	*line = g_strdup(text);
	control_request_read(r, *line, strlen(text));
}

static void test_envelope(void **state)
{
	static const struct {
		const char *line;
		enum control_error error; /* 0: it is a request */
		const char *id;
		bool is_notification;
	} cases[] = {
		{ "{" V "\"id\":7,\"method\":\"a\"}", 0, "7" },
		{ "{" V "\"id\":\"x\\\"y\",\"method\":\"a\",\"params\":{}}", 0, "\"x\\\"y\"" },
		{ "{" V "\"id\":null,\"method\":\"a\"}", 0, "null" },
		{ "{" V "\"method\":\"a\"}", 0, "null", true },
		{ "{" V "\"method\":\"a\",\"params\":[1]}", CONTROL_INVALID_PARAMS, "null", true },
		{ "{" V "\"id\":7,\"method\":\"a\",\"params\":[1]}", CONTROL_INVALID_PARAMS, "7" },
		{ "{" V "\"id\":7,\"method\":\"a\",\"params\":{\"b\":{}}}", CONTROL_INVALID_PARAMS,
			"7" },
		{ "{" V "\"id\":7,\"method\":\"a\",\"params\":{\"b\":1,\"b\":2}}",
			CONTROL_INVALID_PARAMS, "7" },
		{ "{" V "\"id\":7,\"method\":\"a\",\"params\":{\"a\":1,\"b\":2,\"c\":3,\"d\":4,"
		  "\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9}}",
			CONTROL_INVALID_PARAMS, "7" },
		{ "{\"id\":7,\"method\":\"a\"}", CONTROL_INVALID_REQUEST, "7" },
		{ "{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"a\"}", CONTROL_INVALID_REQUEST, "7" },
		{ "{" V "\"id\":7}", CONTROL_INVALID_REQUEST, "7" },
		{ "{" V "\"id\":7,\"method\":1}", CONTROL_INVALID_REQUEST, "7" },
		{ "{" V "\"id\":{},\"method\":\"a\"}", CONTROL_INVALID_REQUEST, "null" },
		{ "{" V "\"id\":1234567890123456789012345678901234567890123456789012345678901234567"
		  ",\"method\":\"a\"}",
			CONTROL_INVALID_REQUEST, "null" },
		{ "[{" V "\"id\":7,\"method\":\"a\"}]", CONTROL_PARSE_ERROR, "null" },
		{ "{" V "\"id\":7,\"method\":\"\xff\"}", CONTROL_PARSE_ERROR, "null" },
		{ "{" V "\"id\":7,\"method\":\"a\"", CONTROL_PARSE_ERROR, "null" },
		{ "", CONTROL_PARSE_ERROR, "null" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *line = NULL;
		struct control_request r;

		read_line(&r, &line, cases[i].line);
		if (r.error != cases[i].error || r.is_notification != cases[i].is_notification)
			fail_msg("'%s': error %d", cases[i].line, r.error);
		assert_string_equal(r.id, cases[i].id);
		assert_true(r.error ? r.why != NULL : g_str_equal(r.method, "a"));
	}
}

static const struct virtio_param params[] = {
	{ "line", VIRTIO_PARAM_NUMBER, .max = 7 },
	{ "name", VIRTIO_PARAM_TEXT, .optional = true },
	{ "on", VIRTIO_PARAM_FLAG, .optional = true },
	{ "level", VIRTIO_PARAM_NUMBER, .min = INT64_MIN, .max = INT64_MAX, .optional = true },
	{ NULL },
};

static void test_params(void **state)
{
	static const struct {
		const char *params;
		const char *error; /* NULL: none */
		int64_t level;
	} cases[] = {
		{ "\"line\":7" },
		{ "\"line\":\"0x7\",\"name\":\"\",\"on\":false" },
		{ "\"line\":7,\"level\":-9223372036854775807", NULL, -INT64_MAX },
		{ "\"line\":7,\"level\":9223372036854775808", "level: not a number from" },
		{ "\"line\":8", "line: not a number from 0 to 7" },
		{ "\"line\":-1", "line: not a number" },
		{ "\"line\":7.0", "line: not a number" },
		{ "\"line\":7e0", "line: not a number" },
		{ "\"line\":null", "line: not a number" },
		{ "\"line\":true", "line: not a number" },
		{ "\"line\":\"\"", "line: not a number" },
		{ "", "line: missing" },
		{ "\"line\":7,\"name\":null", "name: not a text" },
		{ "\"line\":7,\"on\":\"maybe\"", "on: not true or false" },
		{ "\"line\":7,\"Line\":7", "Line: no such parameter" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *line = NULL,
				*text = g_strdup_printf(
					"{" V "\"id\":1,\"method\":\"set\",\"params\":{%s}}",
					cases[i].params);
		struct virtio_arg args[VIRTIO_MAX_PARAMS];
		g_autoptr(GError) error = NULL;
		struct control_request r;
		bool ok;

		read_line(&r, &line, text);
		assert_int_equal(r.error, 0);
		ok = control_request_match(&r, params, args, &error);
		if (ok == !!cases[i].error)
			fail_msg("%s: %s", cases[i].params, ok ? "taken" : error->message);
		if (!ok) {
			assert_non_null(strstr(error->message, cases[i].error));
			continue;
		}
		assert_int_equal(args[0].number, 7);
		assert_string_equal(args[1].text, "");
		assert_false(args[2].flag);
		assert_int_equal(args[3].number, cases[i].level);
	}
}

static void test_replies(void **state)
{
	struct control_request r = { .id = "\"x\"" };
	g_autoptr(GString) out = g_string_new(NULL);
	struct json j = { .out = out };

	control_reply_begin(&j, &r);
	json_int(&j, "value", -1);
	control_reply_end(&j);
	assert_string_equal(
		out->str, "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{\"value\":-1}}\n");
	g_string_truncate(out, 0);
	control_reply_error(out, &r, CONTROL_NO_METHOD, "a\nb");
	assert_string_equal(out->str,
		"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"code\":-32601,\"message\":"
		"\"a\\u000ab\"}}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_replies),
	};

	return cmocka_run_group_tests_name("control_request", tests, NULL, NULL);
}

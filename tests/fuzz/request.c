/* SPDX-License-Identifier: Apache-2.0 */
/* Lines to the control socket: JSON, JSON-RPC's envelope, parameters, and the reply. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "control/request.h"

static const struct virtio_param params[] = {
	{ "line", VIRTIO_PARAM_NUMBER, .max = 7 },
	{ "name", VIRTIO_PARAM_TEXT, .optional = true },
	{ "on", VIRTIO_PARAM_FLAG, .optional = true },
	{ "level", VIRTIO_PARAM_NUMBER, .min = INT64_MIN, .max = INT64_MAX, .optional = true },
	{ NULL },
};

static bool ignore(void *opaque, const char *key, const struct json_value *v)
{
	return true;
}

/* Checks that a reply is a line of JSON, whatever the request was. */
static void check_reply(GString *reply)
{
	g_assert_true(g_utf8_validate(reply->str, (gssize)reply->len, NULL));
	g_assert_cmpint(reply->str[reply->len - 1], ==, '\n');
	g_assert_null(memchr(reply->str, '\n', reply->len - 1));
	g_assert_true(json_read_object(reply->str, reply->len - 1, ignore, NULL));
}

static void answer(const struct control_request *r, const struct virtio_arg *args)
{
	g_autoptr(GString) reply = g_string_new(NULL);
	struct json j = { .out = reply, .one_line = true };

	control_reply_begin(&j, r);
	json_int(&j, "line", args[0].number);
	json_string(&j, "name", args[1].text);
	control_reply_end(&j);
	check_reply(reply);
}

static void refuse(const struct control_request *r, enum control_error code, const char *why)
{
	g_autoptr(GString) reply = g_string_new(NULL);

	control_reply_error(reply, r, code, why);
	check_reply(reply);
}

static void run(struct fuzz_input *in)
{
	size_t len = (size_t)(in->end - in->at);
	g_autofree char *line = g_malloc(len + 1);
	struct virtio_arg args[VIRTIO_MAX_PARAMS];
	g_autoptr(GError) error = NULL;
	struct control_request r;

	fuzz_copy(in, line, len);
	line[len] = '\0';
	control_request_read(&r, line, len);
	if (r.error)
		refuse(&r, r.error, r.why);
	else if (control_request_match(&r, params, args, &error))
		answer(&r, args);
	else
		refuse(&r, CONTROL_INVALID_PARAMS, error->message);
}

FUZZ_TARGET(request, .run = run);

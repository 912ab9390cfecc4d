/* SPDX-License-Identifier: Apache-2.0 */
/* See methods.h. */
#include "control/methods.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "control/request.h"

/* What a method of every program gets. */
struct call {
	struct control_client *client;
	const struct control_method *methods; /* the program's */
};

static bool run_help(void *opaque, const struct virtio_arg *args, struct json *j, GError **error);

static bool run_log_level(
	void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	enum log_level level;

	if (args[0].given && !log_parse_level(args[0].text, &level))
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"level: not error, warning, info or debug");
	if (args[0].given)
		log_set_level(level);
	json_string(j, "level", log_level_name());
	return true;
}

static bool run_quit(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	((struct call *)opaque)->client->server->quit = true;
	return true;
}

static const struct control_method common_methods[] = {
	{ "help", "List the methods", run_help },
	{ "log-level", "Show or change the least severe messages to log", run_log_level,
		{ { "level", VIRTIO_PARAM_TEXT, .optional = true } } },
	{ "quit", "End the program", run_quit },
	{ NULL },
};

static void describe(const struct control_method *m, struct json *j)
{
	for (; m->name; m++)
		control_describe(j, m->name, m->summary, m->params);
}

static bool run_help(void *opaque, const struct virtio_arg *args, struct json *j, GError **error)
{
	json_open_array(j, "methods");
	describe(common_methods, j);
	describe(((struct call *)opaque)->methods, j);
	json_close_array(j);
	return true;
}

static const struct control_method *find(const struct control_method *m, const char *name)
{
	for (; m->name; m++) {
		if (strcmp(m->name, name) == 0)
			return m;
	}
	return NULL;
}

/* Returns the reply of a method, a line. */
static GString *run(const struct control_method *m, const struct control_request *r, void *opaque)
{
	struct virtio_arg args[VIRTIO_MAX_PARAMS];
	GString *out = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	struct json j = { .out = out, .one_line = true };

	control_reply_begin(&j, r);
	if (control_request_match(r, m->params, args, &error) && m->run(opaque, args, &j, &error)) {
		control_reply_end(&j);
		return out;
	}
	g_string_truncate(out, 0);
	control_reply_error(out, r,
		error->domain == G_FILE_ERROR ? CONTROL_INVALID_PARAMS : CONTROL_FAILED,
		error->message);
	return out;
}

void control_serve(struct control_client *client, const char *line, size_t len,
	const struct control_method *methods, void *opaque)
{
	struct call call = { client, methods };
	g_autofree char *copy = g_strndup(line, len);
	const struct control_method *own, *common;
	g_autoptr(GString) reply = NULL;
	struct control_request r;

	control_request_read(&r, copy, len);
	own = r.error ? NULL : find(methods, r.method);
	common = r.error ? NULL : find(common_methods, r.method);
	if (common)
		reply = run(common, &r, &call);
	else if (own)
		reply = run(own, &r, opaque);
	if (r.is_notification)
		return;
	if (reply)
		g_string_append_len(client->out, reply->str, reply->len);
	else if (r.error)
		control_reply_error(client->out, &r, r.error, r.why);
	else
		control_reply_error(
			client->out, &r, CONTROL_NO_METHOD, "no such method: see \"help\"");
}

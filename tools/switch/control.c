/* SPDX-License-Identifier: Apache-2.0 */
/* See control.h. All methods are answered at once. */
#include "tools/switch/control.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/util.h"
#include "control/request.h"
#include "tools/switch/report.h"

struct switch_method {
	const char *name, *summary;
	bool (*run)(struct switch_control *c, const struct virtio_arg *args, struct json *j,
		GError **error);
	struct virtio_param params[2];
};

static bool run_help(
	struct switch_control *c, const struct virtio_arg *args, struct json *j, GError **error);

static bool run_status(
	struct switch_control *c, const struct virtio_arg *args, struct json *j, GError **error)
{
	json_string(j, "version", VIRTIOD_VERSION);
	json_uint(j, "pid", getpid());
	json_string(j, "log_level", log_level_name());
	return true;
}

static bool run_ports(
	struct switch_control *c, const struct virtio_arg *args, struct json *j, GError **error)
{
	report_ports(c->sw, j);
	return true;
}

static bool run_macs(
	struct switch_control *c, const struct virtio_arg *args, struct json *j, GError **error)
{
	report_macs(c->sw, args[0].given ? args[0].text : NULL, j);
	return true;
}

static bool run_stats(
	struct switch_control *c, const struct virtio_arg *args, struct json *j, GError **error)
{
	report_stats(c->sw, j);
	return true;
}

static bool run_log_level(
	struct switch_control *c, const struct virtio_arg *args, struct json *j, GError **error)
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

static bool run_quit(
	struct switch_control *c, const struct virtio_arg *args, struct json *j, GError **error)
{
	c->server.quit = true;
	return true;
}

static const struct switch_method methods[] = {
	{ "help", "List the methods", run_help },
	{ "status", "Show the program", run_status },
	{ "ports", "Show the ports, and what they received and sent", run_ports },
	{ "macs", "Show the addresses that are known", run_macs,
		{ { "port", VIRTIO_PARAM_TEXT, .optional = true } } },
	{ "stats", "Show totals", run_stats },
	{ "log-level", "Show or change the least severe messages to log", run_log_level,
		{ { "level", VIRTIO_PARAM_TEXT, .optional = true } } },
	{ "quit", "End the program", run_quit },
};

static bool run_help(
	struct switch_control *c, const struct virtio_arg *args, struct json *j, GError **error)
{
	json_open_array(j, "methods");
	for (size_t i = 0; i < G_N_ELEMENTS(methods); i++)
		control_describe(j, methods[i].name, methods[i].summary, methods[i].params);
	json_close_array(j);
	return true;
}

/* Runs a method. Returns its reply, a line. */
static GString *run(
	struct switch_control *c, const struct switch_method *m, const struct control_request *r)
{
	struct virtio_arg args[VIRTIO_MAX_PARAMS];
	GString *out = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	struct json j = { .out = out, .one_line = true };

	control_reply_begin(&j, r);
	if (control_request_match(r, m->params, args, &error) && m->run(c, args, &j, &error)) {
		control_reply_end(&j);
		return out;
	}
	g_string_truncate(out, 0);
	control_reply_error(out, r, CONTROL_INVALID_PARAMS, error->message);
	return out;
}

static void serve_line(struct control_client *client, const char *line, size_t len)
{
	struct switch_control *c = container_of(client->server, struct switch_control, server);
	g_autofree char *copy = g_strndup(line, len);
	g_autoptr(GString) reply = NULL;
	struct control_request r;

	control_request_read(&r, copy, len);
	for (size_t i = 0; !r.error && i < G_N_ELEMENTS(methods); i++) {
		if (strcmp(r.method, methods[i].name) == 0)
			reply = run(c, &methods[i], &r);
	}
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

static void on_quit(struct control_server *s)
{
	g_main_loop_quit(container_of(s, struct switch_control, server)->loop);
}

void switch_control_start(struct switch_control *c, struct switcher *sw, GMainLoop *loop, int fd)
{
	static const struct control_ops ops = { .serve = serve_line, .quit = on_quit };

	c->sw = sw;
	c->loop = loop;
	control_server_start(&c->server, &ops, fd);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The methods of every daemon, and the way to those of its device. */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "daemon/control/control_impl.h"

struct core_method {
	struct virtio_method method; /* without call */
	void (*run)(struct control_client *client, const struct virtio_arg *args, struct json *j,
		GError **error);
};

static void run_help(struct control_client *client, const struct virtio_arg *args, struct json *j,
	GError **error);

static void run_status(struct control_client *client, const struct virtio_arg *args, struct json *j,
	GError **error)
{
	json_string(j, "device", backend_ops(control_of(client)->backend)->name);
	json_string(j, "version", VIRTIOD_VERSION);
	json_uint(j, "pid", getpid());
	json_string(j, "log_level", log_level_name());
	backend_json_status(control_of(client)->backend, j);
}

static void run_stats(struct control_client *client, const struct virtio_arg *args, struct json *j,
	GError **error)
{
	backend_json_stats(control_of(client)->backend, j);
}

static void run_inflight(struct control_client *client, const struct virtio_arg *args,
	struct json *j, GError **error)
{
	backend_json_inflight(control_of(client)->backend, j);
}

static void run_log_level(struct control_client *client, const struct virtio_arg *args,
	struct json *j, GError **error)
{
	enum log_level level;

	if (args[0].given && !log_parse_level(args[0].text, &level)) {
		error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"level: not error, warning, info or debug");
		return;
	}
	if (args[0].given)
		log_set_level(level);
	json_string(j, "level", log_level_name());
}

static void run_quit(struct control_client *client, const struct virtio_arg *args, struct json *j,
	GError **error)
{
	client->server->quit = true;
}

static void run_watch(struct control_client *client, const struct virtio_arg *args, struct json *j,
	GError **error)
{
	client->watches = true;
	control_update_events(control_of(client));
}

static const struct core_method core_methods[] = {
	{ { "help", "List the methods" }, run_help },
	{ { "status", "Show the device, its queues and its front-end" }, run_status },
	{ { "stats", "Show what was served until now" }, run_stats },
	{ { "inflight", "Show the requests in flight, and since when" }, run_inflight },
	{ { "log-level", "Show or change the least severe messages to log",
		  { { "level", VIRTIO_PARAM_TEXT, .optional = true } } },
		run_log_level },
	{ { "watch", "Send the device's events to this connection" }, run_watch },
	{ { "quit", "End the program, after the requests in progress" }, run_quit },
};

static void describe(struct json *j, const struct virtio_method *m)
{
	control_describe(j, m->name, m->summary, m->params);
}

/* Returns the device's table; NULL: it has none. */
static const struct virtio_method *of_device(const struct control_client *client)
{
	return backend_ops(control_of(client)->backend)->methods;
}

static void run_help(struct control_client *client, const struct virtio_arg *args, struct json *j,
	GError **error)
{
	json_open_array(j, "methods");
	for (size_t i = 0; i < G_N_ELEMENTS(core_methods); i++)
		describe(j, &core_methods[i].method);
	for (const struct virtio_method *m = of_device(client); m && m->name; m++)
		describe(j, m);
	json_close_array(j);
}

static void fail(struct control_client *client, const struct control_request *r,
	enum control_error code, const char *message)
{
	if (!r->is_notification)
		control_reply_error(client->out, r, code, message);
}

static void run(
	struct control_client *client, const struct core_method *m, const struct control_request *r)
{
	struct virtio_arg args[VIRTIO_MAX_PARAMS];
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	struct json j = { .out = out };

	if (!control_request_match(r, m->method.params, args, &error)) {
		fail(client, r, CONTROL_INVALID_PARAMS, error->message);
		return;
	}
	control_reply_begin(&j, r);
	m->run(client, args, &j, &error);
	if (error) {
		fail(client, r, CONTROL_INVALID_PARAMS, error->message);
	} else if (!r->is_notification) {
		control_reply_end(&j);
		g_string_append_len(client->out, out->str, out->len);
	}
}

/* Makes the job of a method of the device. The request is read again, as it is kept. */
static void add_job(
	struct control_client *client, const struct virtio_method *m, const char *line, size_t len)
{
	struct control_job *job = g_new0(struct control_job, 1);
	g_autoptr(GError) error = NULL;

	job->control = control_of(client);
	job->line = g_strndup(line, len);
	control_request_read(&job->request, job->line, len);
	if (!control_request_match(&job->request, m->params, job->call.args, &error)) {
		fail(client, &job->request, CONTROL_INVALID_PARAMS, error->message);
		g_free(job->line);
		g_free(job);
		return;
	}
	job->client = client;
	client->job = job;
	job->json.out = g_string_new(NULL);
	control_reply_begin(&job->json, &job->request);
	job->call.method = m;
	job->call.result = &job->json;
	control_add_job(control_of(client), job);
}

void control_serve_line(struct control_client *client, const char *line, size_t len)
{
	g_autofree char *copy = g_strndup(line, len);
	struct control_request r;

	control_request_read(&r, copy, len);
	if (r.error) {
		fail(client, &r, r.error, r.why);
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(core_methods); i++) {
		if (!strcmp(r.method, core_methods[i].method.name)) {
			run(client, &core_methods[i], &r);
			return;
		}
	}
	for (const struct virtio_method *m = of_device(client); m && m->name; m++) {
		if (!strcmp(r.method, m->name)) {
			add_job(client, m, line, len);
			return;
		}
	}
	fail(client, &r, CONTROL_NO_METHOD, "no such method: see \"help\"");
}

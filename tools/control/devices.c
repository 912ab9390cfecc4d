/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl list, add, remove, reload, restart: the devices of a running virtiod. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/json_read.h"
#include "base/sock.h"
#include "tools/control/client.h"
#include "tools/sandbox.h"
#include "tools/virtioctl.h"

/* A subcommand: a method, and how what it says is shown. */
struct device_command {
	const char *method, *summary, *arguments;
	unsigned min, max; /* of arguments */
	bool (*print)(char *result, GError **error);
};

static bool unreadable(GError **error)
{
	g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "the answer is not that of virtiod");
	return false;
}

/* A line of the list. */
struct device_line {
	const char *type, *state, *pid, *restarts, *socket;
};

static bool read_property(void *opaque, const char *key, const struct json_value *v)
{
	struct device_line *line = opaque;
	const struct {
		const char *key, **value;
	} known[] = {
		{ "device", &line->type },
		{ "state", &line->state },
		{ "pid", &line->pid },
		{ "restarts", &line->restarts },
		{ "socket", &line->socket },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
		if (strcmp(key, known[i].key) == 0)
			*known[i].value = v->type == JSON_NULL ? "-" : v->text;
	}
	return true;
}

/* Prints a value in a column; a number is followed by what stands behind it in JSON. */
static void print_cell(int width, const char *text)
{
	g_autofree char *printable = daemon_client_text(text, strcspn(text, ",}"));

	printf("%-*s  ", width, printable);
}

static bool print_device(void *opaque, const char *key, const struct json_value *v)
{
	struct device_line line = { "-", "-", "-", "-", "-" };
	g_autofree char *socket = NULL;

	if (v->type != JSON_OBJECT || !json_read_object(v->text, v->len, read_property, &line))
		return false;
	print_cell(24, key);
	print_cell(12, line.type);
	print_cell(8, line.state);
	print_cell(7, line.pid);
	print_cell(8, line.restarts);
	socket = daemon_client_text(line.socket, strlen(line.socket));
	printf("%s\n", socket);
	return true;
}

static bool read_list(void *opaque, const char *key, const struct json_value *v)
{
	return strcmp(key, "devices") != 0 ||
		(v->type == JSON_OBJECT && json_read_object(v->text, v->len, print_device, opaque));
}

static bool print_list(char *result, GError **error)
{
	printf("%-24s  %-12s  %-8s  %-7s  %-8s  %s\n", "NAME", "DEVICE", "STATE", "PID", "RESTARTS",
		"SOCKET");
	return json_read_object(result, strlen(result), read_list, NULL) || unreadable(error);
}

/* Prints "started 1, stopped 0, ...", in the daemon's order. */
static bool print_count(void *opaque, const char *key, const struct json_value *v)
{
	bool *follows = opaque;
	g_autofree char *name = daemon_client_text(key, strlen(key));

	if (v->type != JSON_NUMBER)
		return false;
	printf("%s%s %.*s", *follows ? ", " : "", name, (int)v->len, v->text);
	*follows = true;
	return true;
}

static bool print_changes(char *result, GError **error)
{
	bool follows = false;

	if (!json_read_object(result, strlen(result), print_count, &follows))
		return unreadable(error);
	printf("\n");
	return true;
}

static bool print_nothing(char *result, GError **error)
{
	return true;
}

/* Returns the lines of KEY=VALUE arguments; NULL: one of them is none. */
static char *join_lines(char **args, GError **error)
{
	for (char **a = args; *a; a++) {
		if (strchr(*a, '=') && !strchr(*a, '\n'))
			continue;
		g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE, "'%s' is not KEY=VALUE", *a);
		return NULL;
	}
	return g_strjoinv("\n", args);
}

/* Returns the request; NULL: an error. */
static GString *make_request(const struct device_command *c, char **args, GError **error)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct json j = { .out = out, .one_line = true };
	g_autofree char *lines = NULL;

	json_open_object(&j, NULL);
	json_string(&j, "jsonrpc", "2.0");
	json_uint(&j, "id", 1);
	json_string(&j, "method", c->method);
	json_open_object(&j, "params");
	if (c->max)
		json_string(&j, "name", args[0]);
	if (c->max > 1) {
		lines = join_lines(args + 1, error);
		if (!lines)
			return NULL;
		json_string(&j, "lines", lines);
	}
	json_close_object(&j);
	json_close_object(&j);
	g_string_append_c(out, '\n');
	return g_steal_pointer(&out);
}

/* Returns the result, which the caller frees; NULL: an error. */
static char *get_result(
	struct daemon_client *client, const GString *request, unsigned timeout_s, GError **error)
{
	g_autofree char *line = NULL;
	struct json_value result;

	if (!daemon_client_send(client, request->str, request->len, timeout_s, error))
		return NULL;
	line = daemon_client_answer(client, &result, error);
	return line ? g_strndup(result.text, result.len) : NULL;
}

static int ask(const struct device_command *c, const char *run, char **args, unsigned sandbox,
	unsigned timeout_s)
{
	g_autofree char *path = g_build_filename(run, ".control", NULL), *result = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(GString) request = make_request(c, args, &error);
	__attribute__((cleanup(daemon_client_clear))) struct daemon_client client = { .fd = -1 };
	int fd;

	if (!request)
		return ctl_report(error);
	fd = sock_connect(path, &error);
	if (fd < 0) {
		ctl_report(error);
		return CTL_ABSENT;
	}
	daemon_client_init(&client, fd);
	if (!ctl_sandbox_enter(sandbox, NULL, &error))
		return ctl_report(error);
	result = get_result(&client, request, timeout_s, &error);
	return result && c->print(result, &error) ? CTL_OK : ctl_report(error);
}

static int run_command(const struct device_command *c, int argc, char **argv)
{
	g_autofree char *run = NULL;
	unsigned sandbox, timeout_s;
	const struct option_entry entries[] = {
		{ "run-dir", "DIR", .path = &run, .initial = "/run/virtiod",
			.help = "That of virtiod" },
		{ "sandbox", .word = &sandbox, .words = sandbox_words, .initial = SANDBOX_DEFAULT,
			.help = "Give up what is not needed: what this machine permits, or all, or "
				"nothing" },
		{ "timeout", "SECONDS", .number = &timeout_s, .min = 1, .max = 86400,
			.initial = "10", .help = "Give up when no answer has come for so long" },
		{ NULL },
	};
	const struct option_syntax syntax = {
		.summary = c->summary,
		.arguments = c->arguments,
		.min_arguments = c->min,
		.max_arguments = c->max,
		.tables = { entries },
	};
	g_auto(GStrv) args = g_strdupv(argv);
	g_autoptr(GError) error = NULL;

	if (!option_parse(&syntax, &args, &error))
		return ctl_report(error);
	return ask(c, run, args + 1, sandbox, timeout_s);
}

int list_run(int argc, char **argv)
{
	static const struct device_command c = { "list", "Shows the devices of a running virtiod.",
		NULL, 0, 0, print_list };

	return run_command(&c, argc, argv);
}

int add_run(int argc, char **argv)
{
	static const struct device_command c = { "add",
		"Has virtiod write a configuration file for a new device, and start it. The keys "
		"are those of the files: device=TYPE, user=, after=, and every option of "
		"virtiod-TYPE.",
		"GUEST/DEVICE KEY=VALUE...", 2, 130, print_changes };

	return run_command(&c, argc, argv);
}

int remove_run(int argc, char **argv)
{
	static const struct device_command c = { "remove",
		"Has virtiod take a device out of its configuration file, and end it.",
		"GUEST/DEVICE", 1, 1, print_changes };

	return run_command(&c, argc, argv);
}

int reload_run(int argc, char **argv)
{
	static const struct device_command c = { "reload",
		"Has virtiod read its configuration files again: it starts devices that are new, "
		"ends those that are gone, restarts those that are changed, and leaves the others "
		"alone.",
		NULL, 0, 0, print_changes };

	return run_command(&c, argc, argv);
}

int restart_run(int argc, char **argv)
{
	static const struct device_command c = { "restart",
		"Has virtiod end the process of a device and start it again.", "GUEST/DEVICE", 1, 1,
		print_nothing };

	return run_command(&c, argc, argv);
}

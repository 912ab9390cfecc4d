/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl call: one request to a daemon's control socket, and its answer. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/sock.h"
#include "tools/control/client.h"
#include "tools/sandbox.h"
#include "tools/virtioctl.h"

/* Returns whether text is a number as JSON has it, without a fraction. */
static bool is_number(const char *text)
{
	const char *digits = text + (*text == '-');
	size_t n = strspn(digits, "0123456789");

	return n > 0 && n < 19 && !digits[n] && (*digits != '0' || n == 1);
}

static bool add_param(struct json *j, const char *arg, GError **error)
{
	const char *equals = strchr(arg, '=');
	g_autofree char *key = NULL;

	if (!equals || equals == arg) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_USAGE, "'%s' is not KEY=VALUE", arg);
		return false;
	}
	key = g_strndup(arg, equals - arg);
	if (is_number(equals + 1))
		json_int(j, key, g_ascii_strtoll(equals + 1, NULL, 10));
	else if (!strcmp(equals + 1, "true") || !strcmp(equals + 1, "false"))
		json_bool(j, key, equals[1] == 't');
	else
		json_string(j, key, equals + 1);
	return true;
}

/* Returns the request for args: the method, and KEY=VALUE each. */
static GString *make_request(char **args, GError **error)
{
	g_autoptr(GString) out = g_string_new(NULL);
	struct json j = { .out = out, .one_line = true };

	json_open_object(&j, NULL);
	json_string(&j, "jsonrpc", "2.0");
	json_uint(&j, "id", 1);
	json_string(&j, "method", args[0]);
	json_open_object(&j, "params");
	for (char **a = args + 1; *a; a++) {
		if (!add_param(&j, *a, error))
			return NULL;
	}
	json_close_object(&j);
	json_close_object(&j);
	g_string_append_c(out, '\n');
	return g_steal_pointer(&out);
}

/* Prints the result of the reply. */
static bool print_reply(struct daemon_client *c, GError **error)
{
	g_autofree char *text = NULL, *line = NULL;
	struct json_value result;

	line = daemon_client_answer(c, &result, error);
	if (!line)
		return false;
	text = daemon_client_text(result.text, result.len);
	printf("%s\n", text);
	return true;
}

/* Prints events, until the daemon ends. */
static void print_events(struct daemon_client *c)
{
	for (;;) {
		g_autofree char *line = daemon_client_line(c, NULL), *text = NULL;

		if (!line || !g_utf8_validate(line, -1, NULL))
			return;
		text = daemon_client_text(line, strlen(line));
		printf("%s\n", text);
		fflush(stdout);
	}
}

static int call(char **args, unsigned sandbox, unsigned timeout_s, GError **error)
{
	g_autoptr(GString) request = make_request(args + 2, error);
	__attribute__((cleanup(daemon_client_clear))) struct daemon_client client = { .fd = -1 };
	int fd;

	if (!request)
		return ctl_report(*error);
	fd = sock_connect(args[1], error);
	if (fd < 0) {
		ctl_report(*error);
		return CTL_ABSENT;
	}
	daemon_client_init(&client, fd);
	if (!ctl_sandbox_enter(sandbox, NULL, error))
		return ctl_report(*error);
	if (!daemon_client_send(&client, request->str, request->len, timeout_s, error) ||
		!print_reply(&client, error))
		return ctl_report(*error);
	fflush(stdout);
	client.until = -1;
	if (!strcmp(args[2], "watch"))
		print_events(&client);
	return CTL_OK;
}

int call_run(int argc, char **argv)
{
	unsigned sandbox, timeout_s;
	const struct option_entry entries[] = {
		{ "sandbox", .word = &sandbox, .words = sandbox_words, .initial = SANDBOX_DEFAULT,
			.help = "Give up what is not needed: what this machine permits, or all, or "
				"nothing" },
		{ "timeout", "SECONDS", .number = &timeout_s, .min = 1, .max = 86400,
			.initial = "10", .help = "Give up when no answer has come for so long" },
		{ NULL },
	};
	const struct option_syntax syntax = {
		.summary = "Calls a method of a daemon that was started with --control=SOCKET, and "
			   "prints its result as JSON. The method help lists all.",
		.arguments = "SOCKET METHOD [KEY=VALUE...]",
		.min_arguments = 2,
		.max_arguments = 34,
		.tables = { entries },
	};
	g_auto(GStrv) args = g_strdupv(argv);
	g_autoptr(GError) error = NULL;

	if (!option_parse(&syntax, &args, &error))
		return ctl_report(error);
	return call(args, sandbox, timeout_s, &error);
}

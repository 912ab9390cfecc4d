/* SPDX-License-Identifier: Apache-2.0 */
/* See ask.h. All are connected to before the first byte of any is read, for the sandbox's sake. */
#include "tools/control/ask.h"

#include <stdio.h>

#include "base/json.h"
#include "base/log.h"
#include "base/sock.h"
#include "tools/control/asked.h"
#include "tools/control/client.h"
#include "tools/sandbox.h"
#include "tools/virtioctl.h"

#define MAX_SOCKETS 1000

bool ask_print_json(const char *path, const struct json_value *result)
{
	g_autofree char *text = daemon_client_text(result->text, result->len);
	g_autoptr(GString) out = g_string_new(NULL);
	struct json j = { .out = out, .one_line = true };

	json_open_object(&j, NULL);
	json_string(&j, "socket", path);
	g_string_append_printf(out, ",\"result\":%s", text);
	json_close_object(&j);
	printf("%s\n", out->str);
	return true;
}

static void report(int *status, const char *path, const GError *error, int result)
{
	log_print("virtioctl: %s: %s\n", path, error->message);
	if (*status == CTL_OK)
		*status = result;
}

/* Returns the sockets, -1 where there is none. */
static int *connect_all(char *const *paths, int *status)
{
	int *fds = g_new(int, g_strv_length((GStrv)paths));

	for (unsigned i = 0; paths[i]; i++) {
		g_autoptr(GError) error = NULL;

		fds[i] = sock_connect(paths[i], &error);
		if (fds[i] < 0)
			report(status, paths[i], error, CTL_ABSENT);
	}
	return fds;
}

static bool ask_one(
	const struct ask *ask, int fd, const char *path, unsigned timeout_s, GError **error)
{
	g_autofree char *line = NULL;
	struct daemon_client client;
	struct json_value result;
	bool ok;

	daemon_client_init(&client, fd);
	line = daemon_client_ask(&client, ask->method, timeout_s, &result, error);
	ok = line && ask->answered(path, &result);
	if (line && !ok)
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the answer is not that of a device (try \"virtioctl call %s %s\")", path,
			ask->method);
	daemon_client_clear(&client);
	return ok;
}

static int ask_all(const struct ask *ask, char *const *paths, unsigned sandbox, unsigned timeout_s)
{
	int status = CTL_OK;
	g_autofree int *fds = connect_all(paths, &status);
	g_autoptr(GError) refused = NULL;

	if (!ctl_sandbox_enter(sandbox, NULL, &refused))
		return ctl_report(refused);
	for (unsigned i = 0; paths[i]; i++) {
		g_autoptr(GError) error = NULL;
		bool ok = fds[i] >= 0 && ask_one(ask, fds[i], paths[i], timeout_s, &error);

		if (error)
			report(&status, paths[i], error, CTL_FAILED);
		if (!ok && ask->failed)
			ask->failed(paths[i]);
	}
	if (ask->done)
		ask->done();
	fflush(stdout);
	return status;
}

int ask_run(const struct ask *ask, char **argv)
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
		.summary = ask->summary,
		.arguments = "SOCKET|FOLDER ...",
		.min_arguments = 1,
		.max_arguments = MAX_SOCKETS,
		.tables = { entries, ask->options },
	};
	g_auto(GStrv) args = g_strdupv(argv), paths = NULL;
	g_autoptr(GError) error = NULL;

	if (!option_parse(&syntax, &args, &error))
		return ctl_report(error);
	paths = asked_paths(args + 1, &error);
	if (!paths)
		return ctl_report(error);
	return ask_all(ask, paths, sandbox, timeout_s);
}

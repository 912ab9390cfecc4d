/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl call: one request to a daemon's control socket, and its answer. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/json_read.h"
#include "base/sock.h"
#include "base/util.h"
#include "tools/sandbox.h"
#include "tools/virtioctl.h"

#define READ_BYTES 65536
#define MAX_LINE (4u << 20)

struct line_reader {
	int fd;
	int64_t until; /* monotonic µs; -1: no limit */
	GString *in;
};

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

/* Appends what comes next. */
static bool read_more(struct line_reader *s, GError **error)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLIN };
	int64_t left_us = s->until - g_get_monotonic_time();
	g_autofree char *bytes = g_malloc(READ_BYTES);
	ssize_t n;

	if (s->in->len >= MAX_LINE) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the answer is longer than %u bytes", MAX_LINE);
		return false;
	}
	if (s->until >= 0 && poll(&pfd, 1, MAX(left_us, 0) / 1000) == 0) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "no answer came in time");
		return false;
	}
	n = read(s->fd, bytes, READ_BYTES);
	if (n <= 0) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "the daemon closed the connection");
		return false;
	}
	g_string_append_len(s->in, bytes, n);
	return true;
}

/* Returns the next line without its end, which the caller frees; NULL: there is none. */
static char *next_line(struct line_reader *s, GError **error)
{
	const char *end;
	char *line;

	while (!(end = memchr(s->in->str, '\n', s->in->len))) {
		if (!read_more(s, error))
			return NULL;
	}
	line = g_strndup(s->in->str, end - s->in->str);
	g_string_erase(s->in, 0, end + 1 - s->in->str);
	return line;
}

struct reply {
	struct json_value result, error;
	char *message;
	bool is_reply;
};

static bool read_message(void *opaque, const char *key, const struct json_value *v)
{
	struct reply *r = opaque;

	if (!strcmp(key, "message") && v->type == JSON_STRING)
		r->message = v->text;
	return true;
}

static bool read_member(void *opaque, const char *key, const struct json_value *v)
{
	struct reply *r = opaque;

	if (!strcmp(key, "id"))
		r->is_reply = true;
	else if (!strcmp(key, "result"))
		r->result = *v;
	else if (!strcmp(key, "error"))
		r->error = *v;
	return true;
}

static bool is_valid(char *line, struct reply *r)
{
	size_t len = strlen(line);

	if (!g_utf8_validate(line, len, NULL) || !json_read_object(line, len, read_member, r))
		return false;
	return !r->error.text || r->error.type != JSON_OBJECT ||
		json_read_object(r->error.text, r->error.len, read_message, r);
}

/* Returns UTF-8 without control characters, which could move a terminal's cursor. */
static char *without_controls(const char *text, size_t len)
{
	GString *out = g_string_new(NULL);

	for (const char *p = text; p < text + len; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		/* JSON has them in strings alone, or as blanks between these. */
		if (c == '\t' || c == '\r' || c == '\n')
			g_string_append_c(out, ' ');
		else if (g_unichar_iscntrl(c))
			g_string_append_printf(out, "\\u%04x", c);
		else
			g_string_append_unichar(out, c);
	}
	return g_string_free(out, FALSE);
}

/* Prints the result of the reply. */
static bool print_reply(struct line_reader *s, GError **error)
{
	g_autofree char *line = next_line(s, error), *text = NULL;
	struct reply r = { 0 };

	if (!line)
		return false;
	if (!is_valid(line, &r) || !r.is_reply || (!r.result.text && !r.message)) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "the answer is not JSON-RPC 2.0");
		return false;
	}
	if (r.message) {
		text = without_controls(r.message, strlen(r.message));
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "%s", text);
		return false;
	}
	text = without_controls(r.result.text, r.result.len);
	printf("%s\n", text);
	return true;
}

/* Prints events, until the daemon ends. */
static void print_events(struct line_reader *s)
{
	for (;;) {
		g_autofree char *line = next_line(s, NULL), *text = NULL;

		if (!line || !g_utf8_validate(line, -1, NULL))
			return;
		text = without_controls(line, strlen(line));
		printf("%s\n", text);
		fflush(stdout);
	}
}

static int call(char **args, unsigned sandbox, unsigned timeout_s, GError **error)
{
	g_autoptr(GString) request = make_request(args + 2, error);
	g_autoptr(GString) in = g_string_new(NULL);
	struct line_reader reader = { .in = in };
	autofd fd = -1;
	int sent;

	if (!request)
		return ctl_report(*error);
	fd = sock_connect(args[1], error);
	if (fd < 0) {
		ctl_report(*error);
		return CTL_ABSENT;
	}
	if (!ctl_sandbox_enter(sandbox, NULL, error))
		return ctl_report(*error);
	reader.fd = fd;
	reader.until = g_get_monotonic_time() + (int64_t)timeout_s * G_USEC_PER_SEC;
	sent = sock_send(fd, request->str, request->len, NULL, 0, timeout_s * 1000);
	if (sent < 0) {
		log_print("virtioctl: %s: %s\n", args[1], g_strerror(-sent));
		return CTL_FAILED;
	}
	if (!print_reply(&reader, error))
		return ctl_report(*error);
	fflush(stdout);
	reader.until = -1;
	if (!strcmp(args[2], "watch"))
		print_events(&reader);
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

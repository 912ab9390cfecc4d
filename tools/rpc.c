/* SPDX-License-Identifier: Apache-2.0 */
/* See rpc.h. */
#include "tools/rpc.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/json_read.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "tools/sandbox.h"
#include "tools/virtioctl.h"

#define READ_BYTES 65536
#define MAX_LINE (4u << 20)

/* Appends what comes next. */
static bool read_more(struct rpc *s, GError **error)
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

char *rpc_next_line(struct rpc *s, GError **error)
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

char *rpc_printable(const char *text, size_t len)
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

char *rpc_result(struct rpc *s, GError **error)
{
	g_autofree char *line = rpc_next_line(s, error), *text = NULL;
	struct reply r = { 0 };

	if (!line)
		return NULL;
	if (!is_valid(line, &r) || !r.is_reply || (!r.result.text && !r.message)) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "the answer is not JSON-RPC 2.0");
		return NULL;
	}
	if (r.message) {
		text = rpc_printable(r.message, strlen(r.message));
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "%s", text);
		return NULL;
	}
	return g_strndup(r.result.text, r.result.len);
}

int rpc_open(struct rpc *s, const char *path, const GString *request, unsigned sandbox,
	unsigned timeout_s)
{
	g_autoptr(GError) error = NULL;
	int sent;

	*s = (struct rpc){ .in = g_string_new(NULL), .fd = sock_connect(path, &error) };
	if (s->fd < 0) {
		ctl_report(error);
		return CTL_ABSENT;
	}
	if (!ctl_sandbox_enter(sandbox, NULL, &error))
		return ctl_report(error);
	s->until = g_get_monotonic_time() + (int64_t)timeout_s * G_USEC_PER_SEC;
	sent = sock_send(s->fd, request->str, request->len, NULL, 0, timeout_s * 1000);
	if (sent < 0) {
		log_print("virtioctl: %s: %s\n", path, g_strerror(-sent));
		return CTL_FAILED;
	}
	return CTL_OK;
}

void rpc_close(struct rpc *s)
{
	fd_close(&s->fd);
	g_string_free(s->in, TRUE);
}

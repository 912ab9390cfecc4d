/* SPDX-License-Identifier: Apache-2.0 */
/* See client.h. */
#include "tools/control/client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"
#include "tools/virtioctl.h"

#define READ_BYTES 65536
#define MAX_LINE (4u << 20)

void daemon_client_init(struct daemon_client *c, int fd)
{
	*c = (struct daemon_client){ .fd = fd, .until = -1, .in = g_string_new(NULL) };
}

void daemon_client_clear(struct daemon_client *c)
{
	fd_close(&c->fd);
	if (c->in)
		g_string_free(g_steal_pointer(&c->in), TRUE);
}

bool daemon_client_send(struct daemon_client *c, const char *request, size_t len,
	unsigned timeout_s, GError **error)
{
	int sent = sock_send(c->fd, request, len, NULL, 0, timeout_s * 1000);

	c->until = g_get_monotonic_time() + (int64_t)timeout_s * G_USEC_PER_SEC;
	if (sent < 0)
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "%s", g_strerror(-sent));
	return sent == 0;
}

/* Appends what comes next. */
static bool read_more(struct daemon_client *c, GError **error)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
	int64_t left_us = c->until - g_get_monotonic_time();
	g_autofree char *bytes = g_malloc(READ_BYTES);
	ssize_t n;

	if (c->in->len >= MAX_LINE) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the answer is longer than %u bytes", MAX_LINE);
		return false;
	}
	if (c->until >= 0 && poll(&pfd, 1, MAX(left_us, 0) / 1000) == 0) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "no answer came in time");
		return false;
	}
	n = read(c->fd, bytes, READ_BYTES);
	if (n <= 0) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "the daemon closed the connection");
		return false;
	}
	g_string_append_len(c->in, bytes, n);
	return true;
}

int daemon_client_receive(struct daemon_client *c)
{
	g_autofree char *bytes = g_malloc(READ_BYTES);
	unsigned n_fds = 0;
	bool truncated = false;
	ssize_t n = sock_recv(c->fd, bytes, READ_BYTES, NULL, 0, &n_fds, &truncated);

	if (n > 0)
		g_string_append_len(c->in, bytes, n);
	if (memchr(c->in->str, '\n', c->in->len))
		return 1;
	return (n <= 0 && n != -EAGAIN) || c->in->len >= MAX_LINE ? -1 : 0;
}

char *daemon_client_line(struct daemon_client *c, GError **error)
{
	const char *end;
	char *line;

	while (!(end = memchr(c->in->str, '\n', c->in->len))) {
		if (!read_more(c, error))
			return NULL;
	}
	line = g_strndup(c->in->str, end - c->in->str);
	g_string_erase(c->in, 0, end + 1 - c->in->str);
	return line;
}

struct daemon_reply {
	struct json_value result, error;
	char *message;
	bool is_reply;
};

static bool read_message(void *opaque, const char *key, const struct json_value *v)
{
	struct daemon_reply *r = opaque;

	if (!strcmp(key, "message") && v->type == JSON_STRING)
		r->message = v->text;
	return true;
}

static bool read_member(void *opaque, const char *key, const struct json_value *v)
{
	struct daemon_reply *r = opaque;

	if (!strcmp(key, "id"))
		r->is_reply = true;
	else if (!strcmp(key, "result"))
		r->result = *v;
	else if (!strcmp(key, "error"))
		r->error = *v;
	return true;
}

static bool is_valid(char *line, struct daemon_reply *r)
{
	size_t len = strlen(line);

	if (!g_utf8_validate(line, len, NULL) || !json_read_object(line, len, read_member, r))
		return false;
	return !r->error.text || r->error.type != JSON_OBJECT ||
		json_read_object(r->error.text, r->error.len, read_message, r);
}

char *daemon_client_text(const char *text, size_t len)
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

char *daemon_client_answer(struct daemon_client *c, struct json_value *result, GError **error)
{
	g_autofree char *line = daemon_client_line(c, error), *text = NULL;
	struct daemon_reply r = { 0 };

	if (!line)
		return NULL;
	if (!is_valid(line, &r) || !r.is_reply || (!r.result.text && !r.message)) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "the answer is not JSON-RPC 2.0");
		return NULL;
	}
	if (r.message) {
		text = daemon_client_text(r.message, strlen(r.message));
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "%s", text);
		return NULL;
	}
	*result = r.result;
	return g_steal_pointer(&line);
}

char *daemon_client_ask(struct daemon_client *c, const char *method, unsigned timeout_s,
	struct json_value *result, GError **error)
{
	g_autofree char *request = g_strdup_printf(
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{}}\n", method);

	if (!daemon_client_send(c, request, strlen(request), timeout_s, error))
		return NULL;
	return daemon_client_answer(c, result, error);
}

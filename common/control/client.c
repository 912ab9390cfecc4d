/* SPDX-License-Identifier: Apache-2.0 */
/* One client: what it sends is read only while it takes its answers. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/json.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "control/server_impl.h"

#define READ_BYTES 4096

struct control_client *control_client_new(struct control_server *s, int fd)
{
	struct control_client *client = g_new(struct control_client, 1);

	*client = (struct control_client){
		.server = s,
		.fd = fd,
		.in = g_string_new(NULL),
		.out = g_string_new(NULL),
		.active = g_get_monotonic_time(),
	};
	s->clients = g_list_append(s->clients, client);
	return client;
}

void control_client_free(struct control_client *client)
{
	struct control_server *s = client->server;

	s->clients = g_list_remove(s->clients, client);
	if (s->ops->leave)
		s->ops->leave(client);
	loop_watch_free(client->watch);
	fd_close(&client->fd);
	g_string_free(client->in, TRUE);
	g_string_free(client->out, TRUE);
	g_free(client);
}

/* Serves the lines that are there. */
static void serve(struct control_client *client)
{
	GString *in = client->in;
	const char *end;
	size_t done = 0;

	while (!client->job && client->out->len < CONTROL_MAX_BACKLOG &&
		(end = memchr(in->str + done, '\n', in->len - done))) {
		size_t len = end - (in->str + done);

		client->server->ops->serve(client, in->str + done, len);
		done += len + 1;
	}
	g_string_erase(in, 0, done);
	if (client->job || in->len <= CONTROL_MAX_LINE)
		return;
	/* Without a line's end it is not worth more. */
	client->ended = true;
	g_string_truncate(in, 0);
	log_limited(&client->server->log_limit, LOG_LEVEL_WARNING, "control",
		"a client's request is longer than %u bytes: closing the connection",
		CONTROL_MAX_LINE);
}

static void report_lost(struct control_client *client)
{
	struct json j = { .out = client->out, .one_line = true };

	if (!client->lost || client->out->len)
		return;
	json_open_object(&j, NULL);
	json_string(&j, "jsonrpc", "2.0");
	json_string(&j, "method", "lost");
	json_open_object(&j, "params");
	json_uint(&j, "events", client->lost);
	json_close_object(&j);
	json_close_object(&j);
	g_string_append_c(j.out, '\n');
	client->lost = 0;
}

/* Sends what there is room for; false: the client has left. */
static bool flush(struct control_client *client)
{
	GString *out = client->out;
	ssize_t n;

	report_lost(client);
	while (out->len) {
		n = sock_send_some(client->fd, out->str, out->len);
		if (n < 0)
			return errno == EAGAIN;
		g_string_erase(out, 0, n);
		report_lost(client);
	}
	return true;
}

static void on_ready(void *opaque, uint32_t revents);

static void wait_for(struct control_client *client, uint32_t events)
{
	if (client->watch && events == client->events)
		return;
	g_clear_pointer(&client->watch, loop_watch_free);
	client->events = events;
	if (events)
		client->watch = loop_watch_fd(client->fd, events, on_ready, client);
}

void control_client_pump(struct control_client *client)
{
	struct control_server *s = client->server;
	uint32_t events = 0;
	bool is_there;

	do {
		serve(client);
		is_there = flush(client);
	} while (is_there && !client->job && !client->out->len &&
		memchr(client->in->str, '\n', client->in->len));
	if (client->out->len)
		events = EPOLLOUT;
	else if (!client->job && !client->ended)
		events = EPOLLIN;
	if (is_there && (events || client->job))
		wait_for(client, events);
	else
		control_client_free(client);
	if (s->quit) {
		s->quit = false;
		s->ops->quit(s);
	}
}

static void receive(struct control_client *client)
{
	char bytes[READ_BYTES];
	ssize_t n;
	unsigned n_fds = 0;
	bool truncated = false;

	n = sock_recv(client->fd, bytes, sizeof(bytes), NULL, 0, &n_fds, &truncated);
	if (n > 0)
		g_string_append_len(client->in, bytes, n);
	else if (n != -EAGAIN)
		client->ended = true;
	client->active = g_get_monotonic_time();
}

static void on_ready(void *opaque, uint32_t revents)
{
	struct control_client *client = opaque;

	if (client->events & EPOLLIN)
		receive(client);
	control_client_pump(client);
}

void control_client_wake(struct control_client *client)
{
	wait_for(client, EPOLLOUT);
}

void control_client_event(struct control_client *client, const char *line, size_t len)
{
	if (client->out->len > CONTROL_MAX_BACKLOG)
		client->lost++;
	else
		g_string_append_len(client->out, line, len);
	control_client_pump(client);
}

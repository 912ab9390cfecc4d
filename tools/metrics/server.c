/* SPDX-License-Identifier: Apache-2.0 */
/* See server.h. */
#include "tools/metrics/server.h"

#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"

#define MAX_CONNECTIONS 32u
#define MAX_OF_ADDRESS 16u
#define CONNECTION_BYTES ((size_t)16384)
/* Without a byte; and in all, as a byte now and then would make the first endless. */
#define IDLE_S 5u
#define CONNECTION_US (10 * G_TIME_SPAN_SECOND)
#define FRESH_US G_TIME_SPAN_SECOND
#define LOOK_MS 1000
#define CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct connection {
	int fd; /* libmicrohttpd's */
	int64_t since;
};

struct metrics_server {
	struct MHD_Daemon *daemon;
	char *(*text)(void *opaque);
	void *opaque;
	struct MHD_Response *metrics; /* NULL: none yet */
	int64_t made; /* when */
	struct MHD_Response *not_found, *not_allowed;
	GList *connections; /* of struct connection */
};

static void on_connection(void *opaque, struct MHD_Connection *c, void **context,
	enum MHD_ConnectionNotificationCode code)
{
	struct metrics_server *s = opaque;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		struct connection *new = g_new(struct connection, 1);

		new->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		new->since = g_get_monotonic_time();
		s->connections = g_list_prepend(s->connections, new);
		*context = new;
	} else {
		s->connections = g_list_remove(s->connections, *context);
		g_free(*context);
	}
}

static struct MHD_Response *respond(char *text, const char *name, const char *value)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);

	if (r) {
		MHD_add_response_header(r, name, value);
		MHD_add_response_header(r, "Connection", "close");
	}
	return r;
}

/* Returns what /metrics is, not older than a second. */
static struct MHD_Response *get_metrics(struct metrics_server *s)
{
	int64_t now = g_get_monotonic_time();

	if (s->metrics && now - s->made < FRESH_US)
		return s->metrics;
	g_clear_pointer(&s->metrics, MHD_destroy_response);
	s->metrics = respond(s->text(s->opaque), "Content-Type", CONTENT_TYPE);
	s->made = g_get_monotonic_time();
	return s->metrics;
}

static enum MHD_Result on_request(void *opaque, struct MHD_Connection *c, const char *url,
	const char *method, const char *version, const char *body, size_t *body_len, void **state)
{
	struct metrics_server *s = opaque;
	struct MHD_Response *r;

	if (strcmp(method, "GET") != 0)
		return MHD_queue_response(c, MHD_HTTP_METHOD_NOT_ALLOWED, s->not_allowed);
	/* The first time there are headers alone. What follows them is not wanted, either. */
	if (!*state) {
		*state = s;
		return MHD_YES;
	}
	if (*body_len)
		return MHD_NO;
	if (strcmp(url, "/metrics") != 0)
		return MHD_queue_response(c, MHD_HTTP_NOT_FOUND, s->not_found);
	r = get_metrics(s);
	return r ? MHD_queue_response(c, MHD_HTTP_OK, r) : MHD_NO;
}

struct metrics_server *metrics_server_new(
	int listener, char *(*text)(void *opaque), void *opaque, GError **error)
{
	struct metrics_server *s = g_new0(struct metrics_server, 1);

	s->text = text;
	s->opaque = opaque;
	s->not_found = respond(g_strdup("There is nothing but /metrics.\n"), "Content-Type",
		"text/plain; charset=utf-8");
	s->not_allowed = respond(g_strdup("Only GET is served.\n"), "Allow", "GET");
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, s,
		MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, MAX_OF_ADDRESS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
		IDLE_S, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_END);
	if (s->daemon)
		return s;
	metrics_server_free(s);
	error_set(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "libmicrohttpd does not start");
	return NULL;
}

void metrics_server_free(struct metrics_server *s)
{
	g_clear_pointer(&s->daemon, MHD_stop_daemon);
	g_clear_pointer(&s->metrics, MHD_destroy_response);
	g_clear_pointer(&s->not_found, MHD_destroy_response);
	g_clear_pointer(&s->not_allowed, MHD_destroy_response);
	g_list_free_full(s->connections, g_free);
	g_free(s);
}

int metrics_server_fd(const struct metrics_server *s)
{
	return MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int metrics_server_timeout(const struct metrics_server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;
	int limit = s->connections ? LOOK_MS : -1;

	if (MHD_get_timeout(s->daemon, &ms) != MHD_YES)
		return limit;
	return limit < 0 ? (int)MIN(ms, LOOK_MS) : (int)MIN(ms, (unsigned)limit);
}

/* Has libmicrohttpd see that connections which last too long have ended. */
static void end_old(struct metrics_server *s)
{
	int64_t now = g_get_monotonic_time();

	for (GList *l = s->connections; l; l = l->next) {
		const struct connection *c = l->data;

		if (now - c->since >= CONNECTION_US)
			shutdown(c->fd, SHUT_RDWR);
	}
}

void metrics_server_run(struct metrics_server *s)
{
	end_old(s);
	MHD_run(s->daemon);
}

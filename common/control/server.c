/* SPDX-License-Identifier: Apache-2.0 */
/* Clients come, and get events. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"
#include "control/server_impl.h"

/* How long no client is accepted after fds or memory were short. */
#define ACCEPT_PAUSE_MS 500

static bool may_connect(const struct control_server *s, int fd)
{
	uid_t uid;
	gid_t gid;

	if (!sock_peer_user(fd, &uid, &gid))
		return false;
	return uid == 0 || uid == s->uid || uid == geteuid() || gid == s->gid || gid == getegid();
}

/* Returns the client that has been silent for longest, of those that wait for nothing. */
static struct control_client *find_idle(const struct control_server *s)
{
	struct control_client *idle = NULL;

	for (const GList *l = s->clients; l; l = l->next) {
		struct control_client *client = l->data;

		if (!client->job && !client->watches && (!idle || client->active < idle->active))
			idle = client;
	}
	return idle;
}

/* Returns whether there is room for one more. */
static bool make_room(struct control_server *s)
{
	struct control_client *idle;

	if (g_list_length(s->clients) < CONTROL_MAX_CLIENTS)
		return true;
	idle = find_idle(s);
	if (idle)
		control_client_free(idle);
	return idle;
}

static void on_client(void *opaque, uint32_t revents);

static void listen_again(void *opaque)
{
	struct control_server *s = opaque;

	g_clear_pointer(&s->pause, loop_watch_free);
	s->watch = loop_watch_fd(s->fd, EPOLLIN, on_client, s);
}

static void on_client(void *opaque, uint32_t revents)
{
	struct control_server *s = opaque;
	autofd fd = sock_accept(s->fd);
	const char *why = NULL;

	if (fd < 0) {
		if (errno == EAGAIN || errno == ECONNABORTED)
			return;
		/* It stays in the backlog: the watch would call at once. */
		g_clear_pointer(&s->watch, loop_watch_free);
		s->pause = loop_watch_timer(ACCEPT_PAUSE_MS, listen_again, s);
		return;
	}
	if (!may_connect(s, fd))
		why = "its user and group are others";
	else if (!make_room(s))
		why = "there are too many";
	if (why)
		log_limited(&s->log_limit, LOG_LEVEL_WARNING, "control",
			"a client was turned away: %s", why);
	else
		control_client_pump(control_client_new(s, fd_steal(&fd)));
}

void control_server_event(struct control_server *s, const char *line, size_t len, uint64_t lost)
{
	for (GList *l = s->clients, *next; l; l = next) {
		struct control_client *client = l->data;

		next = l->next;
		if (!client->watches)
			continue;
		client->lost += lost;
		control_client_event(client, line, len);
	}
}

void control_server_start(struct control_server *s, const struct control_ops *ops, int fd)
{
	*s = (struct control_server){
		.ops = ops,
		.fd = fd,
		.uid = geteuid(),
		.gid = getegid(),
	};
	listen_again(s);
}

void control_server_stop(struct control_server *s)
{
	g_clear_pointer(&s->watch, loop_watch_free);
	g_clear_pointer(&s->pause, loop_watch_free);
	for (GList *l = s->clients; l; l = l->next)
		((struct control_client *)l->data)->watches = false;
	while (s->clients)
		control_client_free(s->clients->data);
	fd_close(&s->fd);
}

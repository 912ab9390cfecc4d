/* SPDX-License-Identifier: Apache-2.0 */
/* See listener.h. */
#include "tools/switch/listener.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/sock.h"
#include "base/util.h"
#include "tools/switch/port.h"

/* How long no one is accepted after fds or memory were short. */
#define PAUSE_MS 500

struct switch_listener {
	struct switcher *sw;
	struct port_settings *settings;
	int fd;
	struct loop_watch *watch, *pause; /* one of them */
	struct log_limit limit;
};

static void on_pause_end(void *opaque)
{
	struct switch_listener *l = opaque;

	g_clear_pointer(&l->pause, loop_watch_free);
	listener_start(l);
}

static void on_peer(void *opaque, uint32_t revents)
{
	struct switch_listener *l = opaque;
	int fd = sock_accept(l->fd);

	if (fd < 0) {
		if (errno == EAGAIN || errno == ECONNABORTED)
			return;
		/* It stays in the backlog: the watch would call at once. */
		log_limited(&l->limit, LOG_LEVEL_WARNING, l->settings->name,
			"cannot accept a connection: %s", g_strerror(errno));
		g_clear_pointer(&l->watch, loop_watch_free);
		l->pause = loop_watch_timer(PAUSE_MS, on_pause_end, l);
		return;
	}
	if (switcher_has_room(l->sw)) {
		switcher_attach(l->sw, port_new(l->sw, l->settings, false), fd);
		return;
	}
	log_limited(&l->limit, LOG_LEVEL_WARNING, l->settings->name,
		"a connection was turned away: there are %u ports (--max-ports)",
		l->sw->bridge.max);
	fd_close(&fd);
}

struct switch_listener *listener_new(struct switcher *sw, struct port_settings *settings, int fd)
{
	struct switch_listener *l = g_new(struct switch_listener, 1);

	*l = (struct switch_listener){ .sw = sw, .settings = settings, .fd = fd };
	return l;
}

void listener_start(struct switch_listener *l)
{
	l->watch = loop_watch_fd(l->fd, EPOLLIN, on_peer, l);
}

void listener_free(struct switch_listener *l)
{
	loop_watch_free(l->watch);
	loop_watch_free(l->pause);
	fd_close(&l->fd);
	g_free(l);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One connection after the other, and the signals. */
#include "daemon/session/server.h"

#include <errno.h>
#include <signal.h>
#include <sys/timerfd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/service.h"
#include "base/sock.h"
#include "base/util.h"

/* How long SIGTERM waits for requests that the host has not finished. */
#define STOP_TIMEOUT_S 3
/* How long no connection is accepted after fds or memory were short. */
#define ACCEPT_PAUSE_MS 500

struct server {
	struct backend *backend;
	GMainLoop *loop;
	int fd; /* listens; -1: the one front-end was connected from the start */
	struct loop_watch *listen_watch; /* NULL while the last connection is being closed */
	struct loop_watch *accept_pause; /* instead of listen_watch */
	bool accept_failed; /* and was logged */
	struct loop_watch *terminate, *interrupt, *hangup, *usr1, *timeout;
	struct loop_watch *periodic; /* NULL: no statistics without being asked */
	int timer; /* bounds the wait at the end; -1: not running */
	bool one_off, stopping;
	struct log_limit log_limit;
};

static void on_front_end(void *opaque, uint32_t revents);

static void listen_again(struct server *s)
{
	if (!s->listen_watch && !s->accept_pause)
		s->listen_watch = loop_watch_fd(s->fd, EPOLLIN, on_front_end, s);
}

static void on_accept_pause(void *opaque)
{
	struct server *s = opaque;

	g_clear_pointer(&s->accept_pause, loop_watch_free);
	listen_again(s);
}

/* The connection stays in the backlog: without a pause, the watch would call again at once. */
static void accept_later(struct server *s, int err)
{
	if (!s->accept_failed)
		log_error(NULL, "accept: %s: trying again every %d ms", g_strerror(err),
			ACCEPT_PAUSE_MS);
	s->accept_failed = true;
	g_clear_pointer(&s->listen_watch, loop_watch_free);
	s->accept_pause = loop_watch_timer(ACCEPT_PAUSE_MS, on_accept_pause, s);
}

static void on_closed(void *opaque, bool heard)
{
	struct server *s = opaque;

	/* Another daemon that checks whether this one is alive connects, and sends nothing. */
	if (s->stopping || s->fd < 0 || (s->one_off && heard))
		g_main_loop_quit(s->loop);
	else
		listen_again(s);
}

static void on_front_end(void *opaque, uint32_t revents)
{
	struct server *s = opaque;
	enum backend_state state = backend_state(s->backend);
	autofd fd = -1;

	/* It may wait until the one before it is done with: on_closed() comes. */
	if (state == BACKEND_CLOSING) {
		g_clear_pointer(&s->listen_watch, loop_watch_free);
		return;
	}
	fd = sock_accept(s->fd);
	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED)
			accept_later(s, errno);
		return;
	}
	s->accept_failed = false;
	if (state == BACKEND_SERVING) {
		log_limited(&s->log_limit, LOG_LEVEL_WARNING, NULL,
			"busy: another front-end was turned away");
		return;
	}
	backend_serve(s->backend, fd_steal(&fd), on_closed, s);
}

static void on_timeout(void *opaque, uint32_t revents)
{
	struct server *s = opaque;

	log_warning(NULL, "requests are still in flight after %d s: leaving them", STOP_TIMEOUT_S);
	g_main_loop_quit(s->loop);
}

static void on_stop(void *opaque)
{
	const struct itimerspec wait = { .it_value.tv_sec = STOP_TIMEOUT_S };
	struct server *s = opaque;

	service_notify("STOPPING=1");
	if (s->stopping || backend_state(s->backend) == BACKEND_IDLE) {
		g_main_loop_quit(s->loop);
		return;
	}
	s->stopping = true;
	g_clear_pointer(&s->listen_watch, loop_watch_free);
	g_clear_pointer(&s->accept_pause, loop_watch_free);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (s->timer < 0 || timerfd_settime(s->timer, 0, &wait, NULL) < 0) {
		g_main_loop_quit(s->loop);
		return;
	}
	s->timeout = loop_watch_fd(s->timer, EPOLLIN, on_timeout, s);
	backend_disconnect(s->backend);
}

static void on_reload(void *opaque)
{
	const struct server *s = opaque;

	backend_reload(s->backend);
}

static void on_statistics(void *opaque)
{
	const struct server *s = opaque;

	backend_log_stats(s->backend);
}

struct server *server_new(struct backend *b, bool one_off)
{
	struct server *s = g_new(struct server, 1);

	*s = (struct server){
		.backend = b,
		.loop = g_main_loop_new(NULL, FALSE),
		.fd = -1,
		.timer = -1,
		.one_off = one_off,
	};
	s->terminate = loop_watch_signal(SIGTERM, on_stop, s);
	s->interrupt = loop_watch_signal(SIGINT, on_stop, s);
	s->hangup = loop_watch_signal(SIGHUP, on_reload, s);
	s->usr1 = loop_watch_signal(SIGUSR1, on_statistics, s);
	return s;
}

void server_log_stats_every(struct server *s, unsigned seconds)
{
	s->periodic = loop_watch_timer(seconds * 1000, on_statistics, s);
}

void server_start(struct server *s, int fd)
{
	if (sock_is_listening(fd)) {
		s->fd = fd;
		s->listen_watch = loop_watch_fd(fd, EPOLLIN, on_front_end, s);
		return;
	}
	backend_serve(s->backend, fd, on_closed, s);
}

bool server_run(struct server *s)
{
	g_main_loop_run(s->loop);
	return backend_state(s->backend) == BACKEND_IDLE;
}

void server_free(struct server *s)
{
	loop_watch_free(s->listen_watch);
	loop_watch_free(s->accept_pause);
	loop_watch_free(s->terminate);
	loop_watch_free(s->interrupt);
	loop_watch_free(s->hangup);
	loop_watch_free(s->usr1);
	loop_watch_free(s->timeout);
	loop_watch_free(s->periodic);
	fd_close(&s->timer);
	fd_close(&s->fd);
	g_main_loop_unref(s->loop);
	g_free(s);
}

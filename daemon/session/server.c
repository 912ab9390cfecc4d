/* SPDX-License-Identifier: Apache-2.0 */
/* One connection after the other, and the signals. */
#include "daemon/session/server.h"

#include <errno.h>
#include <poll.h>
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
/* A front-end that sends nothing for so long loses its place when another waits. */
#define SILENT_MS 500

struct server {
	struct backend *backend;
	GMainLoop *loop;
	int waiting; /* the next front-end, while the present one may lose its place; -1 */
	struct loop_watch *silence; /* a timer: it has lost it, unless it sends something */
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

/* Accepts again in a moment. The connection stays in the backlog: the watch would call at once. */
static void accept_later(struct server *s, int err)
{
	if (!s->accept_failed)
		log_error(NULL, "accept: %s: trying again every %d ms", g_strerror(err),
			ACCEPT_PAUSE_MS);
	s->accept_failed = true;
	g_clear_pointer(&s->listen_watch, loop_watch_free);
	s->accept_pause = loop_watch_timer(ACCEPT_PAUSE_MS, on_accept_pause, s);
}

static void on_closed(void *opaque, bool heard);

static void turn_away(struct server *s, int fd)
{
	log_limited(
		&s->log_limit, LOG_LEVEL_WARNING, NULL, "busy: another front-end was turned away");
	close(fd);
}

/* Serves the one that waits, and listens for others. */
static void next_front_end(struct server *s)
{
	g_clear_pointer(&s->silence, loop_watch_free);
	listen_again(s);
	if (s->waiting >= 0)
		backend_serve(s->backend, fd_steal(&s->waiting), on_closed, s);
}

static void on_closed(void *opaque, bool heard)
{
	struct server *s = opaque;

	/* Another daemon that checks whether this one is alive connects, and sends nothing. */
	if (s->stopping || s->fd < 0 || (s->one_off && heard))
		g_main_loop_quit(s->loop);
	else
		next_front_end(s);
}

/* Ends the present front-end, which had its time. */
static void on_silence(void *opaque)
{
	struct server *s = opaque;
	struct pollfd next = { .fd = s->waiting, .events = POLLRDHUP };

	g_clear_pointer(&s->silence, loop_watch_free);
	if (backend_silent_us(s->backend) < 0 || poll(&next, 1, 0) > 0) {
		turn_away(s, s->waiting);
		s->waiting = -1;
		next_front_end(s);
		return;
	}
	log_limited(&s->log_limit, LOG_LEVEL_WARNING, NULL,
		"a front-end that sends nothing has lost its place to another one");
	backend_disconnect(s->backend);
}

/* Returns whether the next front-end waits for the present one, which has sent nothing yet. */
static bool may_wait(struct server *s, int fd)
{
	int64_t silent = backend_silent_us(s->backend);

	if (silent < 0)
		return false;
	s->waiting = fd;
	g_clear_pointer(&s->listen_watch, loop_watch_free);
	s->silence = loop_watch_timer(MAX(1, SILENT_MS - silent / 1000), on_silence, s);
	return true;
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
		if (!may_wait(s, fd))
			turn_away(s, fd);
		fd_steal(&fd);
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

	service_stopping();
	if (s->stopping || backend_state(s->backend) == BACKEND_IDLE) {
		g_main_loop_quit(s->loop);
		return;
	}
	s->stopping = true;
	g_clear_pointer(&s->listen_watch, loop_watch_free);
	g_clear_pointer(&s->accept_pause, loop_watch_free);
	g_clear_pointer(&s->silence, loop_watch_free);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (s->timer < 0 || timerfd_settime(s->timer, 0, &wait, NULL) < 0) {
		g_main_loop_quit(s->loop);
		return;
	}
	s->timeout = loop_watch_fd(s->timer, EPOLLIN, on_timeout, s);
	backend_disconnect(s->backend);
}

void server_quit(struct server *s)
{
	on_stop(s);
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
		.waiting = -1,
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
	loop_watch_free(s->silence);
	loop_watch_free(s->terminate);
	loop_watch_free(s->interrupt);
	loop_watch_free(s->hangup);
	loop_watch_free(s->usr1);
	loop_watch_free(s->timeout);
	loop_watch_free(s->periodic);
	fd_close(&s->timer);
	fd_close(&s->waiting);
	fd_close(&s->fd);
	g_main_loop_unref(s->loop);
	g_free(s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* GSources of the default GMainContext, one a watch. */
#include "base/loop.h"

#include <glib-unix.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>

/*
 * GLib holds its own reference while a source is dispatched; a watch that its callback frees is
 * not touched afterwards.
 */
struct loop_watch {
	GSource *source;
	union {
		void (*fd)(void *opaque, uint32_t revents);
		void (*plain)(void *opaque);
	} cb;
	void *opaque;
	int signum; /* 0: not a signal's */
};

/* GIOCondition has poll()'s numbers, and so has epoll. */
G_STATIC_ASSERT(G_IO_IN == (int)EPOLLIN && G_IO_OUT == (int)EPOLLOUT);
G_STATIC_ASSERT(G_IO_ERR == (int)EPOLLERR && G_IO_HUP == (int)EPOLLHUP);

static gboolean on_fd(gint fd, GIOCondition condition, gpointer data)
{
	struct loop_watch *watch = data;
	uint32_t revents = condition & ~G_IO_NVAL;

	/* An fd closed under the watch, which epoll does not know. */
	if (condition & G_IO_NVAL)
		revents |= EPOLLERR;
	watch->cb.fd(watch->opaque, revents);
	return G_SOURCE_CONTINUE;
}

static gboolean on_again(gpointer data)
{
	struct loop_watch *watch = data;

	watch->cb.plain(watch->opaque);
	return G_SOURCE_CONTINUE;
}

static gboolean on_soon(gpointer data)
{
	struct loop_watch *watch = data;

	watch->cb.plain(watch->opaque);
	return G_SOURCE_REMOVE;
}

static void attach(struct loop_watch *watch, GSource *source, GSourceFunc func)
{
	watch->source = source;
	g_source_set_callback(source, func, watch, NULL);
	g_source_attach(source, NULL);
}

struct loop_watch *loop_watch_fd(
	int fd, uint32_t events, void (*cb)(void *opaque, uint32_t revents), void *opaque)
{
	struct loop_watch *watch = g_new0(struct loop_watch, 1);

	watch->cb.fd = cb;
	watch->opaque = opaque;
	attach(watch, g_unix_fd_source_new(fd, events | G_IO_ERR | G_IO_HUP), G_SOURCE_FUNC(on_fd));
	return watch;
}

/* how: SIG_BLOCK or SIG_UNBLOCK. */
static void mask_signal(int how, int signum)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signum);
	pthread_sigmask(how, &set, NULL);
}

static bool is_ignored(int signum)
{
	struct sigaction action;

	return sigaction(signum, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

struct loop_watch *loop_watch_signal(int signum, void (*cb)(void *opaque), void *opaque)
{
	struct loop_watch *watch;

	if (signum == SIGHUP && is_ignored(signum))
		return NULL;
	watch = g_new0(struct loop_watch, 1);
	watch->cb.plain = cb;
	watch->opaque = opaque;
	watch->signum = signum;
	attach(watch, g_unix_signal_source_new(signum), on_again);
	mask_signal(SIG_UNBLOCK, signum);
	return watch;
}

struct loop_watch *loop_watch_timer(unsigned ms, void (*cb)(void *opaque), void *opaque)
{
	struct loop_watch *watch = g_new0(struct loop_watch, 1);

	watch->cb.plain = cb;
	watch->opaque = opaque;
	attach(watch, g_timeout_source_new(ms), on_again);
	return watch;
}

struct loop_watch *loop_watch_soon(void (*cb)(void *opaque), void *opaque)
{
	struct loop_watch *watch = g_new0(struct loop_watch, 1);
	GSource *source = g_idle_source_new();

	/* Idle priority would wait for ever behind an fd that is always ready. */
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	watch->cb.plain = cb;
	watch->opaque = opaque;
	attach(watch, source, on_soon);
	return watch;
}

void loop_watch_free(struct loop_watch *watch)
{
	if (!watch)
		return;
	/* GLib restores the default action, which ends the program. */
	if (watch->signum)
		mask_signal(SIG_BLOCK, watch->signum);
	g_source_destroy(watch->source);
	g_source_unref(watch->source);
	g_free(watch);
}

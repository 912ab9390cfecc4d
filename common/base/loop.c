/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GSources of the default GMainContext, one a watch. Signals have signalfds: for GLib's own watches
 * it would start a thread.
 */
#include "base/loop.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

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
	int signal_fd; /* -1: not a signal's */
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

static gboolean on_signal(gint fd, GIOCondition condition, gpointer data)
{
	struct loop_watch *watch = data;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == sizeof(info))
		watch->cb.plain(watch->opaque);
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

static struct loop_watch *new_watch(void *opaque)
{
	struct loop_watch *watch = g_new0(struct loop_watch, 1);

	watch->opaque = opaque;
	watch->signal_fd = -1;
	return watch;
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
	struct loop_watch *watch = new_watch(opaque);

	watch->cb.fd = cb;
	attach(watch, g_unix_fd_source_new(fd, events | G_IO_ERR | G_IO_HUP), G_SOURCE_FUNC(on_fd));
	return watch;
}

static bool is_ignored(int signum)
{
	struct sigaction action;

	return sigaction(signum, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

struct loop_watch *loop_watch_signal(int signum, void (*cb)(void *opaque), void *opaque)
{
	struct loop_watch *watch;
	sigset_t set;
	int fd;

	if (signum == SIGHUP && is_ignored(signum))
		return NULL;
	sigemptyset(&set);
	sigaddset(&set, signum);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0) {
		log_warning(NULL, "cannot watch for %s: %s", strsignal(signum), g_strerror(errno));
		return NULL;
	}
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	watch = new_watch(opaque);
	watch->cb.plain = cb;
	watch->signal_fd = fd;
	attach(watch, g_unix_fd_source_new(fd, G_IO_IN), G_SOURCE_FUNC(on_signal));
	return watch;
}

struct loop_watch *loop_watch_timer(unsigned ms, void (*cb)(void *opaque), void *opaque)
{
	struct loop_watch *watch = new_watch(opaque);

	watch->cb.plain = cb;
	attach(watch, g_timeout_source_new(ms), on_again);
	return watch;
}

struct loop_watch *loop_watch_soon(void (*cb)(void *opaque), void *opaque)
{
	struct loop_watch *watch = new_watch(opaque);
	GSource *source = g_idle_source_new();

	/* Idle priority would wait for ever behind an fd that is always ready. */
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	watch->cb.plain = cb;
	attach(watch, source, on_soon);
	return watch;
}

void loop_watch_free(struct loop_watch *watch)
{
	if (!watch)
		return;
	g_source_destroy(watch->source);
	g_source_unref(watch->source);
	fd_close(&watch->signal_fd);
	g_free(watch);
}

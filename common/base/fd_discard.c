/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing fds of other processes: see fd_kind.h.
 *
 * close() of a FUSE file asks its server, and cannot be ended while that does not answer. A thread
 * of ours that waits there would keep this process from ending, even by SIGKILL. So another process
 * does it, with which we share the table of fds: close() takes the fd out of the table before it
 * waits, so that neither the main loop nor our end waits for it.
 */
#include "base/fd_kind.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/util.h"

/* While so many wait, further fds stay open. */
#define CLOSERS 16

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static pid_t closers[CLOSERS]; /* 0: none */
static GArray *pending; /* fds, for the next closer */

/* Returns a place for another closer, or NULL. */
static pid_t *free_place(void)
{
	pid_t *place = NULL;

	for (unsigned i = 0; i < CLOSERS; i++) {
		if (closers[i] && waitpid(closers[i], NULL, WNOHANG | __WALL) != 0)
			closers[i] = 0;
		if (!closers[i])
			place = &closers[i];
	}
	return place;
}

/*
 * Makes a process as fork(), but with one table of fds; no signal tells of the end. TSan knows
 * no such child.
 */
__attribute__((no_sanitize("thread"))) static pid_t start_process(const GArray *fds)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES, 0, 0, 0, 0);

	if (pid != 0)
		return pid;
	for (unsigned i = 0; i < fds->len; i++)
		syscall(SYS_close, g_array_index(fds, int, i));
	syscall(SYS_exit_group, 0);
	return 0;
}

static void *close_all(void *opaque)
{
	g_autoptr(GArray) fds = opaque;

	for (unsigned i = 0; i < fds->len; i++)
		close(g_array_index(fds, int, i));
	return NULL;
}

/* Closes them in a thread, where a sandbox permits no process. Takes over fds on success. */
static bool start_thread(GArray *fds)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, close_all, fds) != 0)
		return false;
	pthread_detach(thread);
	return true;
}

static void close_pending(void)
{
	static struct log_limit limit;
	pid_t *place = free_place();
	pid_t pid = place ? start_process(pending) : -1;

	if (pid > 0) {
		*place = pid;
		g_array_set_size(pending, 0);
	} else if (place && start_thread(pending)) {
		pending = NULL;
	} else {
		log_limited(&limit, LOG_LEVEL_WARNING, NULL,
			"%u files of other processes stay open: their file systems do not answer",
			pending->len);
	}
}

void fds_discard(int *fds, unsigned n)
{
	unsigned slow = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < n; i++) {
		int fd = fd_steal(&fds[i]);

		if (fd >= 0 && fd_kind(fd) != FD_OTHER) {
			close(fd);
			continue;
		}
		if (fd < 0)
			continue;
		if (!pending)
			pending = g_array_new(FALSE, FALSE, sizeof(int));
		g_array_append_val(pending, fd);
		slow++;
	}
	if (slow)
		close_pending();
	pthread_mutex_unlock(&lock);
}

void fd_discard(int fd)
{
	fds_discard(&fd, 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See reaper.h. A pidfd; where there is none (Linux before 5.3, valgrind), a timer stands in. */
#include "launch/reaper.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"

#define LOOK_MS 10

/* Does nothing to a pidfd. */
static void look_later(int fd)
{
	const struct itimerspec once = { .it_value.tv_nsec = LOOK_MS * 1000000 };

	timerfd_settime(fd, 0, &once, NULL);
}

bool reaper_init(struct reaper *r, pid_t pid)
{
	*r = (struct reaper){ .pid = pid, .fd = syscall(SYS_pidfd_open, pid, 0) };
	r->by_fd = r->fd >= 0 && syscall(SYS_pidfd_send_signal, r->fd, 0, NULL, 0) == 0;
	if (r->fd >= 0 || errno != ENOSYS)
		return r->fd >= 0;
	r->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->fd >= 0)
		look_later(r->fd);
	return r->fd >= 0;
}

bool reaper_look(struct reaper *r)
{
	if (!r->ended && waitpid(r->pid, &r->status, WNOHANG) == 0) {
		look_later(r->fd);
		return false;
	}
	r->ended = true;
	return true;
}

bool reaper_wait(struct reaper *r, unsigned ms)
{
	gint64 end = g_get_monotonic_time() + (gint64)ms * G_TIME_SPAN_MILLISECOND;
	struct pollfd pfd = { .fd = r->fd, .events = POLLIN };

	while (!reaper_look(r)) {
		gint64 left = (end - g_get_monotonic_time()) / G_TIME_SPAN_MILLISECOND;

		if (left < 0)
			return false;
		poll(&pfd, 1, (int)MIN(left + 1, r->fd < 0 ? LOOK_MS : G_MAXINT));
	}
	return true;
}

void reaper_kill(const struct reaper *r, int signum)
{
	if (r->ended)
		return;
	if (r->by_fd)
		syscall(SYS_pidfd_send_signal, r->fd, signum, NULL, 0);
	else
		kill(r->pid, signum);
}

struct syscall_rule reaper_kill_rule(const struct reaper *r)
{
	const struct syscall_rule by_fd =
		SYSCALL_IF(pidfd_send_signal, 0, UINT32_MAX, (uint32_t)r->fd);
	const struct syscall_rule by_pid = SYSCALL_IF(kill, 0, UINT32_MAX, (uint32_t)r->pid);

	return r->by_fd ? by_fd : by_pid;
}

char *reaper_describe(const struct reaper *r)
{
	if (WIFSIGNALED(r->status))
		return g_strdup_printf("was ended by signal %d (%s)", WTERMSIG(r->status),
			strsignal(WTERMSIG(r->status)));
	return g_strdup_printf("ended with status %d", WEXITSTATUS(r->status));
}

void reaper_close(struct reaper *r)
{
	fd_close(&r->fd);
}

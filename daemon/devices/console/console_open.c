/* SPDX-License-Identifier: Apache-2.0 */
/* Opening each kind of console_end.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sock.h"
#include "console_end.h"

bool console_open_echo(struct console_end *e, GError **error)
{
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return error_errno(error, errno, "cannot make a pipe");
	e->in = fds[0];
	e->out = fds[1];
	e->connected = true;
	return true;
}

bool console_open_file(struct console_end *e, GError **error)
{
	e->out = open(
		e->path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (e->out < 0)
		return error_errno(error, errno, "cannot write to '%s'", e->path);
	e->connected = true;
	return true;
}

bool console_open_unix(struct console_end *e, GError **error)
{
	e->arrival.fd = sock_listen(e->path, 0600, (gid_t)-1, error);
	return e->arrival.fd >= 0;
}

/* Has no line discipline change what passes. Closed again, the terminal has no user. */
static bool make_raw(const char *path)
{
	autofd fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios mode;

	if (fd < 0 || tcgetattr(fd, &mode) < 0)
		return false;
	cfmakeraw(&mode);
	return tcsetattr(fd, TCSANOW, &mode) == 0;
}

bool console_open_pty(struct console_end *e, GError **error)
{
	char path[64];

	e->in = e->out = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (e->in < 0 || grantpt(e->in) < 0 || unlockpt(e->in) < 0 ||
		ptsname_r(e->in, path, sizeof(path)) != 0 || !make_raw(path) ||
		fcntl(e->in, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return error_errno(error, errno, "cannot make a terminal");
	e->path = g_strdup(path);
	/* The master is told when the last user leaves, but not when one comes. */
	e->arrival.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (e->arrival.fd < 0 || inotify_add_watch(e->arrival.fd, path, IN_OPEN) < 0)
		return error_errno(error, errno, "cannot watch '%s'", path);
	log_info(e->name, "is at %s", path);
	return true;
}

/*
 * Opens a standard fd once more, where that makes an open file of our own, so that O_NONBLOCK is
 * not set for other processes.
 */
static int open_again(int fd, int how)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
	int own = -1;
	struct stat st;

	if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
		own = open(path, how | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own >= 0)
		return own;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own >= 0)
		fcntl(own, F_SETFL, fcntl(own, F_GETFL) | O_NONBLOCK);
	return own;
}

bool console_open_stdio(struct console_end *e, GError **error)
{
	struct termios mode;

	e->in = open_again(STDIN_FILENO, O_RDONLY);
	e->out = open_again(STDOUT_FILENO, O_WRONLY);
	if (e->in < 0 || e->out < 0)
		return error_errno(error, errno, "cannot use standard input and output");
	e->connected = true;
	if (tcgetattr(e->in, &e->saved) < 0)
		return true;
	/* In the background the mode is changed all the same. */
	signal(SIGTTOU, SIG_IGN);
	mode = e->saved;
	cfmakeraw(&mode);
	mode.c_lflag |= ISIG;
	e->is_raw = tcsetattr(e->in, TCSANOW, &mode) == 0;
	return true;
}

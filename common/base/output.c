/* SPDX-License-Identifier: Apache-2.0 */
/* See output.h. */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"

/* As much as pipes and terminals accept without blocking once poll() finds room. */
#define PIECE_BYTES 256

void output_open(struct output *o, int fd)
{
	char path[sizeof("/proc/self/fd/") + 11];
	struct stat st;

	*o = OUTPUT(fd);
	if (fstat(fd, &st) < 0)
		return;
	if (S_ISSOCK(st.st_mode))
		o->kind = OUTPUT_SOCKET;
	else if (!S_ISFIFO(st.st_mode) && !isatty(fd))
		o->kind = OUTPUT_FILE;
	if (o->kind != OUTPUT_CHECKED)
		return;
	g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	o->own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void output_close(struct output *o)
{
	fd_close(&o->own);
}

/* Writes once; 0 stands for no room. */
static ssize_t write_piece(const struct output *o, const void *bytes, size_t len)
{
	struct pollfd pfd = { .fd = o->fd, .events = POLLOUT };

	if (o->own >= 0)
		return write(o->own, bytes, len);
	if (o->kind == OUTPUT_FILE)
		return write(o->fd, bytes, len);
	if (o->kind == OUTPUT_SOCKET)
		return sock_send_some(o->fd, bytes, len);
	if (poll(&pfd, 1, 0) <= 0)
		return 0;
	return write(o->fd, bytes, MIN(len, PIECE_BYTES));
}

ssize_t output_write(const struct output *o, const void *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write_piece(o, (const char *)bytes + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return done ? (ssize_t)done : n ? -errno : -EAGAIN;
		done += n;
	}
	return (ssize_t)done;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See console_end.h. Watches are edge-triggered: what is not known to be in vain is tried. */
#include "console_end.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sock.h"

/* A file system without room, for example. */
#define RETRY_US 1000000

static const struct {
	const char *name;
	bool (*open)(struct console_end *e, GError **error);
	bool has_path;
} kinds[] = {
	[CONSOLE_NULL] = { "null" },
	[CONSOLE_ECHO] = { "echo", console_open_echo },
	[CONSOLE_FILE] = { "file", console_open_file, .has_path = true },
	[CONSOLE_UNIX] = { "unix", console_open_unix, .has_path = true },
	[CONSOLE_PTY] = { "pty", console_open_pty },
	[CONSOLE_STDIO] = { "stdio", console_open_stdio },
};

static void watch(struct console_end *e, struct virtio_watch *w, int fd, uint32_t events)
{
	struct stat st;

	/* epoll does not take what is always ready. */
	if (fd < 0 || fstat(fd, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return;
	w->fd = fd;
	virtio_watch(e->d, NULL, w, events | EPOLLET);
}

static bool has_hung_up(int fd)
{
	struct pollfd pfd = { .fd = fd };

	return poll(&pfd, 1, 0) > 0;
}

/* Sets whether the fd leads somewhere from now on. */
static void connect_end(struct console_end *e, bool connected)
{
	e->connections += connected != e->connected;
	e->connected = connected;
	e->readable = e->in >= 0;
	e->writable = e->out >= 0 || e->kind == CONSOLE_NULL;
}

static void accept_client(struct console_end *e)
{
	int fd;

	if (e->in >= 0)
		return;
	fd = sock_accept(e->arrival.fd);
	if (fd < 0)
		return;
	e->in = e->out = fd;
	connect_end(e, true);
	watch(e, &e->in_watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

/* Has read all of a client, or lost it; the next one may come. */
static void drop_client(struct console_end *e)
{
	virtio_watch(e->d, NULL, &e->in_watch, 0);
	close(e->in);
	e->in = e->out = -1;
	connect_end(e, false);
	accept_client(e);
}

/* Notes that nothing more can be read for now. why: 0 is the end, or errno. */
static void end_reading(struct console_end *e, int why)
{
	e->readable = false;
	if (why == EAGAIN || e->kind == CONSOLE_PTY)
		return;
	/* A client that has only ended what it sends goes on reading. */
	if (e->kind == CONSOLE_UNIX && (why || !e->connected))
		drop_client(e);
}

/* Notes that what is written has no reader any more; there may still be something to read. */
static void lose_reader(struct console_end *e)
{
	bool ended;

	e->connections += e->connected;
	e->connected = false;
	if (e->kind == CONSOLE_UNIX && (!e->readable || sock_unread(e->in, &ended) <= 0))
		drop_client(e);
}

void console_end_look(struct console_end *e)
{
	if (e->connected)
		return;
	if (e->kind == CONSOLE_UNIX)
		accept_client(e);
	else if (e->kind == CONSOLE_PTY && !has_hung_up(e->in))
		connect_end(e, true);
}

static void on_event(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct console_end *e = container_of(w, struct console_end, in_watch);

	if (revents & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		e->readable = true;
	if (revents & EPOLLOUT && e->in == e->out)
		e->writable = true;
	if (revents & (EPOLLHUP | EPOLLERR) && e->in == e->out && has_hung_up(e->in))
		lose_reader(e);
	e->ready(e);
}

static void on_writable(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct console_end *e = container_of(w, struct console_end, out_watch);

	e->writable = true;
	e->ready(e);
}

static void on_retry(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	struct console_end *e = container_of(t, struct console_end, retry);

	e->writable = true;
	e->ready(e);
}

static void on_arrival(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct console_end *e = container_of(w, struct console_end, arrival);
	char events[4096];

	while (e->kind == CONSOLE_PTY && read(w->fd, events, sizeof(events)) > 0)
		;
	console_end_look(e);
	e->ready(e);
}

static bool parse(struct console_end *e, const char *text, GError **error)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);

	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		if (strncmp(text, kinds[i].name, len) != 0 || kinds[i].name[len] ||
			kinds[i].has_path != !!colon || (colon && !colon[1]))
			continue;
		e->kind = i;
		e->path = colon ? g_strdup(colon + 1) : NULL;
		return true;
	}
	return error_set(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
		"invalid back-end: '%s' (stdio, pty, null, echo, unix:PATH or file:PATH)", text);
}

bool console_end_open(
	struct console_end *e, struct virtio_device *d, const char *text, GError **error)
{
	e->d = d;
	e->in = e->out = e->arrival.fd = -1;
	e->in_watch.ready = on_event;
	e->out_watch.ready = on_writable;
	e->arrival.ready = on_arrival;
	e->retry.expired = on_retry;
	if (!parse(e, text, error) || (kinds[e->kind].open && !kinds[e->kind].open(e, error)))
		return false;
	connect_end(e, e->connected || e->kind == CONSOLE_NULL);
	/* An echo is readable when something was written. */
	if (e->in >= 0 && e->kind != CONSOLE_ECHO)
		watch(e, &e->in_watch, e->in, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	if (e->out != e->in)
		watch(e, &e->out_watch, e->out, EPOLLOUT);
	watch(e, &e->arrival, e->arrival.fd, EPOLLIN);
	return true;
}

void console_end_close(struct console_end *e)
{
	if (!e->d)
		return;
	virtio_watch(e->d, NULL, &e->in_watch, 0);
	virtio_watch(e->d, NULL, &e->out_watch, 0);
	virtio_watch(e->d, NULL, &e->arrival, 0);
	virtio_timer(e->d, NULL, &e->retry, -1);
	if (e->is_raw)
		tcsetattr(e->in, TCSANOW, &e->saved);
	if (e->out != e->in)
		fd_close(&e->out);
	fd_close(&e->in);
	fd_close(&e->arrival.fd);
	g_clear_pointer(&e->path, g_free);
}

const char *console_end_kind(const struct console_end *e)
{
	return kinds[e->kind].name;
}

const struct syscall_rule console_end_calls[] = {
	SYSCALL_IOCTL(TIOCGWINSZ),
	SYSCALL_IOCTL(TCGETS),
	SYSCALL_IOCTL(TCSETS),
	SYSCALL_END,
};

size_t console_end_read(struct console_end *e, const struct iovec *iov, unsigned n)
{
	ssize_t got;

	if (!e->readable || e->in < 0)
		return 0;
	do
		got = readv(e->in, iov, n);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		end_reading(e, got < 0 ? errno : 0);
	return MAX(got, 0);
}

bool console_end_has_rest(const struct console_end *e)
{
	int bytes;

	return !e->connected && e->readable && e->in >= 0 && ioctl(e->in, FIONREAD, &bytes) == 0 &&
		bytes > 0;
}

/* Decides what becomes of a write that failed. */
static void write_failed(struct console_end *e, int err)
{
	e->writable = false;
	if (err == EAGAIN)
		return;
	if (err == EPIPE || err == ECONNRESET || err == EIO) {
		lose_reader(e);
		return;
	}
	if (!e->failing)
		log_limited(&e->limit, LOG_LEVEL_ERROR, e->name,
			"cannot write to '%s': %s: trying again", e->path ? e->path : "stdout",
			g_strerror(err));
	e->failing = true;
	virtio_timer(e->d, NULL, &e->retry, g_get_monotonic_time() + RETRY_US);
}

static ssize_t put(const struct console_end *e, const struct iovec *iov, unsigned n)
{
	const struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };

	if (e->kind == CONSOLE_UNIX)
		return sendmsg(e->out, &msg, MSG_NOSIGNAL);
	return writev(e->out, iov, n);
}

size_t console_end_write(struct console_end *e, const struct iovec *iov, unsigned n)
{
	ssize_t got;

	if (e->kind == CONSOLE_NULL) {
		got = 0;
		for (unsigned i = 0; i < n; i++)
			got += iov[i].iov_len;
		return got;
	}
	if (!e->writable || !e->connected)
		return 0;
	do
		got = put(e, iov, n);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		write_failed(e, errno);
	else
		e->failing = false;
	e->readable |= e->kind == CONSOLE_ECHO;
	return MAX(got, 0);
}

bool console_end_size(const struct console_end *e, uint16_t *cols, uint16_t *rows)
{
	struct winsize size;

	if (e->kind != CONSOLE_STDIO ||
		(ioctl(e->out, TIOCGWINSZ, &size) < 0 && ioctl(e->in, TIOCGWINSZ, &size) < 0))
		return false;
	*cols = size.ws_col;
	*rows = size.ws_row;
	return true;
}

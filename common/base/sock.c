/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets: the only file that makes any. */
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd_kind.h"
#include "base/util.h"

#define CONNECT_TIMEOUT_S 3
#define LOCK_TRIES 100
#define LOCK_PAUSE_US 10000

/* Control messages of one recvmsg() or sendmsg(); the union aligns the bytes. */
union fd_control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(SOCK_MAX_FDS * sizeof(int))];
};

static void set_error(GError **error, int err, const char *what, const char *path)
{
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err), "%s '%s': %s", what, path,
		g_strerror(err));
}

static bool set_address(struct sockaddr_un *address, const char *path, GError **error)
{
	size_t len = strlen(path);

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len == 0) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "the socket path is empty");
		return false;
	}
	if (len >= sizeof(address->sun_path)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NAMETOOLONG,
			"socket path '%s' is %zu bytes long, the limit is %zu", path, len,
			sizeof(address->sun_path) - 1);
		return false;
	}
	memcpy(address->sun_path, path, len);
	return true;
}

/*
 * Locks the directory. Of two daemons started at the same path at the same time, each could take
 * the other's socket, bound but not yet listening, for a stale one: finding out and replacing is
 * done under this lock. Any process that can read the directory can hold it: after a second goes
 * on without.
 */
static int lock_directory(const char *path)
{
	g_autofree char *dir = g_path_get_dirname(path);
	autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
		g_usleep(LOCK_PAUSE_US);
	return fd_steal(&fd);
}

/* Makes path free for bind(): removes a socket without a listener, refuses anything else. */
static bool clear_path(const struct sockaddr_un *address, GError **error)
{
	const char *path = address->sun_path;
	autofd fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return true;
		set_error(error, errno, "cannot listen at", path);
		return false;
	}
	if (!S_ISSOCK(st.st_mode)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
			"cannot listen at '%s': it exists and is not a socket", path);
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		set_error(error, errno, "no socket for", path);
		return false;
	}
	/* A full backlog (EAGAIN) and another type (EPROTOTYPE) mean that somebody is there. */
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		errno == EAGAIN || errno == EPROTOTYPE) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
			"cannot listen at '%s': another process serves it", path);
		return false;
	}
	if (errno != ENOENT && (errno != ECONNREFUSED || unlink(path) < 0)) {
		set_error(error, errno, "cannot replace the socket", path);
		return false;
	}
	return true;
}

/* Binds and listens. The umask sets the file's mode; no client can connect before listen(). */
static bool bind_and_listen(
	int fd, const struct sockaddr_un *address, mode_t mode, gid_t group, GError **error)
{
	const char *path = address->sun_path;
	mode_t saved = umask(~mode & 0777);
	int err = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;

	umask(saved);
	if (err) {
		set_error(error, err, "cannot make the socket", path);
		return false;
	}
	if (group != (gid_t)-1 && lchown(path, -1, group) < 0) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			"cannot give '%s' to group %u: %s", path, (unsigned)group,
			g_strerror(errno));
		unlink(path);
		return false;
	}
	if (listen(fd, SOMAXCONN) < 0) {
		set_error(error, errno, "cannot listen at", path);
		unlink(path);
		return false;
	}
	return true;
}

int sock_listen(const char *path, mode_t mode, gid_t group, GError **error)
{
	autofd fd = -1, lock = -1;
	struct sockaddr_un address;

	if (!set_address(&address, path, error))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		set_error(error, errno, "no socket for", path);
		return -1;
	}
	lock = lock_directory(path);
	if (!clear_path(&address, error) || !bind_and_listen(fd, &address, mode, group, error))
		return -1;
	return fd_steal(&fd);
}

/* Connects. timeout_s: how long a full backlog may delay it (a wedged server); 0: not at all. */
static int dial(const char *path, unsigned timeout_s, GError **error)
{
	struct timeval timeout = { .tv_sec = timeout_s }, none = { 0 };
	struct sockaddr_un address;
	autofd fd = -1;
	int ret;

	if (!set_address(&address, path, error))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (timeout_s ? 0 : SOCK_NONBLOCK), 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0) {
		set_error(error, errno, "no socket for", path);
		return -1;
	}
	do {
		ret = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	} while (ret < 0 && errno == EINTR);
	if (ret < 0 && errno == EAGAIN) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN,
			"cannot connect to '%s': its server has accepted no connection for %u s",
			path, timeout_s);
		return -1;
	}
	if (ret < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)) < 0 ||
		fcntl(fd, F_SETFL, 0) < 0) {
		set_error(error, errno, "cannot connect to", path);
		return -1;
	}
	return fd_steal(&fd);
}

int sock_connect(const char *path, GError **error)
{
	return dial(path, CONNECT_TIMEOUT_S, error);
}

int sock_connect_now(const char *path, GError **error)
{
	return dial(path, 0, error);
}

int sock_accept(int fd)
{
	int conn;

	do {
		conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (conn < 0 && errno == EINTR);
	return conn;
}

bool sock_pair(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0;
}

bool sock_pair_records(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0;
}

bool sock_is_listening(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

pid_t sock_peer_pid(int fd)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
}

int sock_connect_datagram(const char *path)
{
	autofd fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	socklen_t address_len = offsetof(struct sockaddr_un, sun_path) + strlen(path);

	if (!set_address(&address, path, NULL))
		return -EINVAL;
	if (*path == '@') /* an abstract name begins with NUL and is as long as the address says */
		address.sun_path[0] = '\0';
	if (fd < 0 ||
		connect(fd, (struct sockaddr *)&address,
			*path == '@' ? address_len : sizeof(address)) < 0)
		return -errno;
	return fd_steal(&fd);
}

/*
 * Waits until fd can take more than when it failed with err; deadline: monotonic µs, -1: none. 0 or
 * -errno. ETOOMANYREFS: sockets hold more fds on their way than all processes of this user may
 * send; nothing tells when they are received.
 */
static int wait_writable(int fd, int err, gint64 deadline)
{
	struct pollfd pfd = { .fd = fd, .events = err == EAGAIN ? POLLOUT : 0 };
	gint64 left = err == EAGAIN ? -1 : 1;
	int ret;

	if (deadline >= 0) {
		gint64 us = deadline - g_get_monotonic_time();

		if (us <= 0)
			return -ETIMEDOUT;
		left = left < 0 ? (us + 999) / 1000 : left;
	}
	ret = poll(&pfd, 1, left);
	if (ret < 0 && errno != EINTR)
		return -errno;
	return ret > 0 && err != EAGAIN ? -EPIPE : 0; /* the peer has left */
}

int sock_send(int fd, const void *buf, size_t len, const int *fds, unsigned n_fds, int timeout_ms)
{
	gint64 deadline = timeout_ms < 0 ? -1 : g_get_monotonic_time() + timeout_ms * 1000LL;
	union fd_control control = { 0 };
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds > SOCK_MAX_FDS || (n_fds && !len))
		return -EINVAL;
	if (n_fds) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	while (iov.iov_len) {
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		int err = n < 0 ? errno : 0;

		if (err == EAGAIN || err == ETOOMANYREFS)
			err = -wait_writable(fd, err, deadline);
		if (err && err != EINTR)
			return -err;
		if (n <= 0)
			continue;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= n;
		/* The fds went with the first byte. */
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	return 0;
}

ssize_t sock_send_some(int fd, const void *buf, size_t len)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	const struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Keeps the fds of one control message as far as they fit; false: some did not and are closed. */
static bool take_fds(struct cmsghdr *cmsg, int *fds, unsigned max_fds, unsigned *n_fds)
{
	size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool all = true;

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
		if (*n_fds < max_fds) {
			fds[(*n_fds)++] = fd;
			continue;
		}
		fd_discard(fd);
		all = false;
	}
	return all;
}

ssize_t sock_recv(
	int fd, void *buf, size_t len, int *fds, unsigned max_fds, unsigned *n_fds, bool *truncated)
{
	union fd_control control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = max_fds ? &control : NULL,
		.msg_controllen = max_fds ? sizeof(control) : 0,
	};
	ssize_t n;

	if (!len)
		return -EINVAL; /* its 0 would look like the end of the stream */
	do {
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
			!take_fds(c, fds, max_fds, n_fds))
			*truncated = true;
	}
	if (msg.msg_flags & MSG_CTRUNC) /* an fd limit was reached: the kernel dropped some */
		*truncated = true;
	return n;
}

ssize_t sock_peek(int fd, void *buf, size_t len)
{
	ssize_t n;

	if (!len)
		return -EINVAL;
	do {
		/* Without room for fds the kernel makes none. */
		n = recv(fd, buf, len, MSG_PEEK | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t sock_unread(int fd, bool *ended)
{
	struct pollfd pfd = { .fd = fd, .events = POLLRDHUP };
	int n;

	/* In this order: what came before the end is counted. */
	*ended = poll(&pfd, 1, 0) == 1;
	return ioctl(fd, FIONREAD, &n) < 0 ? -errno : n;
}

/* Compares names, which alone tell who is connected to whom: one made for fd is no other's. */
bool sock_is_peer_of(int fd, int ours)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX }, peer = { 0 };
	socklen_t len = sizeof(name), peer_len = sizeof(peer);

	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		return false;
	if (len == sizeof(name.sun_family)) {
		len = sizeof(name);
		if (bind(fd, (const struct sockaddr *)&name, sizeof(name.sun_family)) < 0 ||
			getsockname(fd, (struct sockaddr *)&name, &len) < 0)
			return false;
	}
	return getpeername(ours, (struct sockaddr *)&peer, &peer_len) == 0 && peer_len == len &&
		!memcmp(&peer, &name, len);
}

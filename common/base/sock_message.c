/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes and fds over connected sockets: the second half of sock.h. */
#include "base/sock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/fd_kind.h"
#include "base/util.h"

/* Control messages of one recvmsg() or sendmsg(); the union aligns the bytes. */
union fd_control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(SOCK_MAX_FDS * sizeof(int))];
};

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

bool sock_has_unread_fds(int fd)
{
	char bytes[4096];
	struct iovec iov[16];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = G_N_ELEMENTS(iov) };
	ssize_t n;

	for (unsigned i = 0; i < G_N_ELEMENTS(iov); i++)
		iov[i] = (struct iovec){ .iov_base = bytes, .iov_len = sizeof(bytes) };
	do {
		/* Without room for fds the kernel makes none, but tells of them. */
		n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n > 0 && (msg.msg_flags & MSG_CTRUNC);
}

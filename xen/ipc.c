/* SPDX-License-Identifier: Apache-2.0 */
/* Sends and receives the records between supervisor and worker. */
#include "xen/ipc.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "base/fd_kind.h"
#include "base/sock.h"
#include "base/util.h"

/* Room for any record, and for one more byte, which reveals a longer one. */
union ipc_buffer {
	struct ipc_command command;
	struct ipc_event event;
	struct ipc_request request;
	struct ipc_reply reply;
	uint8_t bytes[sizeof(struct ipc_command) + sizeof(struct ipc_reply) + 1];
};

bool ipc_send(int fd, const void *record, size_t size, const int *fds, unsigned n_fds)
{
	int err = sock_send(fd, record, size, fds, n_fds, 0);

	if (err)
		errno = err == -ETIMEDOUT ? EAGAIN : -err;
	return err == 0;
}

int ipc_receive(int fd, void *record, size_t size, int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	union ipc_buffer buffer;
	bool truncated = false;
	ssize_t n;

	*n_fds = 0;
	if (size >= sizeof(buffer)) {
		errno = EINVAL;
		return -1;
	}
	n = sock_recv(fd, &buffer, size + 1, fds, IPC_MAX_FDS, n_fds, &truncated);
	if (n == (ssize_t)size && !truncated) {
		memcpy(record, &buffer, size);
		return 1;
	}
	fds_discard(fds, *n_fds);
	*n_fds = 0;
	if (n == 0 || n == -ECONNRESET)
		return 0;
	errno = n < 0 ? (int)-n : EPROTO;
	return -1;
}

struct ipc_client {
	pthread_mutex_t lock; /* one request at a time */
	int fd;
};

struct ipc_client *ipc_client_new(int fd)
{
	struct ipc_client *c = g_new(struct ipc_client, 1);

	c->fd = fd;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void ipc_client_free(struct ipc_client *c)
{
	if (!c)
		return;
	fd_close(&c->fd);
	pthread_mutex_destroy(&c->lock);
	g_free(c);
}

/*
 * Waits for the reply; the socket closes if the supervisor ends. What cannot be received for want
 * of memory is tried again: left there, it would be taken for the reply to the next request.
 */
static bool receive_reply(int fd, struct ipc_reply *reply, int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	for (;;) {
		int result;

		if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
			return false;
		result = ipc_receive(fd, reply, sizeof(*reply), fds, n_fds);
		if (result >= 0 || errno == EPROTO)
			return result > 0;
		if (errno != EAGAIN)
			poll(NULL, 0, IPC_AGAIN_MS);
	}
}

bool ipc_call(struct ipc_client *c, const struct ipc_request *request, struct ipc_reply *reply,
	int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	return ipc_call_with(c, request, -1, reply, fds, n_fds);
}

bool ipc_call_with(struct ipc_client *c, const struct ipc_request *request, int file,
	struct ipc_reply *reply, int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	bool ok;

	*n_fds = 0;
	pthread_mutex_lock(&c->lock);
	ok = ipc_send(c->fd, request, sizeof(*request), &file, file >= 0) &&
		receive_reply(c->fd, reply, fds, n_fds);
	pthread_mutex_unlock(&c->lock);
	/* The text may lack its end, as with any peer. */
	if (ok)
		reply->text[sizeof(reply->text) - 1] = '\0';
	return ok;
}

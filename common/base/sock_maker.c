/* SPDX-License-Identifier: Apache-2.0 */
/* See sock_maker.h. A request and its answer are a record each; one is on its way at a time. */
#include "base/sock_maker.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/un.h>

#include "base/sock.h"
#include "base/util.h"

struct request {
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* empty: a pair */
};

static int maker = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void sock_maker_use(int fd)
{
	fd_close(&maker);
	maker = fd;
}

bool sock_maker_is_used(void)
{
	return maker >= 0;
}

/*
 * Waits for a record. Returns its length, 0 at the end, or -errno. What cannot be received for want
 * of memory is tried again: left there, it would be taken for the answer to the next request.
 */
static ssize_t receive(int fd, void *buf, size_t len, int *fds, unsigned max_fds, unsigned *n_fds)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	bool truncated = false;
	ssize_t n;

	do {
		poll(&pfd, 1, -1);
		n = sock_recv(fd, buf, len, fds, max_fds, n_fds, &truncated);
	} while (n == -EAGAIN || n == -ENOMEM || n == -ENOBUFS);
	return n;
}

/* Receives as many sockets as are wanted, or -errno and none. Under the lock. */
static int exchange(const struct request *request, int *fds, unsigned wanted)
{
	unsigned n_fds = 0;
	int answer = 0;
	int err = sock_send(maker, request, sizeof(*request), NULL, 0, -1);
	ssize_t n;

	if (err)
		return err;
	n = receive(maker, &answer, sizeof(answer), fds, wanted, &n_fds);
	if (n == (ssize_t)sizeof(answer) && !answer && n_fds == wanted)
		return 0;
	for (unsigned i = 0; i < n_fds; i++)
		fd_close(&fds[i]);
	if (n != (ssize_t)sizeof(answer))
		return n < 0 ? (int)n : -EPIPE;
	/* Without an error the sockets were sent: this process has no room for them. */
	return answer < 0 ? answer : -EMFILE;
}

static int ask(const char *path, int *fds, unsigned wanted)
{
	struct request request = { 0 };
	int err;

	g_strlcpy(request.path, path, sizeof(request.path));
	pthread_mutex_lock(&lock);
	err = exchange(&request, fds, wanted);
	pthread_mutex_unlock(&lock);
	return err;
}

int sock_maker_connect(const char *path)
{
	int fd = -1;
	int err = ask(path, &fd, 1);

	return err ? err : fd;
}

int sock_maker_pair(int fds[2])
{
	return ask("", fds, 2);
}

/* Makes what is asked for. Returns the number of sockets, or -errno. */
static int make(const char *path, const char *const *paths, int fds[2])
{
	if (!*path)
		return sock_pair(fds) ? 2 : -errno;
	if (!g_strv_contains(paths, path))
		return -EACCES;
	fds[0] = sock_try(path);
	return fds[0] < 0 ? fds[0] : 1;
}

/* Sends the sockets, or why there are none: the other process waits for one of the two. */
static bool answer(int fd, int result, const int fds[2])
{
	int word = MIN(result, 0);

	if (result > 0 && (word = sock_send(fd, &word, sizeof(word), fds, result, -1)) == 0)
		return true;
	return sock_send(fd, &word, sizeof(word), NULL, 0, -1) == 0;
}

void sock_maker_serve(int fd, const char *const *paths)
{
	struct request request;
	bool ok = true;

	while (ok && receive(fd, &request, sizeof(request), NULL, 0, NULL) == sizeof(request)) {
		int fds[2] = { -1, -1 };

		request.path[sizeof(request.path) - 1] = '\0';
		ok = answer(fd, make(request.path, paths, fds), fds);
		fd_close(&fds[0]);
		fd_close(&fds[1]);
	}
}

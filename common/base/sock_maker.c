/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See sock_maker.h. A request and its answer are a record each; one is on its way at a time, but
 * for those that were given up, whose answers come later: a number tells them apart.
 */
#include "base/sock_maker.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"

#define ANSWER_US (3 * G_TIME_SPAN_SECOND) /* how long a request may take, with those before it */
#define SEND_MS 100

enum sock_kind { STREAM, RECORDS, DATAGRAMS }; /* SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM */

struct request {
	uint32_t serial;
	uint32_t kind; /* of enum sock_kind */
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* empty: a pair */
};

struct answer {
	uint32_t serial; /* the request's */
	int32_t error; /* 0, with the sockets, or -errno */
};

static int maker = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t freed = PTHREAD_COND_INITIALIZER;
static int kept[2] = { -1, -1 }; /* under the lock, as the next */
static bool busy; /* what is below belongs to the request on its way */
static uint32_t last_serial;
static bool has_ended; /* which was logged */

void sock_maker_use(int fd)
{
	fd_close(&maker);
	maker = fd;
}

bool sock_maker_is_used(void)
{
	return maker >= 0;
}

/* Returns the milliseconds until then (monotonic µs, -1: never), as poll() takes them. */
static int ms_until(gint64 end)
{
	gint64 left = end - g_get_monotonic_time();

	return end < 0 ? -1 : (int)(MAX(left, 0) + 999) / 1000;
}

/*
 * Waits for a record until then, as above. Returns its length, 0 at the end of the socket, or
 * -errno. What cannot be received for want of memory is tried again.
 */
static ssize_t receive(
	int fd, void *buf, size_t len, int *fds, unsigned max_fds, unsigned *n_fds, gint64 end)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	bool truncated = false;
	int left;

	do {
		ssize_t n;

		left = ms_until(end);
		poll(&pfd, 1, left);
		n = sock_recv(fd, buf, len, fds, max_fds, n_fds, &truncated);
		if (n == -ENOMEM || n == -ENOBUFS)
			poll(NULL, 0, 1);
		else if (n != -EAGAIN)
			return n;
	} while (left);
	return -ETIMEDOUT;
}

/* Receives the answer of this number; *fds are the caller's, also on error. 1, or -errno. */
static int receive_answer(uint32_t serial, struct answer *answer, int *fds, unsigned wanted,
	unsigned *n_fds, gint64 end)
{
	ssize_t n;

	do {
		fds_close(fds, *n_fds);
		*n_fds = 0;
		n = receive(maker, answer, sizeof(*answer), fds, wanted, n_fds, end);
	} while (n == sizeof(*answer) && answer->serial != serial);
	if (n < 0)
		return (int)n;
	return n == sizeof(*answer) ? 1 : -EPIPE;
}

/* Logs, once, that the other process has ended: each request fails from now on. */
static void note_end(void)
{
	if (!has_ended)
		log_error(NULL,
			"the process that connects to sockets ('connector') has ended: none is "
			"connected to again; restart this program");
	has_ended = true;
}

/* Receives as many sockets as are wanted, or -errno and none. */
static int exchange(const struct request *request, int *fds, unsigned wanted, gint64 end)
{
	struct answer answer;
	unsigned n_fds = 0;
	int err = sock_send(maker, request, sizeof(*request), NULL, 0, ms_until(end));

	if (!err)
		err = receive_answer(request->serial, &answer, fds, wanted, &n_fds, end);
	if (err == 1 && !answer.error && n_fds == wanted)
		return 0;
	fds_close(fds, n_fds);
	/* Without an error the sockets were sent: this process has no room for them. */
	if (err == 1)
		return answer.error < 0 ? answer.error : -EMFILE;
	if (err == -EPIPE || err == -ECONNRESET)
		note_end();
	return err;
}

/* Begins a request, after that of another thread has ended. False: it has not, until then. */
static bool begin(gint64 end)
{
	const struct timespec until = clock_timespec(end);
	bool ok;

	pthread_mutex_lock(&lock);
	while (busy && pthread_cond_clockwait(&freed, &lock, CLOCK_MONOTONIC, &until) == 0)
		continue;
	ok = !busy;
	busy = true;
	pthread_mutex_unlock(&lock);
	return ok;
}

static void finish(void)
{
	pthread_mutex_lock(&lock);
	busy = false;
	pthread_cond_signal(&freed);
	pthread_mutex_unlock(&lock);
}

static int ask(enum sock_kind kind, const char *path, int *fds, unsigned wanted)
{
	gint64 end = g_get_monotonic_time() + ANSWER_US;
	struct request request = { .kind = kind };
	int err;

	g_strlcpy(request.path, path, sizeof(request.path));
	if (!begin(end))
		return -ETIMEDOUT;
	request.serial = ++last_serial;
	err = exchange(&request, fds, wanted, end);
	finish();
	return err;
}

int sock_maker_connect(const char *path)
{
	int fd = -1;
	int err = ask(STREAM, path, &fd, 1);

	return err ? err : fd;
}

int sock_maker_connect_datagram(const char *path)
{
	int fd = -1;
	int err = ask(DATAGRAMS, path, &fd, 1);

	return err ? err : fd;
}

bool sock_maker_keep_pair(void)
{
	return kept[0] >= 0 || sock_pair(kept);
}

/* Gives the kept sockets; false: there are none. */
static bool take_kept(int fds[2])
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < 2; i++)
		fds[i] = fd_steal(&kept[i]);
	pthread_mutex_unlock(&lock);
	return fds[0] >= 0;
}

int sock_maker_pair(int fds[2])
{
	return take_kept(fds) ? 0 : ask(STREAM, "", fds, 2);
}

int sock_maker_fd(void)
{
	return maker;
}

int sock_maker_ask(uint32_t serial, const char *path, bool records)
{
	struct request request = { .serial = serial, .kind = records ? RECORDS : STREAM };
	ssize_t n;

	if (!*path || g_strlcpy(request.path, path, sizeof(request.path)) >= sizeof(request.path))
		return -ENAMETOOLONG;
	n = sock_send_some(maker, &request, sizeof(request));
	if (n >= 0)
		return 0;
	if (errno == EPIPE || errno == ECONNRESET)
		note_end();
	return -errno;
}

bool sock_maker_take(uint32_t *serial, int *result)
{
	struct answer answer;
	bool truncated = false;
	unsigned n_fds = 0;
	int fd = -1;
	ssize_t n = sock_recv(maker, &answer, sizeof(answer), &fd, 1, &n_fds, &truncated);

	if (n == 0 || n == -ECONNRESET)
		note_end();
	if (n != sizeof(answer)) {
		fd_close(&fd);
		return false;
	}
	*serial = answer.serial;
	*result = n_fds ? fd : answer.error < 0 ? answer.error : -EMFILE;
	return true;
}

/* Returns whether path is the stem and a decimal number as it is usually written. */
static bool is_numbered(const char *path, const char *stem)
{
	const char *digits = path + strlen(stem);

	if (!g_str_has_prefix(path, stem) || !*digits || (*digits == '0' && digits[1]))
		return false;
	return !digits[strspn(digits, "0123456789")];
}

bool sock_maker_is_in(const char *path, const char *folder)
{
	const char *name;

	if (!g_str_has_prefix(path, folder) || path[strlen(folder)] != '/')
		return false;
	name = path + strlen(folder) + 1;
	return *name && !strchr(name, '/') && strcmp(name, "..") != 0;
}

static bool is_permitted(const char *path, const struct sock_maker_paths *paths)
{
	if (paths->exact && g_strv_contains(paths->exact, path))
		return true;
	for (const char *const *stem = paths->stems; stem && *stem; stem++) {
		if (is_numbered(path, *stem))
			return true;
	}
	for (const char *const *folder = paths->folders; folder && *folder; folder++) {
		if (sock_maker_is_in(path, *folder))
			return true;
	}
	return false;
}

/* Makes what is asked for. Returns the number of sockets, or -errno. */
static int make(const struct request *request, const struct sock_maker_paths *paths, int fds[2])
{
	if (!*request->path)
		return sock_pair(fds) ? 2 : -errno;
	if (!is_permitted(request->path, paths))
		return -EACCES;
	if (request->kind == DATAGRAMS)
		fds[0] = sock_connect_datagram(request->path);
	else if (request->kind == RECORDS)
		fds[0] = sock_try_records(request->path);
	else
		fds[0] = sock_try(request->path);
	return fds[0] < 0 ? fds[0] : 1;
}

/*
 * Sends the sockets, or why there are none. Neither waits for ever: the other process may have
 * stopped, or sockets of the user hold too many that no process receives. Returns false if there is
 * no other process any more.
 */
static bool send_answer(int fd, uint32_t serial, int result, const int fds[2])
{
	struct answer answer = { .serial = serial, .error = MIN(result, 0) };
	int err = 0;

	if (result > 0)
		err = sock_send(fd, &answer, sizeof(answer), fds, result, SEND_MS);
	if (err)
		answer.error = err == -ETIMEDOUT ? -ETOOMANYREFS : err;
	if (err || result <= 0)
		err = sock_send(fd, &answer, sizeof(answer), NULL, 0, SEND_MS);
	return err != -EPIPE && err != -ECONNRESET;
}

void sock_maker_serve(int fd, const struct sock_maker_paths *paths)
{
	struct request request;
	bool ok = true;

	while (ok && receive(fd, &request, sizeof(request), NULL, 0, NULL, -1) == sizeof(request)) {
		int fds[2] = { -1, -1 };

		request.path[sizeof(request.path) - 1] = '\0';
		ok = send_answer(fd, request.serial, make(&request, paths, fds), fds);
		fds_close(fds, 2);
	}
}

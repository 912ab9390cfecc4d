/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes and fds over a socket pair. */
#include "tests/lib/test.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/sock.h"
#include "base/util.h"

struct sock_fds_test {
	int a, b; /* a socket pair; b is non-blocking */
	unsigned n_fds;
};

static int setup(void **state)
{
	struct sock_fds_test *w = g_new0(struct sock_fds_test, 1);
	int pair[2];

	w->n_fds = count_fds();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	w->a = pair[0];
	w->b = pair[1];
	fcntl(w->b, F_SETFL, O_NONBLOCK);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct sock_fds_test *w = *state;

	fd_close(&w->a);
	fd_close(&w->b);
	assert_int_equal(count_fds(), w->n_fds);
	g_free(w);
	return 0;
}

static bool is_cloexec(int fd)
{
	return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

/* Sends the bytes with n fds. */
static void send_fds(struct sock_fds_test *w, const char *bytes, unsigned n, int timeout_ms)
{
	int fds[SOCK_MAX_FDS];

	for (unsigned i = 0; i < n; i++)
		fds[i] = w->a;
	assert_int_equal(sock_send(w->a, bytes, strlen(bytes), fds, n, timeout_ms), 0);
}

static void close_all(int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_true(is_cloexec(fds[i]));
		assert_int_equal(close(fds[i]), 0);
	}
}

static void test_send_and_receive(void **state)
{
	struct sock_fds_test *w = *state;
	bool truncated = false;
	unsigned n_fds = 0;
	char got[16];

	assert_int_equal(sock_recv(w->b, got, sizeof(got), NULL, 0, &n_fds, &truncated), -EAGAIN);
	assert_int_equal(sock_recv(w->a, got, sizeof(got), NULL, 0, &n_fds, &truncated), -EAGAIN);
	assert_int_equal(sock_send(w->a, "hello", 5, NULL, 0, -1), 0);
	assert_int_equal(sock_recv(w->b, got, 2, NULL, 0, &n_fds, &truncated), 2);
	assert_int_equal(sock_recv(w->b, got + 2, 9, NULL, 0, &n_fds, &truncated), 3);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(sock_send(w->a, "", 0, NULL, 0, -1), 0);
	assert_int_equal(sock_recv(w->b, got, sizeof(got), NULL, 0, &n_fds, &truncated), -EAGAIN);
	assert_int_equal(sock_recv(w->b, got, 0, NULL, 0, &n_fds, &truncated), -EINVAL);
	fd_close(&w->a);
	assert_int_equal(sock_recv(w->b, got, sizeof(got), NULL, 0, &n_fds, &truncated), 0);
	assert_int_equal(n_fds, 0);
	assert_false(truncated);
}

static void test_fds(void **state)
{
	struct sock_fds_test *w = *state;
	int pipe_ends[2], fds[4] = { -1, -1, -1, -1 };
	bool truncated = false;
	unsigned n_fds = 1; /* one is there already */
	char got[4];

	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	assert_int_equal(sock_send(w->a, "abc", 3, pipe_ends, 2, -1), 0);
	assert_int_equal(sock_recv(w->b, got, 1, fds, 4, &n_fds, &truncated), 1);
	assert_int_equal(n_fds, 3);
	assert_int_equal(fds[0], -1);
	assert_int_equal(sock_recv(w->b, got, 2, fds, 4, &n_fds, &truncated), 2);
	assert_int_equal(n_fds, 3);
	assert_false(truncated);
	/* In order: the read end first. */
	assert_int_equal(write(fds[2], "x", 1), 1);
	assert_int_equal(read(fds[1], got, 1), 1);
	close_all(fds + 1, 2);
	close_all(pipe_ends, 2);
}

static void test_most_fds(void **state)
{
	struct sock_fds_test *w = *state;
	int fds[SOCK_MAX_FDS];
	bool truncated = false;
	unsigned n_fds = 0;
	char got[4];

	send_fds(w, "a", SOCK_MAX_FDS, -1);
	assert_int_equal(sock_recv(w->b, got, 4, fds, SOCK_MAX_FDS, &n_fds, &truncated), 1);
	assert_int_equal(n_fds, SOCK_MAX_FDS);
	assert_false(truncated);
	close_all(fds, n_fds);

	assert_int_equal(sock_send(w->a, "a", 1, fds, SOCK_MAX_FDS + 1, -1), -EINVAL);
	assert_int_equal(sock_send(w->a, "", 0, &w->a, 1, -1), -EINVAL);
	assert_int_equal(sock_send(w->a, "a", 1, &(int){ -1 }, 1, -1), -EBADF);
	assert_int_equal(sock_recv(w->b, got, 4, fds, SOCK_MAX_FDS, &n_fds, &truncated), -EAGAIN);
}

/* What does not fit is closed: the teardown counts. */
static void test_surplus_fds(void **state)
{
	struct sock_fds_test *w = *state;
	int fds[3];
	bool truncated = false;
	unsigned n_fds = 0;
	char got[4];

	send_fds(w, "a", 5, -1);
	assert_int_equal(sock_recv(w->b, got, 4, fds, 3, &n_fds, &truncated), 1);
	assert_int_equal(n_fds, 3);
	assert_true(truncated);
	close_all(fds, 3);

	truncated = false;
	n_fds = 0;
	send_fds(w, "a", SOCK_MAX_FDS, -1);
	assert_int_equal(sock_recv(w->b, got, 4, NULL, 0, &n_fds, &truncated), 1);
	assert_int_equal(n_fds, 0);
	assert_true(truncated);
}

/*
 * The kernel drops some and says MSG_CTRUNC: here because credentials take some of the room. What
 * did arrive is the caller's.
 */
static void test_control_truncated(void **state)
{
	struct sock_fds_test *w = *state;
	int fds[SOCK_MAX_FDS];
	bool truncated = false;
	unsigned n_fds = 0;
	char got[4];

	assert_int_equal(setsockopt(w->b, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)), 0);
	send_fds(w, "a", SOCK_MAX_FDS, -1);
	assert_int_equal(sock_recv(w->b, got, 4, fds, SOCK_MAX_FDS, &n_fds, &truncated), 1);
	assert_true(truncated);
	assert_in_range(n_fds, 1, SOCK_MAX_FDS - 1);
	close_all(fds, n_fds);
}

#define BIG (4u << 20)

struct reader {
	int fd;
	unsigned n_fds;
	size_t fds_at; /* how many bytes had been read when the fds came */
	bool in_order;
};

static gpointer read_big(gpointer data)
{
	struct reader *r = data;
	g_autofree unsigned char *got = g_malloc(60000);
	bool truncated = false;
	int fds[8];

	r->in_order = true;
	for (size_t at = 0; at < BIG;) {
		unsigned n_fds = 0;
		ssize_t n = sock_recv(r->fd, got, 60000, fds, 8, &n_fds, &truncated);

		if (n == -EAGAIN) {
			poll(&(struct pollfd){ .fd = r->fd, .events = POLLIN }, 1, -1);
			continue;
		}
		if (n <= 0 || truncated)
			return NULL;
		if (n_fds)
			r->fds_at = at;
		r->n_fds += n_fds;
		for (unsigned i = 0; i < n_fds; i++)
			close(fds[i]);
		for (ssize_t i = 0; i < n; i++, at++)
			r->in_order &= got[i] == (unsigned char)(at * 7 >> 3);
	}
	return NULL;
}

/* More than any socket buffer: sent in pieces, waiting in between, the fds only once. */
static void test_send_in_pieces(void **state)
{
	struct sock_fds_test *w = *state;

	for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
		g_autofree unsigned char *big = g_malloc(BIG);
		struct reader r = { .fd = nonblocking ? w->a : w->b, .fds_at = SIZE_MAX };
		int fds[2] = { w->a, w->b };
		GThread *thread = g_thread_new(NULL, read_big, &r);

		for (size_t i = 0; i < BIG; i++)
			big[i] = i * 7 >> 3;
		assert_int_equal(sock_send(nonblocking ? w->b : w->a, big, BIG, fds, 2, 60000), 0);
		g_thread_join(thread);
		assert_true(r.in_order);
		assert_int_equal(r.n_fds, 2);
		assert_int_equal(r.fds_at, 0);
	}
}

static void test_send_timeout(void **state)
{
	struct sock_fds_test *w = *state;
	g_autofree char *big = g_malloc0(BIG);
	gint64 start = g_get_monotonic_time();

	assert_int_equal(sock_send(w->b, big, BIG, NULL, 0, 50), -ETIMEDOUT);
	assert_in_range(g_get_monotonic_time() - start, 50 * 1000, 60 * G_USEC_PER_SEC);
	assert_int_equal(sock_send(w->b, big, 1, NULL, 0, 0), -ETIMEDOUT);
	/* A blocking socket does not block either. */
	assert_int_equal(sock_send(w->a, big, BIG, NULL, 0, 20), -ETIMEDOUT);
}

/* No SIGPIPE: it would end this program. */
static void test_send_to_nobody(void **state)
{
	struct sock_fds_test *w = *state;

	fd_close(&w->b);
	assert_int_equal(sock_send(w->a, "x", 1, NULL, 0, -1), -EPIPE);
	assert_int_equal(sock_send(w->a, "x", 1, &w->a, 1, -1), -EPIPE);
}

static void test_records(void **state)
{
	struct sock_fds_test *w = *state;
	bool truncated = false;
	unsigned n_fds = 0;
	int pair[2], fd = -1;
	char got[16];

	assert_true(sock_pair_records(pair));
	assert_true(is_cloexec(pair[0]) && is_cloexec(pair[1]));
	assert_int_equal(sock_send(pair[0], "first", 5, &w->a, 1, 0), 0);
	assert_int_equal(sock_send(pair[0], "second", 6, NULL, 0, 0), 0);
	/* One at a time, and cut to what there is room for. */
	assert_int_equal(sock_recv(pair[1], got, 3, &fd, 1, &n_fds, &truncated), 3);
	assert_int_equal(sock_recv(pair[1], got, sizeof(got), NULL, 0, &n_fds, &truncated), 6);
	assert_memory_equal(got, "second", 6);
	assert_int_equal(n_fds, 1);
	assert_false(truncated);
	close_all(&fd, n_fds);
	close(pair[0]);
	close(pair[1]);
}

static void test_peek(void **state)
{
	struct sock_fds_test *w = *state;
	char buf[8];
	unsigned n = count_fds();
	bool ended;

	assert_int_equal(sock_peek(w->b, buf, 8), -EAGAIN);
	assert_int_equal(sock_unread(w->b, &ended), 0);
	assert_false(ended);
	send_fds(w, "abc", 2, 0);
	send_fds(w, "de", 0, 0);
	/* It stays, and makes no fds. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sock_peek(w->b, buf, 2), 2);
		assert_memory_equal(buf, "ab", 2);
	}
	assert_int_equal(sock_unread(w->b, &ended), 5);
	assert_false(ended);
	assert_int_equal(count_fds(), n);
	shutdown(w->a, SHUT_WR);
	assert_int_equal(sock_unread(w->b, &ended), 5);
	assert_true(ended);
	assert_int_equal(sock_peek(w->b, buf, 0), -EINVAL);
	assert_int_equal(recv(w->b, buf, 8, 0), 3);
	assert_int_equal(recv(w->b, buf, 8, 0), 2);
	assert_int_equal(sock_peek(w->b, buf, 8), 0);
	assert_int_equal(sock_peek(-1, buf, 8), -EBADF);
}

/* Sends as an ordinary user: root may have more fds on their way than its limit. */
static int send_too_many(struct sock_fds_test *w)
{
	const struct rlimit few = { 64, 64 };
	bool truncated = false;
	unsigned sent = 0, n_fds = 0;
	int err, fd = -1;
	char byte;

	if (setrlimit(RLIMIT_NOFILE, &few) < 0 || (geteuid() == 0 && setuid(65534) < 0))
		return 1;
	do {
		err = sock_send(w->a, "x", 1, &w->a, 1, 0);
	} while (err == 0 && ++sent < 1000);
	if (err != -ETIMEDOUT)
		return 2;
	for (; sent; sent--, n_fds = 0) {
		if (sock_recv(w->b, &byte, 1, &fd, 1, &n_fds, &truncated) != 1 || n_fds != 1)
			return 3;
		close(fd);
	}
	return sock_send(w->a, "x", 1, &w->a, 1, 0) == 0 ? 0 : 4;
}

/* As a full socket does: it is waited for, and passes. */
static void test_too_many_on_their_way(void **state)
{
	pid_t pid;

	if (test_under_valgrind())
		skip(); /* it has limits of its own */
	pid = fork();
	if (pid == 0)
		_exit(send_too_many(*state));
	assert_int_equal(test_wait_child(pid), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_send_and_receive),
		TEST(test_records),
		TEST(test_peek),
		TEST(test_fds),
		TEST(test_most_fds),
		TEST(test_surplus_fds),
		TEST(test_control_truncated),
		TEST(test_send_in_pieces),
		TEST(test_send_timeout),
		TEST(test_send_to_nobody),
		TEST(test_too_many_on_their_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

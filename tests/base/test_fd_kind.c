/* SPDX-License-Identifier: Apache-2.0 */
/* What an fd is, told without its file system; and how one is closed that would never return. */
#include "tests/lib/test.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "base/fd_kind.h"
#include "base/sock.h"
#include "base/util.h"
#include "tests/lib/deaf_file.h"

static void test_kind_of_peer_fd(void **state)
{
	int pipes[2], sockets[2];
	const struct {
		int fd;
		enum fd_kind kind;
	} made[] = {
		{ eventfd(0, EFD_CLOEXEC), FD_EVENTFD },
		{ memfd_create("kind", MFD_CLOEXEC), FD_MEMORY },
		{ open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), FD_MEMORY },
		{ open("/dev/null", O_RDWR | O_CLOEXEC), FD_DEVICE },
		{ epoll_create1(EPOLL_CLOEXEC), FD_ANONYMOUS },
		{ timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), FD_ANONYMOUS },
		{ socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), FD_OTHER },
		{ open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), FD_OTHER },
		{ open("/proc/self/status", O_RDONLY | O_CLOEXEC), FD_OTHER },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(made); i++) {
		int fd = made[i].fd;

		if (fd < 0)
			continue;
		if (fd_kind(fd) != made[i].kind)
			fail_msg("%u: %s", i, fd_kind_name(fd_kind(fd)));
		assert_int_equal(fd_can_signal(fd), made[i].kind == FD_EVENTFD);
		close(fd);
	}
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_true(sock_pair(sockets));
	assert_int_equal(fd_kind(pipes[0]), FD_PIPE);
	assert_true(fd_can_signal(pipes[1]));
	assert_int_equal(fd_kind(sockets[0]), FD_SOCKET);
	fds_close(pipes, 2);
	fds_close(sockets, 2);
	assert_int_equal(fd_kind(sockets[0]), FD_NONE);
	fd_discard(-1);
}

static void test_kind_of_deaf_file(void **state)
{
	struct deaf_file f;

	if (!deaf_file_open(&f))
		return;
	assert_int_equal(fd_kind(f.fd), FD_OTHER);
	deaf_file_end(&f);
}

/* The fd leaves the table; who waits for the file system is a process of its own. */
static void test_discard_of_deaf_file(void **state)
{
	struct deaf_file f;
	int copy;

	if (!deaf_file_open(&f))
		return;
	copy = fcntl(f.fd, F_DUPFD_CLOEXEC, 0);
	fd_discard(copy);
	WAIT_UNTIL(fcntl(copy, F_GETFD) < 0);
	deaf_file_end(&f);
}

static void test_discard_closes(void **state)
{
	int fds[] = { eventfd(0, EFD_CLOEXEC), open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	int was[2];

	memcpy(was, fds, sizeof(was));
	fds_discard(fds, 2);
	assert_int_equal(fds[0], -1);
	assert_int_equal(fcntl(was[0], F_GETFD), -1);
	WAIT_UNTIL(fcntl(was[1], F_GETFD) < 0);
}

/* By whatever names the two ends have. */
static void test_peer_of_socket(void **state)
{
	struct test *t = *state;
	char *path = test_path(t, "socket");
	int pair[2], other[2], listens, client, served;
	g_autoptr(GError) error = NULL;

	assert_true(sock_pair(pair) && sock_pair(other));
	assert_true(sock_is_peer_of(pair[0], pair[1]));
	assert_true(sock_is_peer_of(pair[0], pair[1]));
	assert_false(sock_is_peer_of(other[0], pair[1]));
	assert_false(sock_is_peer_of(pair[1], pair[1]));
	listens = sock_listen(path, 0600, -1, &error);
	client = sock_connect(path, &error);
	served = sock_accept(listens);
	assert_true(sock_is_peer_of(client, served));
	assert_false(sock_is_peer_of(other[0], served));
	/* A listening socket and those that it accepts have one name. */
	assert_false(sock_is_peer_of(listens, served));
	assert_false(sock_is_peer_of(listens, pair[0]));
	fds_close(pair, 2);
	fds_close(other, 2);
	close(listens);
	close(client);
	close(served);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(plain, test_kind_of_peer_fd),
		TEST_WITH(plain, test_kind_of_deaf_file),
		TEST_WITH(plain, test_discard_of_deaf_file),
		TEST_WITH(plain, test_discard_closes),
		TEST_WITH(plain, test_peer_of_socket),
	};

	return cmocka_run_group_tests_name("fd_kind", tests, NULL, NULL);
}

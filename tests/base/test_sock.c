/* SPDX-License-Identifier: Apache-2.0 */
/* Socket files: who may listen at a path, and connect to it. */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/sock.h"
#include "base/util.h"

#define NO_GROUP ((gid_t)-1)

struct sock_test {
	char *dir, *path;
	GError *error;
	unsigned n_fds;
};

static int setup(void **state)
{
	struct sock_test *w = g_new0(struct sock_test, 1);

	w->n_fds = count_fds();
	w->dir = g_dir_make_tmp("virtiod-sock-XXXXXX", NULL);
	w->path = g_build_filename(w->dir, "socket", NULL);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct sock_test *w = *state;

	g_unlink(w->path);
	assert_int_equal(g_rmdir(w->dir), 0);
	assert_int_equal(count_fds(), w->n_fds);
	g_clear_error(&w->error);
	g_free(w->path);
	g_free(w->dir);
	g_free(w);
	return 0;
}

/* Checks that the error is this one, and names the path and what. */
static void assert_error(struct sock_test *w, int code, const char *what)
{
	assert_non_null(w->error);
	assert_true(g_error_matches(w->error, G_FILE_ERROR, code));
	assert_non_null(strstr(w->error->message, w->path));
	assert_non_null(strstr(w->error->message, what));
	g_clear_error(&w->error);
}

static bool is_cloexec(int fd)
{
	return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static bool is_nonblocking(int fd)
{
	return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

static struct stat stat_of(const char *path)
{
	struct stat st = { 0 };

	assert_int_equal(lstat(path, &st), 0);
	return st;
}

/* Makes another process's socket: any type, bound at path, listening unless backlog is negative. */
static int raw_socket_at(const char *path, int type, int backlog)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void test_connect_and_accept(void **state)
{
	struct sock_test *w = *state;
	autofd listener = sock_listen(w->path, 0600, NO_GROUP, &w->error);
	autofd front = -1, back = -1;

	assert_true(listener >= 0);
	assert_true(is_cloexec(listener) && is_nonblocking(listener));
	assert_true(sock_is_listening(listener));
	assert_int_equal(sock_accept(listener), -1);
	assert_int_equal(errno, EAGAIN);

	front = sock_connect(w->path, &w->error);
	assert_true(front >= 0);
	assert_true(is_cloexec(front) && !is_nonblocking(front));
	back = sock_accept(listener);
	assert_true(back >= 0);
	assert_true(is_cloexec(back) && is_nonblocking(back));
	assert_false(sock_is_listening(front));
	assert_false(sock_is_listening(back));
	assert_false(sock_is_listening(STDIN_FILENO));
	assert_int_equal(write(front, "x", 1), 1);
	assert_int_equal(read(back, &(char){ 0 }, 1), 1);
	assert_null(w->error);
}

/* The connect timeout is not left on the socket as a send timeout. */
static void test_connect_leaves_no_timeout(void **state)
{
	struct sock_test *w = *state;
	autofd listener = sock_listen(w->path, 0600, NO_GROUP, NULL);
	autofd front = sock_connect(w->path, NULL);
	struct timeval timeout = { .tv_sec = 99 };
	socklen_t len = sizeof(timeout);

	assert_true(listener >= 0 && front >= 0);
	assert_int_equal(getsockopt(front, SOL_SOCKET, SO_SNDTIMEO, &timeout, &len), 0);
	assert_int_equal(timeout.tv_sec, 0);
	assert_int_equal(timeout.tv_usec, 0);
}

static void test_mode(void **state)
{
	static const mode_t modes[] = { 0600, 0660, 0666, 0777, 0700 };
	static const mode_t umasks[] = { 0, 022, 077, 0777 };
	struct sock_test *w = *state;
	mode_t saved = umask(022);

	for (unsigned i = 0; i < G_N_ELEMENTS(modes) * G_N_ELEMENTS(umasks); i++) {
		mode_t mode = modes[i % G_N_ELEMENTS(modes)];
		mode_t mask = umasks[i / G_N_ELEMENTS(modes)];
		autofd listener = -1;

		umask(mask);
		listener = sock_listen(w->path, mode, NO_GROUP, &w->error);
		assert_true(listener >= 0);
		assert_int_equal(umask(022), mask);
		assert_int_equal(stat_of(w->path).st_mode & 07777, mode);
		g_unlink(w->path);
	}
	umask(saved);
}

static void test_group(void **state)
{
	struct sock_test *w = *state;
	bool root = geteuid() == 0;
	gid_t group = root ? 12345 : getgid();
	autofd listener = sock_listen(w->path, 0660, group, &w->error);

	assert_true(listener >= 0);
	assert_int_equal(stat_of(w->path).st_gid, group);
	assert_int_equal(stat_of(w->path).st_mode & 07777, 0660);
}

/* A group that is not ours is refused, and no socket file is left behind. */
static void test_group_refused(void **state)
{
	struct sock_test *w = *state;

	if (geteuid() == 0)
		skip(); /* root may give files to anyone */
	assert_int_equal(sock_listen(w->path, 0660, 12345, &w->error), -1);
	assert_error(w, G_FILE_ERROR_PERM, "group 12345");
	assert_int_equal(access(w->path, F_OK), -1);
}

static void test_stale_is_replaced(void **state)
{
	struct sock_test *w = *state;
	autofd stale = raw_socket_at(w->path, SOCK_STREAM, 5);
	autofd listener = -1, front = -1;

	fd_close(&stale);
	listener = sock_listen(w->path, 0600, NO_GROUP, &w->error);
	assert_true(listener >= 0);
	assert_true(S_ISSOCK(stat_of(w->path).st_mode));
	front = sock_connect(w->path, &w->error);
	assert_true(front >= 0);
}

static void test_live_is_refused(void **state)
{
	struct sock_test *w = *state;
	autofd first = sock_listen(w->path, 0600, NO_GROUP, &w->error);
	autofd front = -1;

	assert_true(first >= 0);
	assert_int_equal(sock_listen(w->path, 0600, NO_GROUP, &w->error), -1);
	assert_error(w, G_FILE_ERROR_EXIST, "another process serves it");
	front = sock_connect(w->path, &w->error);
	assert_true(front >= 0);
}

static void test_live_with_full_backlog_is_refused(void **state)
{
	struct sock_test *w = *state;
	autofd server = raw_socket_at(w->path, SOCK_STREAM, 0);
	autofd first = sock_connect(w->path, &w->error);

	assert_true(server >= 0 && first >= 0);
	assert_int_equal(sock_listen(w->path, 0600, NO_GROUP, &w->error), -1);
	assert_error(w, G_FILE_ERROR_EXIST, "another process serves it");
}

static void test_other_type_is_refused(void **state)
{
	struct sock_test *w = *state;
	autofd server = raw_socket_at(w->path, SOCK_DGRAM, -1);

	assert_true(server >= 0);
	assert_int_equal(sock_listen(w->path, 0600, NO_GROUP, &w->error), -1);
	assert_error(w, G_FILE_ERROR_EXIST, "another process serves it");
}

static void test_other_file_is_refused(void **state)
{
	struct sock_test *w = *state;

	assert_true(g_file_set_contents(w->path, "precious", -1, NULL));
	assert_int_equal(sock_listen(w->path, 0600, NO_GROUP, &w->error), -1);
	assert_error(w, G_FILE_ERROR_EXIST, "not a socket");
	assert_int_equal(stat_of(w->path).st_size, 8);
	g_unlink(w->path);

	assert_int_equal(symlink("/nonexistent", w->path), 0);
	assert_int_equal(sock_listen(w->path, 0600, NO_GROUP, &w->error), -1);
	assert_error(w, G_FILE_ERROR_EXIST, "not a socket");
	assert_true(S_ISLNK(stat_of(w->path).st_mode));
}

static void test_no_directory(void **state)
{
	struct sock_test *w = *state;
	g_autofree char *deeper = g_build_filename(w->path, "socket", NULL);

	assert_int_equal(sock_listen(deeper, 0600, NO_GROUP, &w->error), -1);
	assert_error(w, G_FILE_ERROR_NOENT, "No such file");
}

static void test_path_length(void **state)
{
	struct sock_test *w = *state;
	g_autofree char *name = g_strnfill(107 - strlen(w->dir) - 1, 'x');
	g_autofree char *longest = g_build_filename(w->dir, name, NULL);
	g_autofree char *too_long = g_strconcat(longest, "y", NULL);
	autofd listener = sock_listen(longest, 0600, NO_GROUP, &w->error), front = -1;

	assert_true(listener >= 0);
	front = sock_connect(longest, &w->error);
	assert_true(front >= 0);
	g_unlink(longest);

	assert_int_equal(sock_listen(too_long, 0600, NO_GROUP, &w->error), -1);
	assert_true(g_error_matches(w->error, G_FILE_ERROR, G_FILE_ERROR_NAMETOOLONG));
	assert_non_null(strstr(w->error->message, too_long));
	assert_non_null(strstr(w->error->message, "108 bytes"));
	g_clear_error(&w->error);
	assert_int_equal(sock_connect(too_long, &w->error), -1);
	assert_true(g_error_matches(w->error, G_FILE_ERROR, G_FILE_ERROR_NAMETOOLONG));
	g_clear_error(&w->error);
	assert_int_equal(sock_listen("", 0600, NO_GROUP, &w->error), -1);
	assert_true(g_error_matches(w->error, G_FILE_ERROR, G_FILE_ERROR_INVAL));
}

static void test_connect_errors(void **state)
{
	struct sock_test *w = *state;
	autofd stale = -1;

	assert_int_equal(sock_connect(w->path, &w->error), -1);
	assert_error(w, G_FILE_ERROR_NOENT, "No such file");
	stale = raw_socket_at(w->path, SOCK_STREAM, 5);
	fd_close(&stale);
	assert_int_equal(sock_connect(w->path, &w->error), -1);
	assert_error(w, G_FILE_ERROR_FAILED, "refused");
}

/* A server that never accepts does not hold its client for ever. */
static void test_connect_to_wedged_server(void **state)
{
	struct sock_test *w = *state;
	autofd server = raw_socket_at(w->path, SOCK_STREAM, 0);
	autofd first = sock_connect(w->path, &w->error);
	gint64 start = g_get_monotonic_time();

	assert_true(server >= 0 && first >= 0);
	assert_int_equal(sock_connect_now(w->path, &w->error), -1);
	assert_error(w, G_FILE_ERROR_AGAIN, "accepted no connection");
	assert_int_equal(sock_connect(w->path, &w->error), -1);
	assert_error(w, G_FILE_ERROR_AGAIN, "accepted no connection for 3 s");
	assert_in_range(g_get_monotonic_time() - start, 2 * G_USEC_PER_SEC, 60 * G_USEC_PER_SEC);
}

static void child_listens(const char *path, int start, int done)
{
	autofd listener = -1;
	char byte;

	if (read(start, &byte, 1) != 0) /* the parent closes its end */
		_exit(1);
	listener = sock_listen(path, 0600, NO_GROUP, NULL);
	if (write(done, listener >= 0 ? "y" : "n", 1) != 1)
		_exit(1);
	pause(); /* a winner serves until the parent has looked */
	_exit(1);
}

/*
 * Starts several daemons at once where a stale socket lies: exactly one gets the path, and its
 * socket is the one that is there afterwards.
 */
static void check_race(struct sock_test *w)
{
	autofd stale = raw_socket_at(w->path, SOCK_STREAM, 5);
	int start[2], done[2], n_won = 0, front;
	pid_t children[4];
	char byte;

	fd_close(&stale);
	assert_int_equal(pipe2(start, O_CLOEXEC), 0);
	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(children); i++) {
		children[i] = fork();
		if (children[i] == 0) {
			close(start[1]);
			child_listens(w->path, start[0], done[1]);
		}
	}
	close(start[1]);
	for (unsigned i = 0; i < G_N_ELEMENTS(children); i++) {
		assert_int_equal(read(done[0], &byte, 1), 1);
		n_won += byte == 'y';
	}
	front = sock_connect(w->path, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(children); i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	close(start[0]);
	close(done[0]);
	close(done[1]);
	assert_int_equal(n_won, 1);
	assert_true(front >= 0);
	close(front);
	g_unlink(w->path);
}

static void test_race(void **state)
{
	for (unsigned i = 0; i < 20; i++)
		check_race(*state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_connect_and_accept),
		TEST(test_connect_leaves_no_timeout),
		TEST(test_mode),
		TEST(test_group),
		TEST(test_group_refused),
		TEST(test_stale_is_replaced),
		TEST(test_live_is_refused),
		TEST(test_live_with_full_backlog_is_refused),
		TEST(test_other_type_is_refused),
		TEST(test_other_file_is_refused),
		TEST(test_no_directory),
		TEST(test_path_length),
		TEST(test_connect_errors),
		TEST(test_connect_to_wedged_server),
		TEST(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

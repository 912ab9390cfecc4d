/* SPDX-License-Identifier: Apache-2.0 */
/* systemd's protocol, with this test in systemd's place. */
#include "tests/lib/test.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/service.h"
#include "base/util.h"

struct service_test {
	char *dir, *path;
	unsigned n_fds, n_lines;
	char last_line[256];
};

static void keep_line(enum log_level level, const char *line, void *opaque)
{
	struct service_test *w = opaque;

	w->n_lines++;
	g_strlcpy(w->last_line, line, sizeof(w->last_line));
}

static int setup(void **state)
{
	struct service_test *w = g_new0(struct service_test, 1);

	w->n_fds = count_fds();
	w->dir = g_dir_make_tmp("virtiod-service-XXXXXX", NULL);
	w->path = g_build_filename(w->dir, "notify", NULL);
	log_set_sink(keep_line, w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct service_test *w = *state;

	g_unsetenv("NOTIFY_SOCKET");
	log_set_sink(NULL, NULL);
	g_unlink(w->path);
	assert_int_equal(g_rmdir(w->dir), 0);
	assert_int_equal(count_fds(), w->n_fds);
	g_free(w->path);
	g_free(w->dir);
	g_free(w);
	return 0;
}

/* A datagram socket at path, where '@' stands for an abstract name's NUL. */
static int make_notify_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + strlen(path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, path, strlen(path));
	if (*path == '@')
		address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	return fd;
}

static void check_notify(const char *path)
{
	autofd fd = make_notify_socket(path);
	char got[64];

	g_setenv("NOTIFY_SOCKET", path, TRUE);
	service_notify("READY=1");
	assert_int_equal(recv(fd, got, sizeof(got), 0), 7);
	assert_memory_equal(got, "READY=1", 7);
	assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
}

static void test_notify(void **state)
{
	struct service_test *w = *state;

	check_notify(w->path);
	assert_int_equal(w->n_lines, 0);
}

static void test_notify_abstract(void **state)
{
	struct service_test *w = *state;
	g_autofree char *name = g_strdup_printf("@%s", w->path);

	check_notify(name);
	assert_int_equal(w->n_lines, 0);
}

static void test_notify_without(void **state)
{
	struct service_test *w = *state;

	g_unsetenv("NOTIFY_SOCKET");
	service_notify("READY=1");
	g_setenv("NOTIFY_SOCKET", "", TRUE);
	service_notify("READY=1");
	assert_int_equal(w->n_lines, 0);
}

/* The way there is not needed any more. */
static void test_notify_keep(void **state)
{
	struct service_test *w = *state;
	autofd fd = make_notify_socket(w->path);
	char got[64];

	g_setenv("NOTIFY_SOCKET", w->path, TRUE);
	service_notify_keep();
	g_unlink(w->path);
	for (unsigned i = 0; i < 2; i++) {
		service_notify("STOPPING=1");
		assert_int_equal(recv(fd, got, sizeof(got), 0), 10);
	}
	g_unsetenv("NOTIFY_SOCKET");
	service_notify_keep();
	service_notify("STOPPING=1");
	assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
	assert_int_equal(w->n_lines, 0);
}

static void test_notify_fails(void **state)
{
	struct service_test *w = *state;
	g_autofree char *too_long = g_strnfill(200, 'x');

	g_setenv("NOTIFY_SOCKET", w->path, TRUE);
	service_notify("READY=1");
	assert_int_equal(w->n_lines, 1);
	assert_non_null(strstr(w->last_line, w->path));
	g_setenv("NOTIFY_SOCKET", too_long, TRUE);
	service_notify("READY=1");
	assert_int_equal(w->n_lines, 2);
}

/* What the child of the next function does; 100: service_listen_fd() left something undone. */
static int try_listen_fd(const char *pid, const char *fds, bool has_socket)
{
	g_autofree char *own = g_strdup_printf("%d", (int)getpid());
	int fd;

	close(3);
	if (has_socket)
		dup2(socket(AF_UNIX, SOCK_STREAM, 0), 3);
	g_setenv("LISTEN_PID", pid ? pid : own, TRUE);
	g_setenv("LISTEN_FDS", fds, TRUE);
	g_setenv("LISTEN_FDNAMES", "x", TRUE);
	fd = service_listen_fd();
	if (g_getenv("LISTEN_PID") || g_getenv("LISTEN_FDS") || g_getenv("LISTEN_FDNAMES"))
		return 100;
	if (fd == 3 && (fcntl(3, F_GETFD) != FD_CLOEXEC || !(fcntl(3, F_GETFL) & O_NONBLOCK)))
		return 100;
	return fd;
}

/*
 * service_listen_fd() in a child whose fd 3 is a socket, or closed. LISTEN_PID is the child's pid
 * where pid is NULL.
 */
static int listen_fd_in_child(const char *pid, const char *fds, bool has_socket)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(try_listen_fd(pid, fds, has_socket) & 0xff);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return (int8_t)WEXITSTATUS(status);
}

static void test_listen_fd(void **state)
{
	assert_int_equal(listen_fd_in_child(NULL, "1", true), 3);
	assert_int_equal(listen_fd_in_child(NULL, "1", false), -1);
	assert_int_equal(listen_fd_in_child(NULL, "0", true), -1);
	assert_int_equal(listen_fd_in_child(NULL, "2", true), -2);
	assert_int_equal(listen_fd_in_child(NULL, "", true), -1);
	assert_int_equal(listen_fd_in_child(NULL, "1x", true), -1);
	assert_int_equal(listen_fd_in_child(NULL, "-1", true), -1);
	assert_int_equal(listen_fd_in_child(NULL, "99999999999999999999", true), -1);
	/* Meant for another process. */
	assert_int_equal(listen_fd_in_child("1", "1", true), -1);
	assert_int_equal(listen_fd_in_child("", "1", true), -1);
}

static void test_listen_fd_without(void **state)
{
	assert_int_equal(service_listen_fd(), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_notify),
		TEST(test_notify_abstract),
		TEST(test_notify_without),
		TEST(test_notify_keep),
		TEST(test_notify_fails),
		TEST(test_listen_fd),
		TEST(test_listen_fd_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

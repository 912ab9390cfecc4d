/* SPDX-License-Identifier: Apache-2.0 */
/* The process that connects, for a process that has one of its own in each case. */
#include "tests/lib/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/sock.h"
#include "base/sock_maker.h"
#include "base/util.h"
#include "priv/connector.h"

static struct test test;
static char *path, *other, *stem;
static int listener, other_listener;

static int setup(void **state)
{
	test_begin(&test);
	path = test_path(&test, "listed");
	other = test_path(&test, "other");
	stem = test_path(&test, "stem_");
	listener = sock_listen(path, 0600, (gid_t)-1, NULL);
	other_listener = sock_listen(other, 0600, (gid_t)-1, NULL);
	return listener >= 0 && other_listener >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	close(listener);
	close(other_listener);
	test_end(&test);
	return 0;
}

/* Each returns whether all is as it should be, in a process that has a connector. */

static bool connects(void)
{
	int fd = sock_connect(path, NULL);
	int conn = sock_accept(listener);
	char byte = 0;

	return fd >= 0 && conn >= 0 && write(fd, "x", 1) == 1 && read(conn, &byte, 1) == 1 &&
		byte == 'x';
}

static bool refuses_others(void)
{
	g_autoptr(GError) error = NULL;

	return sock_connect(other, &error) < 0 &&
		g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_ACCES) &&
		strstr(error->message, other) && connects();
}

static bool reports_absence(void)
{
	g_autoptr(GError) error = NULL;

	unlink(path);
	return sock_connect_now(path, &error) < 0 &&
		g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

static bool makes_pairs(void)
{
	char byte = 0;
	int fds[2];

	return sock_pair(fds) && write(fds[0], "y", 1) == 1 && read(fds[1], &byte, 1) == 1 &&
		byte == 'y';
}

/* Returns the only child of this process. */
static pid_t find_connector(void)
{
	g_autofree char *children =
		g_strdup_printf("/proc/%d/task/%d/children", getpid(), getpid());
	g_autofree char *text = NULL;

	return g_file_get_contents(children, &text, NULL, NULL) ? atoi(text) : 0;
}

/* Returns whether kept sockets come without the process that connects, and no others. */
static bool keeps_a_pair(void)
{
	pid_t pid;
	int fds[2];

	if (!sock_maker_keep_pair() || !sock_maker_keep_pair())
		return false;
	pid = find_connector();
	if (!pid || kill(pid, SIGKILL) < 0 || waitpid(pid, NULL, 0) != pid)
		return false;
	return makes_pairs() && !sock_pair(fds);
}

/* Connects to what is directly in it, and only to that. */
static bool connects_in_folder(void)
{
	g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(path);
	g_autofree char *above = g_build_filename(folder, "..", name, NULL);
	g_autofree char *around =
		g_strdup_printf("%s/../%s/%s", folder, strrchr(folder, '/') + 1, name);
	g_autofree char *none = g_strconcat(folder, "/", NULL),
			*like = g_strconcat(folder, "x", NULL);
	const char *const others[] = { above, around, none, like, folder, "/dev/log" };

	for (unsigned i = 0; i < G_N_ELEMENTS(others); i++)
		if (sock_maker_connect(others[i]) != -EACCES)
			return false;
	return connects();
}

static void *connect_often(void *unused)
{
	for (unsigned i = 0; i < 200; i++) {
		int fd = sock_connect(path, NULL), fds[2];

		if (fd < 0 || !sock_pair(fds))
			return NULL;
		close(fd);
		close(fds[0]);
		close(fds[1]);
	}
	return &listener;
}

static bool serves_threads(void)
{
	pthread_t threads[4];
	unsigned n = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
		pthread_create(&threads[i], NULL, connect_often, NULL);
	for (unsigned accepted = 0; accepted < 200 * G_N_ELEMENTS(threads);) {
		struct pollfd p = { .fd = listener, .events = POLLIN };
		int conn;

		if (poll(&p, 1, TEST_WAIT_MS * test_patience()) <= 0)
			return false;
		conn = sock_accept(listener);
		if (conn < 0)
			continue;
		close(conn);
		accepted++;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++) {
		void *ok;

		pthread_join(threads[i], &ok);
		n += ok != NULL;
	}
	return n == G_N_ELEMENTS(threads);
}

/* Returns whether it holds none of the listening sockets: its parent may be killed now. */
static bool leaves_files(void)
{
	g_autofree char *own = g_strdup_printf("/proc/self/fd/%d", listener);
	g_autofree char *socket = g_file_read_link(own, NULL);
	g_autofree char *its = g_strdup_printf("/proc/%d/fd", find_connector());
	g_autoptr(GDir) dir = g_dir_open(its, 0, NULL);
	const char *name;
	unsigned n = 0;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(its, name, NULL);
		g_autofree char *target = g_file_read_link(file, NULL);

		if (g_strcmp0(target, socket) == 0)
			return false;
		n++;
	}
	return socket && n;
}

/* Returns whether each error names its own path, and one line of the log the cause. */
static bool notes_its_end(void)
{
	pid_t pid = find_connector();

	if (!pid || kill(pid, SIGKILL) < 0 || waitpid(pid, NULL, 0) != pid)
		return false;
	for (unsigned i = 0; i < 3; i++) {
		g_autoptr(GError) error = NULL;

		if (sock_connect_now(path, &error) >= 0 || !strstr(error->message, path))
			return false;
	}
	return test_log_lines() == 1 && test_logged("('connector') has ended");
}

/* Returns whether a request to a stopped connector ends, and its late answer is dropped. */
static bool outlasts_a_stop(void)
{
	pid_t pid = find_connector();
	g_autoptr(GError) error = NULL;

	if (!pid || kill(pid, SIGSTOP) < 0 || sock_connect_now(path, &error) >= 0 ||
		!strstr(error->message, g_strerror(ETIMEDOUT)) || kill(pid, SIGCONT) < 0)
		return false;
	/* The answer to the first request has one socket, that to the second has two. */
	return makes_pairs() && close(sock_accept(listener)) == 0 && connects();
}

/* Leaves as many sockets in a socket as the connector may have on their way, and more. */
static bool too_many_on_their_way(void)
{
	const struct rlimit few = { 16, 16 };
	int fds[32], pair[2];

	for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++)
		fds[i] = listener;
	if (!sock_pair(pair) || prlimit(find_connector(), RLIMIT_NOFILE, &few, NULL) < 0 ||
		sock_send(pair[0], "x", 1, fds, G_N_ELEMENTS(fds), -1))
		return false;
	if (sock_pair(fds) || errno != ETOOMANYREFS)
		return false;
	close(pair[0]);
	close(pair[1]);
	return makes_pairs() && connects();
}

/* Asks without waiting, and returns what the answer says. */
static int ask(const char *name, bool records)
{
	struct pollfd p = { .fd = sock_maker_fd(), .events = POLLIN };
	static uint32_t last;
	uint32_t serial;
	int result;

	if (sock_maker_ask(++last, name, records) ||
		poll(&p, 1, TEST_WAIT_MS * test_patience()) != 1 ||
		!sock_maker_take(&serial, &result) || serial != last)
		return -EIO;
	return result;
}

/* Returns whether it connects to numbered sockets of both types, and to nothing like them. */
static bool connects_to_numbers(void)
{
	static const char *const others[] = { "", "01", "-1", "1x", "x", "1/../2", "*" };
	g_autofree char *numbered = g_strconcat(stem, "4294967295", NULL);
	autofd stream = sock_listen(numbered, 0600, (gid_t)-1, NULL), fd = ask(numbered, false);
	uint32_t serial;
	int result;

	if (stream < 0 || fd < 0 || close(sock_accept(stream)) < 0 ||
		ask(numbered, true) != -EPROTOTYPE || sock_maker_take(&serial, &result))
		return false;
	for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
		g_autofree char *name = g_strconcat(stem, others[i], NULL);

		if (ask(name, false) != -EACCES)
			return false;
	}
	return connects();
}

static bool leaves_signals(void)
{
	pid_t pid = find_connector();

	return pid && kill(pid, SIGINT) == 0 && kill(pid, SIGTERM) == 0 && connects();
}

static void run_with_connector(const struct sock_maker_paths *paths, bool (*check)(void))
{
	if (!connector_start(paths, 0, 0, NULL))
		_exit(1);
	connector_wait();
	_exit(check() ? 0 : 1);
}

/* Runs it in a process of its own. */
static void run(void **state)
{
	bool (*check)(void) = *state;
	const char *const exact[] = { path, NULL }, *const stems[] = { stem, NULL };
	g_autofree char *folder = g_path_get_dirname(path);
	const char *const folders[] = { check == connects_in_folder ? folder : "/", NULL };
	const struct sock_maker_paths paths = { check == connects_in_folder ? NULL : exact, stems,
		folders };
	pid_t pid = fork();
	int status;

	if (pid == 0)
		run_with_connector(&paths, check);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define CASE(name)                                \
	{                                         \
#name, run, setup, teardown, name \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(leaves_files),
		CASE(connects),
		CASE(refuses_others),
		CASE(reports_absence),
		CASE(makes_pairs),
		CASE(keeps_a_pair),
		CASE(connects_to_numbers),
		CASE(connects_in_folder),
		CASE(serves_threads),
		CASE(notes_its_end),
		CASE(leaves_signals),
		CASE(outlasts_a_stop),
		CASE(too_many_on_their_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

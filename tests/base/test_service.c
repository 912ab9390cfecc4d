/* SPDX-License-Identifier: Apache-2.0 */
/* systemd's protocol, with this test in systemd's place. */
#include "tests/lib/test.h"

#include <sys/socket.h>
#include <sys/un.h>

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

	test_run_loop(); /* makes its fds */
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
	g_unsetenv("WATCHDOG_USEC");
	g_unsetenv("WATCHDOG_PID");
	log_set_sink(NULL, NULL);
	g_unlink(w->path);
	assert_int_equal(g_rmdir(w->dir), 0);
	assert_int_equal(count_fds(), w->n_fds);
	g_free(w->path);
	g_free(w->dir);
	g_free(w);
	return 0;
}

/* Makes a datagram socket at path, where '@' stands for an abstract name's NUL. */
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

/* The way there is not needed any more; the last test, as none is looked for from then on. */
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

/* Runs the main loop until the manager has got n datagrams, which must be these. */
static void receive(int fd, const char *state, unsigned n)
{
	char got[64];

	while (n) {
		ssize_t len = recv(fd, got, sizeof(got), 0);

		if (len < 0) {
			g_main_context_iteration(NULL, TRUE);
			continue;
		}
		assert_int_equal(len, strlen(state));
		assert_memory_equal(got, state, len);
		n--;
	}
}

static void set_watchdog(const char *us, const char *pid)
{
	g_setenv("WATCHDOG_USEC", us, TRUE);
	if (pid)
		g_setenv("WATCHDOG_PID", pid, TRUE);
	else
		g_unsetenv("WATCHDOG_PID");
}

static void test_watchdog(void **state)
{
	struct service_test *w = *state;
	g_autofree char *own = g_strdup_printf("%d", (int)getpid());
	const char *const pids[] = { own, NULL };
	autofd fd = make_notify_socket(w->path);
	char got[64];

	g_setenv("NOTIFY_SOCKET", w->path, TRUE);
	for (unsigned i = 0; i < G_N_ELEMENTS(pids); i++) {
		set_watchdog("2000", pids[i]);
		service_ready();
		receive(fd, "READY=1", 1);
		/* A loop that does not run says nothing. */
		test_pause(10000);
		assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
		receive(fd, "WATCHDOG=1", 3);
		service_stopping();
		receive(fd, "STOPPING=1", 1);
		assert_false(g_main_context_pending(NULL));
	}
	assert_int_equal(w->n_lines, 0);
}

static void test_no_watchdog(void **state)
{
	static const struct {
		const char *us, *pid;
	} cases[] = { { "0", NULL }, { "", NULL }, { "2000x", NULL }, { "-1", NULL },
		{ "2000", "1" }, { "2000", "" } };
	struct service_test *w = *state;
	autofd fd = make_notify_socket(w->path);

	g_setenv("NOTIFY_SOCKET", w->path, TRUE);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		set_watchdog(cases[i].us, cases[i].pid);
		service_ready();
		receive(fd, "READY=1", 1);
		test_pause(10000);
		assert_false(g_main_context_pending(NULL));
	}
}

/* Sets LISTEN_PID to value; NULL: our own. */
static unsigned listen_fds(const char *pid, const char *fds)
{
	static const char *const names[] = { "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS",
		"LISTEN_FDNAMES" };
	g_autofree char *own = g_strdup_printf("%d", (int)getpid());
	unsigned n;

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		g_setenv(names[i], "x", TRUE);
	g_setenv("LISTEN_PID", pid ? pid : own, TRUE);
	g_setenv("LISTEN_FDS", fds, TRUE);
	n = service_listen_fds();
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		assert_null(g_getenv(names[i]));
	return n;
}

static void test_listen_fds(void **state)
{
	static const struct {
		const char *pid, *fds;
		unsigned n;
	} cases[] = {
		{ NULL, "1", 1 },
		{ NULL, "2", 2 },
		{ NULL, "0", 0 },
		{ NULL, "", 0 },
		{ NULL, "1x", 0 },
		{ NULL, "-1", 0 },
		{ NULL, "99999999999999999999", 0 },
		/* Meant for another process. */
		{ "1", "1", 0 },
		{ "", "1", 0 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_int_equal(listen_fds(cases[i].pid, cases[i].fds), cases[i].n);
	assert_int_equal(service_listen_fds(), 0);
}

/* A manager that does not read holds up neither the program nor its end. */
static void test_log_never_blocks_on_manager(void **state)
{
	struct service_test *w = *state;
	autofd fd = make_notify_socket(w->path);
	unsigned n = 0;

	assert_true(fd >= 0);
	g_setenv("NOTIFY_SOCKET", w->path, TRUE);
	while (w->n_lines == 0 && n++ < 100000)
		service_notify("STOPPING=1");
	assert_non_null(strstr(w->last_line, "cannot notify of STOPPING=1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_notify),
		TEST(test_notify_abstract),
		TEST(test_notify_without),
		TEST(test_watchdog),
		TEST(test_no_watchdog),
		TEST(test_notify_fails),
		TEST(test_listen_fds),
		TEST(test_log_never_blocks_on_manager),
		TEST(test_notify_keep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

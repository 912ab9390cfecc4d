/* SPDX-License-Identifier: Apache-2.0 */
/* A device's back-end: dialled, or started, again after its death, and ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "tests/lib/leak.h"
#include "xen/supervisor/backend_process.h"

/* For events: whoever is slow is not wrong. */
#define WAIT_US (60 * G_TIME_SPAN_SECOND)
#define NAME "domain web, device 5"

struct world {
	char *dir, *config, *sock, *script;
	struct device_node node;
	struct backend_rules *rules;
	struct backend_process *backend;
	GString *log; /* no debug lines */
	unsigned n_fds;
};

static void on_line(enum log_level level, const char *line, void *opaque)
{
	struct world *w = opaque;

	if (level != LOG_LEVEL_DEBUG)
		g_string_append_printf(w->log, "%s\n", line);
}

static int setup(void **state)
{
	struct world *w = g_new0(struct world, 1);

	g_main_context_iteration(NULL, FALSE); /* its fds are not ours to count */
	w->n_fds = count_fds();
	w->log = g_string_new(NULL);
	log_set_sink(on_line, w);
	w->dir = g_dir_make_tmp("virtiod-backend-XXXXXX", NULL);
	w->config = g_build_filename(w->dir, "config", NULL);
	w->sock = g_build_filename(w->dir, "sock", NULL);
	w->script = g_build_filename(w->dir, "back-end", NULL);
	w->node = (struct device_node){ .kind = (char *)"virtio_disk",
		.path = (char *)"x",
		.domain = (char *)"web",
		.domid = 3,
		.devid = 5,
		.params = (char *)"a;b %p" };
	*state = w;
	return 0;
}

/* Nobody's child is left, however it ended. */
static void wait_for_children(struct world *w)
{
	int64_t end = g_get_monotonic_time() + WAIT_US;
	siginfo_t info;

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
		assert_true(g_get_monotonic_time() < end);
		g_main_context_iteration(NULL, FALSE);
		g_usleep(1000);
	}
	assert_int_equal(errno, ECHILD);
}

static int teardown(void **state)
{
	struct world *w = *state;
	int64_t end = g_get_monotonic_time() + WAIT_US;

	backend_process_free(w->backend);
	wait_for_children(w);
	/* One that had ended by itself is dealt with by the loop. */
	while (count_fds() != w->n_fds && g_get_monotonic_time() < end)
		g_main_context_iteration(NULL, FALSE);
	backend_rules_free(w->rules);
	g_unlink(w->config);
	g_unlink(w->sock);
	g_unlink(w->script);
	assert_int_equal(g_rmdir(w->dir), 0);
	log_set_sink(NULL, NULL);
	assert_int_equal(count_fds(), w->n_fds);
	g_string_free(w->log, TRUE);
	g_free(w->config);
	g_free(w->sock);
	g_free(w->script);
	g_free(w->dir);
	g_free(w);
	return 0;
}

static void make_source(struct world *w, const char *config)
{
	assert_true(g_file_set_contents(w->config, config, -1, NULL));
	w->rules = backend_rules_read(w->config, "/none", w->dir, 0, NULL);
	assert_non_null(w->rules);
	w->backend = backend_process_new(w->rules, &w->node, NAME);
}

static void make_dialling_source(struct world *w)
{
	g_autofree char *config = g_strdup_printf("[a]\nsocket=%s\nqueues=3\n", w->sock);

	make_source(w, config);
}

/* With a shell script as the program. */
static void make_starting_source(struct world *w, const char *text)
{
	g_autofree char *all = g_strdup_printf("#!/bin/sh\n%s\n", text);
	g_autofree char *config =
		g_strdup_printf("[a]\nprogram=%s\noptions=--file=%%p;--b\n", w->script);

	assert_true(g_file_set_contents(w->script, all, -1, NULL));
	g_chmod(w->script, 0700);
	make_source(w, config);
}

static void assert_not_now(struct world *w, const char *said)
{
	g_autoptr(GError) error = NULL;

	assert_int_equal(backend_process_connect(w->backend, &error), -1);
	assert_true(g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN));
	if (!strstr(error->message, said))
		fail_msg("%s", error->message);
}

static void run_until_logged(struct world *w, const char *what)
{
	int64_t end = g_get_monotonic_time() + WAIT_US;

	while (!strstr(w->log->str, what)) {
		if (g_get_monotonic_time() > end)
			fail_msg("not logged: %s; but: %s", what, w->log->str);
		g_main_context_iteration(NULL, FALSE);
		g_usleep(1000);
	}
}

/* Dials until that works. */
static int connect_at_last(struct world *w)
{
	int64_t end = g_get_monotonic_time() + WAIT_US;
	int fd = -1;

	while ((fd = backend_process_connect(w->backend, NULL)) < 0) {
		assert_true(g_get_monotonic_time() < end);
		g_main_context_iteration(NULL, FALSE);
		g_usleep(1000);
	}
	return fd;
}

/* All that comes until the other side closes. */
static char *read_all(int fd)
{
	GString *text = g_string_new(NULL);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char buf[256];
	ssize_t n = 1;

	while (n > 0) {
		assert_int_equal(poll(&pfd, 1, WAIT_US / 1000), 1);
		n = read(fd, buf, sizeof(buf));
		if (n > 0)
			g_string_append_len(text, buf, n);
	}
	return g_string_free(text, FALSE);
}

static void test_dial(void **state)
{
	struct world *w = *state;
	g_autoptr(GError) nobody = NULL;
	autofd listener = -1, ours = -1, theirs = -1;

	make_dialling_source(w);
	assert_null(backend_process_rule(w->backend));
	assert_int_equal(backend_process_connect(w->backend, &nobody), -1);
	assert_true(g_error_matches(nobody, G_FILE_ERROR, G_FILE_ERROR_NOENT));
	assert_non_null(strstr(nobody->message, w->sock));
	listener = sock_listen(w->sock, 0600, -1, NULL);
	ours = backend_process_connect(w->backend, NULL);
	assert_true(ours >= 0);
	theirs = sock_accept(listener);
	assert_true(theirs >= 0);
	assert_int_equal(backend_process_rule(w->backend)->front.queues, 3);
}

/* The socket may come after the backend, also by another rule than at first. */
static void test_rule_comes_later(void **state)
{
	struct world *w = *state;
	g_autofree char *folder = g_build_filename(w->dir, "web", NULL);
	g_autofree char *sock = g_build_filename(folder, "5.sock", NULL);
	g_autoptr(GError) error = NULL;
	autofd listener = -1, ours = -1;

	make_source(w, "");
	assert_int_equal(backend_process_connect(w->backend, &error), -1);
	assert_non_null(strstr(error->message, sock));
	assert_null(backend_process_rule(w->backend));
	g_mkdir(folder, 0700);
	listener = sock_listen(sock, 0600, -1, NULL);
	ours = backend_process_connect(w->backend, NULL);
	assert_true(ours >= 0);
	assert_string_equal(backend_process_rule(w->backend)->socket, sock);
	g_unlink(sock);
	g_rmdir(folder);
}

static void test_start(void **state)
{
	struct world *w = *state;
	g_autofree char *said = NULL;
	autofd fd = -1;

	make_starting_source(w, "echo \"$#|$1|$2|$3\" >&3");
	fd = backend_process_connect(w->backend, NULL);
	assert_true(fd >= 0);
	assert_string_equal(backend_process_rule(w->backend)->program, w->script);
	said = read_all(fd);
	assert_string_equal(said, "3|--file=a;b %p|--b|--fd=3\n");
}

static void test_start_fails(void **state)
{
	struct world *w = *state;
	g_autoptr(GError) error = NULL;

	make_source(w, "[a]\nprogram=/no/such/program\n");
	assert_int_equal(backend_process_connect(w->backend, &error), -1);
	assert_non_null(strstr(error->message, "/no/such/program"));
}

/* Its death is logged with the device's name, and it is started again, once a second. */
static void test_restart(void **state)
{
	struct world *w = *state;
	int64_t start = g_get_monotonic_time();
	autofd first = -1, second = -1;
	g_autofree char *said = NULL;

	make_starting_source(w, "echo too bad; echo x >&3; exit 7");
	first = backend_process_connect(w->backend, NULL);
	assert_true(first >= 0);
	run_until_logged(w, NAME ": the back-end is gone");
	assert_non_null(strstr(w->log->str, "status 7: too bad"));
	if (g_get_monotonic_time() - start < G_TIME_SPAN_SECOND / 2)
		assert_not_now(w, "less than a second");
	second = connect_at_last(w);
	assert_true(g_get_monotonic_time() - start >= G_TIME_SPAN_SECOND);
	said = read_all(second);
	assert_string_equal(said, "x\n");
}

/* Another connection means another process; one after the other. */
static void test_dial_again(void **state)
{
	struct world *w = *state;
	autofd first = -1, second = -1;
	g_autofree char *said = NULL;

	make_starting_source(w, "echo $$ >&3; exec sleep 1000");
	first = backend_process_connect(w->backend, NULL);
	assert_true(first >= 0);
	assert_not_now(w, "still ending");
	assert_not_now(w, "still ending");
	second = connect_at_last(w);
	/* By now the first one has ended. */
	said = read_all(first);
	assert_true(*said == '\0' || g_ascii_isdigit(*said));
	assert_non_null(strstr(w->log->str, NAME ": the back-end is gone"));
}

static void test_end(void **state)
{
	struct world *w = *state;
	autofd fd = -1;

	make_starting_source(w, "exec sleep 1000");
	fd = backend_process_connect(w->backend, NULL);
	assert_true(fd >= 0);
	g_clear_pointer(&w->backend, backend_process_free);
	wait_for_children(w);
	assert_string_equal(w->log->str, "");
}

/* One that does not end when it is told to does not keep us, and is killed. */
static void test_stubborn(void **state)
{
	struct world *w = *state;
	int64_t start;
	char byte;
	autofd fd = -1;

	make_starting_source(w, "trap '' TERM; echo x >&3; exec sleep 1000");
	fd = backend_process_connect(w->backend, NULL);
	assert_int_equal(read(fd, &byte, 1), 1); /* it does not listen any more */
	start = g_get_monotonic_time();
	g_clear_pointer(&w->backend, backend_process_free);
	assert_true(g_get_monotonic_time() - start < G_TIME_SPAN_SECOND);
	run_until_logged(w, NAME ": the back-end did not end");
	wait_for_children(w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_dial),
		TEST(test_rule_comes_later),
		TEST(test_start),
		TEST(test_start_fails),
		TEST(test_restart),
		TEST(test_dial_again),
		TEST(test_end),
		TEST(test_stubborn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

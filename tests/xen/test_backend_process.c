/* SPDX-License-Identifier: Apache-2.0 */
/* A device's back-end: dialled, or started, again after its death, and ended. */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "xen/supervisor/backend_process.h"

#define NAME "domain web, device 5"

struct backend_process_test {
	struct test test;
	const char *config, *sock, *script;
	struct device_node node;
	struct backend_rules *rules;
	struct backend_process *backend;
};

static int setup(void **state)
{
	struct backend_process_test *w = g_new0(struct backend_process_test, 1);

	test_begin(&w->test);
	w->config = test_path(&w->test, "config");
	w->sock = test_path(&w->test, "sock");
	w->script = test_path(&w->test, "back-end");
	w->node = (struct device_node){ .kind = (char *)"virtio_disk",
		.path = (char *)"x",
		.domain = (char *)"web",
		.domid = 3,
		.devid = 5,
		.params = (char *)"a;b %p" };
	*state = w;
	return 0;
}

static bool has_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static int teardown(void **state)
{
	struct backend_process_test *w = *state;
	backend_process_free(w->backend);
	WAIT_IN_LOOP(!has_children());
	/* One that had ended by itself is dealt with by the loop. */
	WAIT_IN_LOOP(count_fds() == w->test.n_fds);
	backend_rules_free(w->rules);
	test_end(&w->test);
	g_free(w);
	return 0;
}

static void make_source(struct backend_process_test *w, const char *config)
{
	assert_true(g_file_set_contents(w->config, config, -1, NULL));
	w->rules = backend_rules_read(w->config, "/none", w->test.dir, 0, NULL);
	assert_non_null(w->rules);
	w->backend = backend_process_new(w->rules, &w->node, NAME);
}

static void make_dialling_source(struct backend_process_test *w)
{
	g_autofree char *config = g_strdup_printf("[a]\nsocket=%s\nqueues=3\n", w->sock);

	make_source(w, config);
}

/* Makes a source with a shell script as the program. */
static void make_starting_source(struct backend_process_test *w, const char *text)
{
	g_autofree char *all = g_strdup_printf("#!/bin/sh\n%s\n", text);
	g_autofree char *config =
		g_strdup_printf("[a]\nprogram=%s\noptions=--file=%%p;--b\n", w->script);

	assert_true(g_file_set_contents(w->script, all, -1, NULL));
	g_chmod(w->script, 0700);
	make_source(w, config);
}

static void assert_not_now(struct backend_process_test *w, const char *said)
{
	g_autoptr(GError) error = NULL;

	assert_int_equal(backend_process_connect(w->backend, &error), -1);
	assert_true(g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN));
	if (!strstr(error->message, said))
		fail_msg("%s", error->message);
}

static void run_until_logged(struct backend_process_test *w, const char *what)
{
	WAIT_IN_LOOP(test_logged(what));
}

/* Dials until that works. */
static int connect_at_last(struct backend_process_test *w)
{
	int fd = -1;

	WAIT_IN_LOOP((fd = backend_process_connect(w->backend, NULL)) >= 0);
	return fd;
}

/* Reads all that comes until the other side closes. */
static char *read_all(int fd)
{
	GString *text = g_string_new(NULL);
	char buf[256];
	ssize_t n = 1;

	while (n > 0) {
		test_wait_fd(fd, POLLIN);
		n = read(fd, buf, sizeof(buf));
		if (n > 0)
			g_string_append_len(text, buf, n);
	}
	return g_string_free(text, FALSE);
}

static void test_dial(void **state)
{
	struct backend_process_test *w = *state;
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
	struct backend_process_test *w = *state;
	g_autofree char *folder = g_build_filename(w->test.dir, "web", NULL);
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
	struct backend_process_test *w = *state;
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
	struct backend_process_test *w = *state;
	g_autoptr(GError) error = NULL;

	make_source(w, "[a]\nprogram=/no/such/program\n");
	assert_int_equal(backend_process_connect(w->backend, &error), -1);
	assert_non_null(strstr(error->message, "/no/such/program"));
}

/* Its death is logged with the device's name, and it is started again, once a second. */
static void test_restart(void **state)
{
	struct backend_process_test *w = *state;
	int64_t start = g_get_monotonic_time();
	autofd first = -1, second = -1;
	g_autofree char *said = NULL;

	make_starting_source(w, "echo too bad; echo x >&3; exit 7");
	first = backend_process_connect(w->backend, NULL);
	assert_true(first >= 0);
	run_until_logged(w, NAME ": the back-end has ended");
	assert_true(test_logged("status 7: too bad"));
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
	struct backend_process_test *w = *state;
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
	assert_true(test_logged(NAME ": the back-end has ended"));
}

static void test_device_leaves(void **state)
{
	struct backend_process_test *w = *state;
	autofd fd = -1;

	make_starting_source(w, "exec sleep 1000");
	fd = backend_process_connect(w->backend, NULL);
	assert_true(fd >= 0);
	g_clear_pointer(&w->backend, backend_process_free);
	WAIT_IN_LOOP(!has_children());
	assert_int_equal(test_log_lines(), 0);
}

/* One that does not end when it is told to does not keep us, and is killed. */
static void test_stubborn(void **state)
{
	struct backend_process_test *w = *state;
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
	WAIT_IN_LOOP(!has_children());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_dial),
		TEST(test_rule_comes_later),
		TEST(test_start),
		TEST(test_start_fails),
		TEST(test_restart),
		TEST(test_dial_again),
		TEST(test_device_leaves),
		TEST(test_stubborn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The tests' own helpers: waits, the folder, log lines, leaks that are found. */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/util.h"

struct helper_test {
	struct test test;
	pthread_mutex_t lock;
	int pipe[2];
	bool done;
};

static int setup(void **state)
{
	struct helper_test *h = g_new0(struct helper_test, 1);

	test_begin(&h->test);
	pthread_mutex_init(&h->lock, NULL);
	assert_int_equal(pipe(h->pipe), 0);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct helper_test *h = *state;

	fds_close(h->pipe, 2);
	pthread_mutex_destroy(&h->lock);
	test_end(&h->test);
	g_free(h);
	return 0;
}

static void *finish(void *opaque)
{
	struct helper_test *h = opaque;

	log_info("thread", "done");
	pthread_mutex_lock(&h->lock);
	h->done = true;
	pthread_mutex_unlock(&h->lock);
	assert_int_equal(write(h->pipe[1], "x", 1), 1);
	return NULL;
}

static void test_waits(void **state)
{
	struct helper_test *h = *state;
	pthread_t thread;

	assert_false(test_readable(h->pipe[0], 0));
	pthread_create(&thread, NULL, finish, h);
	WAIT_UNTIL_LOCKED(&h->lock, h->done);
	WAIT_UNTIL(test_logged("thread: done"));
	test_wait_fd(h->pipe[0], POLLIN);
	assert_true(test_readable(h->pipe[0], 0));
	pthread_join(thread, NULL);
}

static gboolean on_soon(gpointer opaque)
{
	*(bool *)opaque = true;
	return G_SOURCE_REMOVE;
}

static void test_loop(void **state)
{
	struct helper_test *h = *state;

	g_timeout_add(2, on_soon, &h->done);
	WAIT_IN_LOOP(h->done);
	h->done = false;
	g_idle_add(on_soon, &h->done);
	test_run_loop();
	assert_true(h->done);
}

static void test_deadlines(void **state)
{
	assert_true(test_deadline(1000) > g_get_monotonic_time());
	assert_false(test_wait_turn(g_get_monotonic_time()));
	assert_false(test_loop_turn(g_get_monotonic_time()));
	assert_true(test_wait_turn(test_deadline(TEST_WAIT_MS)));
}

static void test_child(void **state)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(7);
	assert_int_equal(WEXITSTATUS(test_wait_child(pid)), 7);
}

static void test_folder(void **state)
{
	struct test t;
	char *path, *dir;

	test_begin(&t);
	path = test_path(&t, "a");
	assert_true(g_file_set_contents(path, "x", 1, NULL));
	assert_int_equal(g_mkdir(test_path(&t, "b"), 0700), 0);
	assert_true(g_file_set_contents(test_path(&t, "b/c"), "x", 1, NULL));
	dir = g_strdup(t.dir);
	assert_true(g_file_test(dir, G_FILE_TEST_IS_DIR));
	test_end(&t);
	assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
	g_free(dir);
}

static void test_lines(void **state)
{
	g_autofree char *text = NULL;

	log_info("queue 0", "one");
	log_info("queue 1", "two");
	text = test_log();
	assert_non_null(strstr(text, "queue 0: one\n"));
	assert_true(test_logged("queue 1: two"));
	assert_false(test_logged("three"));
	assert_int_equal(test_log_lines(), 2);
	test_log_clear();
	assert_int_equal(test_log_lines(), 0);
	assert_false(test_logged("one"));
}

/* Leaves an fd open: run below, as a test that must fail. */
static void leak(void **state)
{
	struct test t;

	test_begin(&t);
	fcntl(0, F_DUPFD, 0);
	test_end(&t);
}

static void fail_error(void **state)
{
	GError *error = NULL;

	assert_error_has(&error, "words");
}

static void test_error(void **state)
{
	GError *error = g_error_new(G_FILE_ERROR, G_FILE_ERROR_IO, "disk: no room");

	assert_error_has(&error, "no room");
	assert_null(error);
}

/* Returns how many of these tests fail, in a child, which prints nothing. */
static int failures_of(CMUnitTestFunction f)
{
	pid_t pid = fork();

	if (pid == 0) {
		const struct CMUnitTest tests[] = { cmocka_unit_test(f) };
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		dup2(null, 2);
		_exit(cmocka_run_group_tests(tests, NULL, NULL));
	}
	return WEXITSTATUS(test_wait_child(pid));
}

static void test_failures(void **state)
{
	assert_int_equal(failures_of(leak), 1);
	assert_int_equal(failures_of(fail_error), 1);
	assert_int_equal(failures_of(test_folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_waits),
		TEST(test_loop),
		TEST(test_deadlines),
		TEST(test_child),
		TEST(test_folder),
		TEST(test_lines),
		TEST(test_error),
		TEST(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

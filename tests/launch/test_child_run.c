/* SPDX-License-Identifier: Apache-2.0 */
/* Back-end processes on a socket of ours, which go on without us, and are taken over. */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/util.h"
#include "launch/child.h"

struct run_test {
	struct test test;
	struct child *c;
	unsigned n_ends;
};

static int setup(void **state)
{
	struct run_test *w = g_new0(struct run_test, 1);

	g_main_context_iteration(NULL, FALSE); /* its fds are not ours to count */
	test_begin(&w->test);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct run_test *w = *state;

	child_free(w->c);
	test_end(&w->test);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	g_free(w);
	return 0;
}

static void on_end(void *opaque)
{
	struct run_test *w = opaque;

	w->n_ends++;
}

/* Starts a shell script with a pipe as its --fd=3. Returns the other end. */
static int start(struct run_test *w, const char *text, struct child_setup setup)
{
	static const char *const none[] = { NULL };
	g_autofree char *all = g_strdup_printf("#!/bin/sh\n%s\n", text);
	GError *error = NULL;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	setup.binary = test_path(&w->test, "back-end");
	setup.options = none;
	setup.fd = ends[1];
	assert_true(g_file_set_contents(setup.binary, all, -1, NULL));
	g_chmod(setup.binary, 0700);
	w->c = child_run(&setup, &error);
	close(ends[1]);
	if (!w->c)
		fail_msg("%s", error->message);
	child_on_end(w->c, on_end, w);
	return ends[0];
}

static void test_label_and_environment(void **state)
{
	struct run_test *w = *state;
	autofd fd = start(w, "echo back-end: warning: hello $1 $NOTIFY_SOCKET; exit 3",
		(struct child_setup){ .label = "vm/d", .notify = "/some/where" });

	assert_true(fd >= 0);
	assert_int_equal(child_status(w->c), -1);
	WAIT_IN_LOOP(w->n_ends > 0);
	assert_true(test_logged("warning: vm/d: hello --fd=3 /some/where"));
	assert_true(test_logged("warning: vm/d: ended with status 3"));
	assert_int_equal(WEXITSTATUS(child_status(w->c)), 3);
}

/* One goes on when the process that started it ends; those of child_start() do not (test_child). */
static void test_outlives(void **state)
{
	struct run_test *w = *state;
	const char *mark = test_path(&w->test, "mark");
	g_autofree char *text = g_strdup_printf("p=$PPID; echo x >&3; while kill -0 $p; do "
						"sleep 0.01; done 2>/dev/null; echo >%s",
		mark);
	pid_t pid = fork();

	if (pid == 0) {
		int fd = start(w, text, (struct child_setup){ .outlives = true });

		test_wait_fd(fd, POLLIN);
		kill(getpid(), SIGKILL);
	}
	test_wait_child(pid);
	WAIT_UNTIL(g_file_test(mark, G_FILE_TEST_EXISTS));
}

static void test_adopted(void **state)
{
	struct run_test *w = *state;
	GError *error = NULL;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dprintf(ends[1], "prog: error: three\n");
		for (;;)
			pause();
	}
	close(ends[1]);
	w->c = child_adopt("/bin/prog", "vm/e", pid, ends[0], &error);
	assert_non_null(w->c);
	assert_int_equal(child_pid(w->c), pid);
	assert_int_equal(child_output(w->c), ends[0]);
	child_on_end(w->c, on_end, w);
	WAIT_IN_LOOP(test_logged("error: vm/e: three"));
	child_kill(w->c);
	WAIT_IN_LOOP(w->n_ends > 0);
	assert_int_equal(WTERMSIG(child_status(w->c)), SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_label_and_environment),
		TEST(test_outlives),
		TEST(test_adopted),
	};

	return cmocka_run_group_tests_name("child_run", tests, NULL, NULL);
}

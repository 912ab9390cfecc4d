/* SPDX-License-Identifier: Apache-2.0 */
/* Back-end processes of our own: what they get, what they say, and how they end. */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/util.h"
#include "launch/child.h"

/* For events: being slow is no failure. */
#define WAIT_MS 60000

struct child_test {
	char *dir, *script;
	struct child *c;
	int fd; /* our end */
	GString *log;
	GError *error;
	unsigned n_fds, n_ends;
};

static void on_line(enum log_level level, const char *line, void *opaque)
{
	struct child_test *w = opaque;

	if (level != LOG_LEVEL_DEBUG)
		g_string_append_printf(w->log, "%s\n", line);
}

static int setup(void **state)
{
	struct child_test *w = g_new0(struct child_test, 1);

	g_main_context_iteration(NULL, FALSE); /* its fds are not ours to count */
	w->n_fds = count_fds();
	w->fd = -1;
	w->dir = g_dir_make_tmp("virtiod-child-XXXXXX", NULL);
	w->script = g_build_filename(w->dir, "back-end", NULL);
	w->log = g_string_new(NULL);
	log_set_program("test");
	log_set_sink(on_line, w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct child_test *w = *state;

	fd_close(&w->fd);
	child_free(w->c);
	log_set_sink(NULL, NULL);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	g_unlink(w->script);
	assert_int_equal(g_rmdir(w->dir), 0);
	assert_int_equal(count_fds(), w->n_fds);
	g_string_free(w->log, TRUE);
	g_clear_error(&w->error);
	g_free(w->script);
	g_free(w->dir);
	g_free(w);
	return 0;
}

/* Starts a shell script as a back-end with these options. */
static void start(struct child_test *w, const char *text, const char *const *options)
{
	static const char *const none[] = { NULL };
	g_autofree char *all = g_strdup_printf("#!/bin/sh\n%s\n", text);

	assert_true(g_file_set_contents(w->script, all, -1, NULL));
	g_chmod(w->script, 0700);
	w->c = child_start(w->script, options ? options : none, &w->fd, &w->error);
	if (!w->c)
		fail_msg("%s", w->error->message);
}

/* Returns what it writes to its socket, until it closes that. */
static char *said(struct child_test *w)
{
	GString *text = g_string_new(NULL);
	struct pollfd pfd = { .fd = w->fd, .events = POLLIN };
	char buf[256];
	ssize_t n = 1;

	while (n > 0) {
		assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
		n = read(w->fd, buf, sizeof(buf));
		if (n > 0)
			g_string_append_len(text, buf, n);
	}
	return g_string_free(text, FALSE);
}

static void run_loop_until(struct child_test *w, const char *logged)
{
	WAIT_IN_LOOP(strstr(w->log->str, logged));
}

static void on_end(void *opaque)
{
	struct child_test *w = opaque;

	w->n_ends++;
	g_clear_pointer(&w->c, child_free);
}

static void run_loop_until_end(struct child_test *w)
{
	WAIT_IN_LOOP(w->n_ends > 0);
}

static void test_what_it_gets(void **state)
{
	struct child_test *w = *state;
	const char *options[] = { "--path=a b", "--flag", NULL };
	autofd other = dup(0); /* not CLOEXEC */
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	start(w,
		"echo \"$@\" >&3; ls -x /proc/self/fd >&3; readlink /proc/$$/fd/0 >&3; "
		"cut -d ' ' -f 5 /proc/$$/stat >&3; echo $$ >&3",
		options);
	text = said(w);
	lines = g_strsplit(text, "\n", -1);
	assert_int_equal(g_strv_length(lines), 6);
	assert_string_equal(lines[0], "--path=a b --flag --fd=3");
	/* 4 is what it lists. */
	assert_string_equal(lines[1], "0  1  2  3  4");
	assert_string_equal(lines[2], "/dev/null");
	assert_string_equal(lines[3], lines[4]); /* its process group is its own */
	assert_true(other > 0);
}

/* No shell here: it would set its own. */
static void test_signal_mask(void **state)
{
	struct child_test *w = *state;
	const char *options[] = { "grep", "-h", "SigBlk", "/proc/self/status", "--", NULL };
	sigset_t term, before;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	w->c = child_start("/usr/bin/env", options, &w->fd, &w->error);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_non_null(w->c);
	run_loop_until(w, "env: SigBlk:?0000000000000000\n");
}

/* What programs set for themselves: SIGPIPE is ignored, and a service manager is notified. */
static void test_inherited_by_children(void **state)
{
	struct child_test *w = *state;
	g_autofree char *text = NULL;
	unsigned long long ignored;
	int end = 0;

	g_setenv("NOTIFY_SOCKET", "/none", TRUE);
	signal(SIGPIPE, SIG_IGN);
	start(w, "echo $(grep SigIgn /proc/$$/status) \"<$NOTIFY_SOCKET>\" >&3", NULL);
	signal(SIGPIPE, SIG_DFL);
	g_unsetenv("NOTIFY_SOCKET");
	text = said(w);
	assert_int_equal(sscanf(text, "SigIgn: %llx <>%n", &ignored, &end), 1);
	assert_true(end > 0);
	assert_false(ignored & 1 << (SIGPIPE - 1));
}

static void test_lines(void **state)
{
	struct child_test *w = *state;

	start(w,
		"echo one >&2; echo 'back-end: error: two'; printf 'thr' >&2; printf 'ee\\n\\n' "
		">&2; "
		"echo 'warning: w'; printf 'no end' >&2; exec 1>&- 2>&-; read x <&3",
		NULL);
	run_loop_until(w, "no end");
	assert_string_equal(w->log->str,
		"test: back-end: one\ntest: error: back-end: two\ntest: back-end: three\n"
		"test: warning: back-end: w\ntest: back-end: no end\n");
	assert_false(child_failed(w->c, 0, &w->error));
	assert_null(w->error);
}

static void test_long_line_and_controls(void **state)
{
	struct child_test *w = *state;

	start(w, "head -c 3000 /dev/zero | tr '\\0' x >&2; printf '\\033[2J\\n' >&2; exit 3", NULL);
	assert_true(child_failed(w->c, WAIT_MS, &w->error));
	assert_non_null(strstr(w->log->str, "x?[2J\n"));
	assert_true(strlen(w->error->message) < 5000);
}

static void test_failure_names_all(void **state)
{
	struct child_test *w = *state;

	start(w, "for i in 1 2 3 4 5 6; do echo line $i >&2; done; exit 7", NULL);
	assert_true(child_failed(w->c, WAIT_MS, &w->error));
	assert_true(g_str_has_prefix(w->error->message, w->script));
	assert_non_null(
		strstr(w->error->message, "ended with status 7: line 3; line 4; line 5; line 6"));
	/* And again. */
	g_clear_error(&w->error);
	assert_true(child_failed(w->c, 0, &w->error));
	assert_non_null(strstr(w->error->message, "status 7"));
}

static void test_death_is_logged(void **state)
{
	struct child_test *w = *state;

	start(w, "kill -9 $$", NULL);
	run_loop_until(w, "test: warning: back-end: was ended by signal 9");
	assert_true(child_failed(w->c, 0, &w->error));
	assert_non_null(strstr(w->error->message, "was ended by signal 9"));
}

/* It dies long after the end of its output. */
static void test_death_after_output(void **state)
{
	struct child_test *w = *state;

	start(w, "echo last; exec 1>&- 2>&-; echo >&3; read x <&3; kill -9 $$", NULL);
	run_loop_until(w, "last");
	/* Its output is closed once it has written this. */
	assert_int_equal(read(w->fd, &(char){ 0 }, 1), 1);
	test_run_loop();
	assert_string_equal(w->log->str, "test: back-end: last\n");
	assert_int_equal(write(w->fd, "\n", 1), 1);
	run_loop_until(w, "was ended by signal 9");
}

/* It dies, and its output does not end. */
static void test_death_before_end_of_output(void **state)
{
	struct child_test *w = *state;

	start(w,
		"(read x <&3; echo still here; read x <&3) & echo one; printf 'no end'; kill -9 "
		"$$",
		NULL);
	run_loop_until(w, "(Killed)\n");
	assert_string_equal(w->log->str,
		"test: back-end: one\ntest: back-end: no end\n"
		"test: warning: back-end: was ended by signal 9 (Killed)\n");
	/* What is said there is passed on as before. */
	assert_int_equal(write(w->fd, "\n", 1), 1);
	run_loop_until(w, "test: back-end: still here\n");
	/* And waiting for its end does not wait for that of its output. */
	assert_true(child_failed(w->c, WAIT_MS, &w->error));
}

static void test_told_of_the_end(void **state)
{
	struct child_test *w = *state;

	start(w, "read x <&3; echo last; exit 3", NULL);
	child_on_end(w->c, on_end, w);
	for (unsigned i = 0; i < 20; i++)
		g_main_context_iteration(NULL, FALSE);
	assert_int_equal(w->n_ends, 0);
	assert_int_equal(write(w->fd, "\n", 1), 1);
	run_loop_until_end(w);
	assert_string_equal(w->log->str,
		"test: back-end: last\ntest: warning: back-end: ended with status 3\n");
	assert_null(w->c);
	g_main_context_iteration(NULL, FALSE);
	assert_int_equal(w->n_ends, 1);
}

/* The first to ask has had the answer: no second message, but the call. */
static void test_told_after_the_error(void **state)
{
	struct child_test *w = *state;

	start(w, "echo last; exit 3", NULL);
	child_on_end(w->c, on_end, w);
	assert_true(child_failed(w->c, WAIT_MS, &w->error));
	assert_int_equal(w->n_ends, 0);
	run_loop_until_end(w);
	assert_string_equal(w->log->str, "test: back-end: last\n");
}

static void test_told_after_stop(void **state)
{
	struct child_test *w = *state;

	start(w, "echo ready; while :; do read x <&3; done", NULL);
	child_on_end(w->c, on_end, w);
	run_loop_until(w, "ready");
	child_stop(w->c);
	run_loop_until_end(w);
	assert_string_equal(w->log->str, "test: back-end: ready\n");
}

static void test_no_such_program(void **state)
{
	struct child_test *w = *state;
	const char *options[] = { NULL };

	assert_null(child_start(w->script, options, &w->fd, &w->error));
	assert_non_null(strstr(w->error->message, w->script));
	assert_int_equal(w->fd, -1);
	/* And one that is no program. */
	assert_true(g_file_set_contents(w->script, "x", 1, NULL));
	g_chmod(w->script, 0600);
	g_clear_error(&w->error);
	assert_null(child_start(w->script, options, &w->fd, &w->error));
	assert_non_null(strstr(w->error->message, w->script));
}

static void test_sigterm_ends_it(void **state)
{
	struct child_test *w = *state;

	start(w, "trap 'echo bye >&2; exit 0' TERM; echo ready >&2; while :; do sleep 0.01; done",
		NULL);
	run_loop_until(w, "ready");
	g_clear_pointer(&w->c, child_free);
	/* Not a word of killing it. */
	assert_string_equal(w->log->str, "test: back-end: ready\ntest: back-end: bye\n");
}

static void test_sigkill_follows(void **state)
{
	struct child_test *w = *state;
	int64_t begin;

	start(w, "trap '' TERM; echo ready >&2; while :; do sleep 0.05; done", NULL);
	run_loop_until(w, "ready");
	begin = g_get_monotonic_time();
	child_stop(w->c);
	g_clear_pointer(&w->c, child_free);
	assert_true(g_get_monotonic_time() - begin >= 2 * G_USEC_PER_SEC);
	assert_non_null(strstr(w->log->str, "back-end: did not end within 2000 ms"));
}

/* A front-end that dies without a word takes it along. */
static void test_ends_with_us(void **state)
{
	struct child_test *w = *state;
	g_autofree char *mark = g_build_filename(w->dir, "mark", NULL);
	g_autofree char *text = g_strdup_printf("trap 'echo >%s; exit 0' TERM; echo ready >&3; "
						"for i in $(seq 1000); do sleep 0.01; done",
		mark);
	pid_t pid = fork();

	if (pid == 0) {
		start(w, text, NULL);
		if (read(w->fd, &(char){ 0 }, 1) == 1)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	WAIT_UNTIL(g_file_test(mark, G_FILE_TEST_EXISTS));
	assert_int_equal(g_unlink(mark), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_it_gets),
		TEST(test_signal_mask),
		TEST(test_inherited_by_children),
		TEST(test_lines),
		TEST(test_long_line_and_controls),
		TEST(test_failure_names_all),
		TEST(test_death_is_logged),
		TEST(test_death_after_output),
		TEST(test_death_before_end_of_output),
		TEST(test_told_of_the_end),
		TEST(test_told_after_the_error),
		TEST(test_told_after_stop),
		TEST(test_no_such_program),
		TEST(test_sigterm_ends_it),
		TEST(test_sigkill_follows),
		TEST(test_ends_with_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

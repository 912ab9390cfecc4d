/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes, and how they end. All of it twice: as the system has it, and with a kernel that knows
 * no pidfd (under valgrind that is the first already).
 */
#include "tests/lib/test.h"

#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/util.h"
#include "launch/reaper.h"
#include "tests/lib/deaf_file.h"
#include "tests/lib/deny.h"

/* For events: being slow is no failure. */
#define WAIT_MS 60000

struct reaper_test {
	struct reaper r;
	pid_t pid;
	int order; /* a byte to the process: its exit status; it ends with us, too */
	unsigned n_fds;
};

static bool has_pidfd(void)
{
	autofd fd = syscall(SYS_pidfd_open, getpid(), 0);

	return fd >= 0;
}

static int setup(void **state)
{
	struct reaper_test *w = g_new0(struct reaper_test, 1);
	int ends[2];

	w->n_fds = count_fds();
	w->r = REAPER_NONE;
	*state = w; /* here, so that it is no leak of the other process */
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	w->order = ends[1];
	w->pid = fork();
	if (w->pid == 0) {
		unsigned char status = 0;

		close(ends[1]);
		_exit(read(ends[0], &status, 1) == 1 ? status : 1);
	}
	close(ends[0]);
	return w->pid < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct reaper_test *w = *state;

	fd_close(&w->order);
	reaper_close(&w->r);
	/* An ended child has been waited for. */
	if (!w->r.ended || w->r.pid != w->pid)
		waitpid(w->pid, NULL, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(count_fds(), w->n_fds);
	g_free(w);
	return 0;
}

static void end_with(struct reaper_test *w, unsigned char status)
{
	assert_int_equal(write(w->order, &status, 1), 1);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) == 1 && pfd.revents == POLLIN;
}

static void assert_described(const struct reaper_test *w, const char *how)
{
	g_autofree char *text = reaper_describe(&w->r);

	assert_true(w->r.ended);
	assert_string_equal(text, how);
}

static void test_fd(void **state)
{
	struct reaper_test *w = *state;
	g_autofree char *path = NULL, *link = NULL;

	assert_true(reaper_init(&w->r, w->pid));
	assert_int_equal(w->r.pid, w->pid);
	assert_false(w->r.ended);
	assert_true(fcntl(w->r.fd, F_GETFD) & FD_CLOEXEC);
	path = g_strdup_printf("/proc/self/fd/%d", w->r.fd);
	link = g_file_read_link(path, NULL);
	assert_non_null(strstr(link, has_pidfd() ? "pidfd" : "timerfd"));
	reaper_close(&w->r);
	assert_int_equal(w->r.fd, -1);
	reaper_close(&w->r);
	assert_int_equal(count_fds(), w->n_fds + 1); /* the order */
}

static void test_end_is_seen(void **state)
{
	struct reaper_test *w = *state;

	assert_true(reaper_init(&w->r, w->pid));
	assert_false(reaper_look(&w->r));
	end_with(w, 7);
	do
		assert_true(is_readable(w->r.fd, WAIT_MS));
	while (!reaper_look(&w->r) && !has_pidfd());
	assert_described(w, "ended with status 7");
	/* It remains so. */
	assert_true(reaper_look(&w->r));
	assert_true(reaper_wait(&w->r, WAIT_MS));
	assert_described(w, "ended with status 7");
}

/* While it lives: nothing, or now and then. Not always: somebody would spin. */
static void test_no_end(void **state)
{
	struct reaper_test *w = *state;
	int64_t begin = g_get_monotonic_time();

	assert_true(reaper_init(&w->r, w->pid));
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(is_readable(w->r.fd, has_pidfd() ? 10 : WAIT_MS), !has_pidfd());
		assert_false(reaper_look(&w->r));
	}
	assert_true(g_get_monotonic_time() - begin >= 30 * G_TIME_SPAN_MILLISECOND);
	assert_false(w->r.ended);
}

/* It was faster than we. */
static void test_ended_before(void **state)
{
	struct reaper_test *w = *state;
	siginfo_t info;

	end_with(w, 0);
	assert_int_equal(waitid(P_PID, w->pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(reaper_init(&w->r, w->pid));
	assert_false(w->r.ended);
	assert_true(is_readable(w->r.fd, WAIT_MS));
	assert_true(reaper_look(&w->r));
	assert_described(w, "ended with status 0");
}

static void test_signals(void **state)
{
	struct reaper_test *w = *state;

	assert_true(reaper_init(&w->r, w->pid));
	reaper_kill(&w->r, SIGTERM);
	assert_true(reaper_wait(&w->r, WAIT_MS));
	assert_described(w, "was ended by signal 15 (Terminated)");
}

static void on_signal(int signum)
{
}

/* Waiting goes on after a signal. */
static void test_wait_interrupted(void **state)
{
	const struct sigaction interrupt = { .sa_handler = on_signal }; /* no SA_RESTART */
	struct sigaction before;
	struct reaper_test *w = *state;
	pid_t self = getpid(), pid;

	sigaction(SIGUSR1, &interrupt, &before);
	pid = fork();
	if (pid == 0) {
		for (unsigned i = 0; i < 30; i++) {
			kill(self, SIGUSR1);
			poll(NULL, 0, 1); /* the parent is in its wait by now */
		}
		_exit(5);
	}
	assert_true(reaper_init(&w->r, pid));
	assert_true(reaper_wait(&w->r, WAIT_MS));
	sigaction(SIGUSR1, &before, NULL);
	assert_described(w, "ended with status 5");
}

/* Its pid may be another's by now: here it is. */
static void test_ended_is_left_alone(void **state)
{
	struct reaper_test *w = *state;
	struct reaper ended;

	assert_true(reaper_init(&w->r, w->pid));
	ended = w->r;
	ended.ended = true;
	reaper_kill(&ended, SIGKILL);
	assert_true(reaper_look(&ended));
	assert_true(reaper_wait(&ended, WAIT_MS));
	assert_false(reaper_look(&w->r));
	end_with(w, 3);
	assert_true(reaper_wait(&w->r, WAIT_MS));
	assert_described(w, "ended with status 3");
}

static void test_others_are_left_alone(void **state)
{
	struct reaper_test *w = *state;
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0)
		_exit(5);
	assert_int_equal(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(reaper_init(&w->r, w->pid));
	assert_false(reaper_look(&w->r));
	assert_int_equal(waitpid(pid, NULL, WNOHANG), pid);
}

/* There cannot be one of that pid: the end is reported at once, or at the next check. */
static void test_no_process(void **state)
{
	struct reaper_test *w = *state;

	assert_int_equal(reaper_init(&w->r, INT_MAX), !has_pidfd());
	if (has_pidfd())
		assert_int_equal(w->r.fd, -1);
	assert_false(w->r.ended);
	assert_true(reaper_look(&w->r));
	assert_true(w->r.ended);
}

/* Not even SIGKILL ends what closes a file that does not answer. */
static void test_deaf_file(void **state)
{
	struct reaper_test *w = *state;
	struct deaf_file deaf;
	struct reaper r;
	pid_t pid;

	if (!deaf_file_open(&deaf))
		skip();
	pid = fork();
	if (pid == 0) {
		close(w->order);
		for (;;)
			pause();
	}
	assert_true(reaper_init(&r, pid));
	reaper_kill(&r, SIGKILL);
	assert_false(reaper_wait(&r, 100));
	deaf_file_end(&deaf);
	assert_true(reaper_wait(&r, WAIT_MS));
	reaper_close(&r);
	end_with(w, 0);
	assert_true(reaper_init(&w->r, w->pid));
	assert_true(reaper_wait(&w->r, WAIT_MS));
}

/* All of it is nothing; a signal to its pid would be one to us all. */
static void test_none(void **state)
{
	struct reaper none = REAPER_NONE;

	reaper_kill(&none, SIGKILL);
	assert_true(reaper_look(&none));
	assert_true(reaper_wait(&none, WAIT_MS));
	reaper_close(&none);
	assert_int_equal(none.fd, -1);
}

/* No fd is to be had: it can be signalled and waited for all the same. */
static void test_unwatched(void **state)
{
	struct reaper_test *w = *state;
	struct rlimit before, none;
	bool watched;
	int err;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	watched = reaper_init(&w->r, w->pid);
	err = errno;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_false(watched);
	assert_int_equal(err, EMFILE);
	assert_int_equal(w->r.fd, -1);
	assert_false(reaper_look(&w->r));
	reaper_kill(&w->r, SIGKILL);
	assert_true(reaper_wait(&w->r, WAIT_MS));
	assert_described(w, "was ended by signal 9 (Killed)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fd),
		TEST(test_end_is_seen),
		TEST(test_no_end),
		TEST(test_ended_before),
		TEST(test_signals),
		TEST(test_wait_interrupted),
		TEST(test_ended_is_left_alone),
		TEST(test_others_are_left_alone),
		TEST(test_no_process),
		TEST(test_deaf_file),
		TEST(test_none),
		TEST(test_unwatched),
	};
	int failed = cmocka_run_group_tests_name("reaper", tests, NULL, NULL);

	if (!has_pidfd())
		return failed;
	if (!deny_syscall(SYS_pidfd_open, ENOSYS)) {
		print_message("SKIPPED: pidfd_open() cannot be denied here\n");
		return failed;
	}
	return failed + cmocka_run_group_tests_name("reaper without pidfd", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* How programs start and end, each time in a child: inherited fds and signals, a full disk. */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/loop.h"
#include "base/start.h"

/* Exit status of a child whose check failed: its line, which tells which. */
#define CHECK(condition)                           \
	do {                                       \
		if (!(condition))                  \
			_exit(__LINE__ % 200 + 3); \
	} while (0)

/* Returns the exit status of a child that runs this; 0 if it comes back. */
static int in_child(void (*run)(int arg), int arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		run(arg);
		_exit(0);
	}
	return test_wait_child(pid);
}

static bool is_null(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

/* Starts so; closed: a bit for each standard fd. */
static void start_without(int closed)
{
	int zero = open("/dev/zero", O_RDWR);

	for (int fd = 0; fd < 3; fd++) {
		close(fd);
		if (!(closed & 1 << fd))
			CHECK(dup2(zero, fd) == fd);
	}
	start_program("test", NULL);
	for (int fd = 0; fd < 3; fd++)
		CHECK(fcntl(fd, F_GETFD) == 0 && is_null(fd) == !!(closed & 1 << fd));
	CHECK(open("/dev/zero", O_RDWR) > 2);
}

static void test_inherited_standard_fds_closed(void **state)
{
	for (int closed = 0; closed < 8; closed++)
		assert_int_equal(in_child(start_without, closed), 0);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Tells what was opened by the program itself, for its log: nothing is inherited so. */
static bool has_been_opened(int fd)
{
	return fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

static void close_fds(int arg)
{
	static const int keep[] = { 20, 3, 1000, -1 };
	static char *const argv[] = { (char *)"test", (char *)"--a=/dev/fd/7",
		(char *)"x,y=/proc/self/fd/30,z=/dev/fd/5", (char *)"/dev/fd/", NULL };
	static const int kept[] = { 5, 7, 20, 30, 1000 };

	close(3); /* a name for nothing */
	for (int fd = 4; fd <= 40; fd++)
		CHECK(dup2(0, fd) == fd);
	CHECK(dup2(0, 1000) == 1000 && dup2(0, 1001) == 1001);
	start_program("test", NULL);
	start_close_fds(argv, keep);
	for (int fd = 0; fd <= 1001; fd++) {
		bool wanted = fd < 3;

		for (unsigned i = 0; i < G_N_ELEMENTS(kept); i++)
			wanted |= fd == kept[i];
		CHECK(is_open(fd) == wanted || has_been_opened(fd));
	}
}

static void test_inherited_fds_closed(void **state)
{
	assert_int_equal(in_child(close_fds, 0), 0);
}

static void start_blocked(int arg)
{
	sigset_t all, now;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGCHLD, SIG_IGN);
	start_program("test", (const int[]){ SIGHUP, SIGUSR1, 0 });
	sigprocmask(SIG_SETMASK, NULL, &now);
	for (int i = 1; i < 32; i++)
		CHECK(sigismember(&now, i) == (i == SIGHUP || i == SIGUSR1));
	/* Ignored, it would hide how a child ended. */
	CHECK(in_child(close_fds, 0) == 0);
}

static void test_inherited_signals(void **state)
{
	assert_int_equal(in_child(start_blocked, 0), 0);
}

static void count(void *opaque)
{
	++*(unsigned *)opaque;
}

static void signal_early_and_late(int signum)
{
	struct loop_watch *watch;
	unsigned n = 0;

	start_program("test", (const int[]){ SIGHUP, SIGUSR1, 0 });
	raise(signum);
	watch = loop_watch_signal(signum, count, &n);
	while (n == 0)
		g_main_context_iteration(NULL, TRUE);
	loop_watch_free(watch);
	/* It has its default action, but stays blocked. */
	raise(signum);
	CHECK(n == 1);
}

static void test_signals_early_and_late(void **state)
{
	assert_int_equal(in_child(signal_early_and_late, SIGHUP), 0);
	assert_int_equal(in_child(signal_early_and_late, SIGUSR1), 0);
}

static void signal_ends(int signum)
{
	start_program("test", (const int[]){ SIGHUP, SIGUSR1, 0 });
	raise(signum);
}

/* What hangs while it opens a file can be ended. */
static void test_signals_end_a_start(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT };

	for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
		int status = in_child(signal_ends, signals[i]);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signals[i]);
	}
}

static void hang_up(int arg)
{
	unsigned n = 0;

	signal(SIGHUP, SIG_IGN);
	start_program("test", (const int[]){ SIGHUP, 0 });
	CHECK(loop_watch_signal(SIGHUP, count, &n) == NULL);
	raise(SIGHUP);
}

static void test_signals_nohup(void **state)
{
	assert_int_equal(in_child(hang_up, 0), 0);
}

/* Prints; with arg, it writes, and more than one buffer. */
static void print_to_full_disk(int arg)
{
	CHECK(dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO) == STDOUT_FILENO);
	dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	start_program("test", NULL);
	for (int i = 0; i < arg; i++)
		fputs("text", stdout);
	if (arg > 1)
		fflush(stdout); /* as those do that look at no result */
	exit(0);
}

static void test_full_disk_is_a_failure(void **state)
{
	int status = in_child(print_to_full_disk, 0);

	assert_int_equal(status, 0);
	for (int n = 1; n <= 100000; n += 99999) {
		status = in_child(print_to_full_disk, n);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 1);
	}
}

static void start_with_cores(int arg)
{
	struct rlimit limit;

	CHECK(getrlimit(RLIMIT_CORE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	CHECK(setrlimit(RLIMIT_CORE, &limit) == 0);
	start_program("test", NULL);
	CHECK(getrlimit(RLIMIT_CORE, &limit) == 0);
	CHECK(limit.rlim_cur == 0);
}

static void test_limit_no_core(void **state)
{
	assert_int_equal(in_child(start_with_cores, 0), 0);
}

static int setup(void **state)
{
	/* nohup may run the tests. */
	signal(SIGHUP, SIG_DFL);
	return 0;
}

static int teardown(void **state)
{
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_inherited_standard_fds_closed),
		TEST(test_inherited_fds_closed),
		TEST(test_inherited_signals),
		TEST(test_signals_early_and_late),
		TEST(test_signals_end_a_start),
		TEST(test_signals_nohup),
		TEST(test_full_disk_is_a_failure),
		TEST(test_limit_no_core),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every cmocka test includes first: the headers that cmocka needs before it, fixtures, waits,
 * leak checks, a folder, the log. Failures of the helpers fail the calling test; call them on the
 * test's thread.
 *
 *	struct world { struct test test; ... };
 *	static int setup(void **state)     { ... test_begin(&w->test); ... }
 *	static int teardown(void **state)  { ... test_end(&w->test); ... }
 *	const struct CMUnitTest tests[] = { TEST(test_one), TEST(test_two) };
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A test between the file's own setup() and teardown(), or FIXTURE_setup() and _teardown(). */
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_WITH(fixture, name) \
	cmocka_unit_test_setup_teardown(name, fixture##_setup, fixture##_teardown)

/*
 * Time limits are multiples of what an idle machine needs: test_patience() is 1 there, more under
 * valgrind and the sanitizers, times the environment's VIRTIOD_TEST_PATIENCE (a number).
 */
unsigned test_patience(void);
/* Tells whether valgrind runs this process. It does not follow the programs that a test starts. */
bool test_under_valgrind(void);
/* The monotonic time in µs at which `ms` × patience have passed. */
int64_t test_deadline(unsigned ms);
/* How long any wait below lasts before it fails: nothing that works takes nearly as long. */
#define TEST_WAIT_MS 60000

/* Returns once fd has one of `events`, or hangs up; the test fails if that does not happen. */
void test_wait_fd(int fd, short events);
/* Returns whether fd is readable within `ms` × patience; 0: now. */
bool test_readable(int fd, unsigned ms);
/* Returns the exit status of a child of ours (waitpid()'s), once it has ended. */
int test_wait_child(pid_t pid);

/* Waits for what another thread or process does; the condition is evaluated again and again. */
#define WAIT_UNTIL(condition) TEST_WAIT_(condition, test_wait_turn(deadline_))
/* The same; the condition is evaluated with the mutex locked. */
#define WAIT_UNTIL_LOCKED(mutex, condition) \
	TEST_WAIT_(TEST_LOCKED_(mutex, condition), test_wait_turn(deadline_))
/* The same while the main loop (GLib's default context) runs. */
#define WAIT_IN_LOOP(condition) TEST_WAIT_(condition, test_loop_turn(deadline_))
/*
 * Lets this many µs pass: for tests that break something at an arbitrary moment. Not to wait for
 * anything: that is what the macros above are for.
 */
void test_pause(unsigned us);
/* Runs all that is ready in the main loop, and does not wait. */
void test_run_loop(void);

#define TEST_LOCKED_(mutex, condition)       \
	({                                   \
		pthread_mutex_lock(mutex);   \
		bool met_ = (condition);     \
		pthread_mutex_unlock(mutex); \
		met_;                        \
	})
#define TEST_WAIT_(condition, turn)                                         \
	do {                                                                \
		int64_t deadline_ = test_deadline(TEST_WAIT_MS);            \
		while (!(condition))                                        \
			if (!(turn))                                        \
				fail_msg("waited in vain: %s", #condition); \
	} while (0)
/* One round of waiting; false: the deadline has passed. For the macros above. */
bool test_wait_turn(int64_t deadline);
bool test_loop_turn(int64_t deadline);

/* Returns how many file descriptors are open: a test compares before and after. */
unsigned count_fds(void);

/* What a fixture needs; embed it in the test's own struct. */
struct test {
	unsigned n_fds;
	char *dir; /* test_path() makes it */
	GPtrArray *strings;
};

/* Counts the fds, and collects log lines from now on (on stderr too with VIRTIOD_TEST_LOG set). */
void test_begin(struct test *t);
/* Removes the folder and what is in it, stops collecting; fails if an fd is open that was not. */
void test_end(struct test *t);
/* The fixture of tests that need no more: TEST_WITH(plain, name); *state is the struct test. */
int plain_setup(void **state);
int plain_teardown(void **state);
/* Returns the path of this name in a folder of the test's own; valid until test_end(). */
char *test_path(struct test *t, const char *name);

/*
 * The log lines since test_begin() or test_log_clear(), which may come from any thread: whether
 * one contains these words, their number, and a copy of all, each with a newline (the caller's).
 */
bool test_logged(const char *words);
unsigned test_log_lines(void);
char *test_log(void);
void test_log_clear(void);
/* For tests without a fixture whose log lines do not matter. */
void test_log_discard(void);

/* Fails unless there is an error and its message contains the words; clears it. */
void assert_error_has(GError **error, const char *words);

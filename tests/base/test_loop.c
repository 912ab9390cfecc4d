/* SPDX-License-Identifier: Apache-2.0 */
/* Watches on the default context, one round of it at a time: no sleeps. */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/epoll.h>

#include "base/loop.h"
#include "base/util.h"

struct loop_test {
	int pipe[2];
	struct loop_watch *watch;
	unsigned calls;
	uint32_t revents;
	unsigned n_fds;
};

static void count(void *opaque)
{
	struct loop_test *w = opaque;

	w->calls++;
}

static void count_fd(void *opaque, uint32_t revents)
{
	struct loop_test *w = opaque;

	w->calls++;
	w->revents = revents;
}

static void count_and_free(void *opaque)
{
	struct loop_test *w = opaque;

	w->calls++;
	loop_watch_free(w->watch);
	w->watch = NULL;
}

static void count_and_free_fd(void *opaque, uint32_t revents)
{
	count_and_free(opaque);
}

static unsigned count_threads(void)
{
	g_autoptr(GDir) dir = g_dir_open("/proc/self/task", 0, NULL);
	unsigned n = 0;

	while (g_dir_read_name(dir))
		n++;
	return n;
}

/* Runs one round of the loop: true if something was dispatched. */
static bool round_of_loop(void)
{
	return g_main_context_iteration(NULL, FALSE);
}

/* Warms up: GLib makes a wake-up fd at first use, and keeps it. */
static int warm_up(void **state)
{
	struct loop_watch *watch = loop_watch_soon(count, &(struct loop_test){ 0 });

	while (round_of_loop())
		;
	loop_watch_free(watch);
	return 0;
}

static int setup(void **state)
{
	struct loop_test *w = g_new0(struct loop_test, 1);

	w->n_fds = count_fds();
	if (pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct loop_test *w = *state;

	loop_watch_free(w->watch);
	fd_close(&w->pipe[0]);
	fd_close(&w->pipe[1]);
	assert_false(round_of_loop());
	assert_int_equal(count_fds(), w->n_fds);
	g_free(w);
	return 0;
}

static void test_fd(void **state)
{
	struct loop_test *w = *state;
	char byte;

	w->watch = loop_watch_fd(w->pipe[0], EPOLLIN, count_fd, w);
	assert_false(round_of_loop());
	assert_int_equal(write(w->pipe[1], "x", 1), 1);
	assert_true(round_of_loop());
	assert_true(round_of_loop()); /* level-triggered */
	assert_int_equal(w->calls, 2);
	assert_int_equal(w->revents, EPOLLIN);
	assert_int_equal(read(w->pipe[0], &byte, 1), 1);
	assert_false(round_of_loop());
	assert_int_equal(w->calls, 2);
}

static void test_fd_out(void **state)
{
	struct loop_test *w = *state;

	w->watch = loop_watch_fd(w->pipe[1], EPOLLOUT, count_fd, w);
	assert_true(round_of_loop());
	assert_int_equal(w->revents, EPOLLOUT);
}

/* Errors and hang-ups come unasked, even with no events at all. */
static void test_fd_hup(void **state)
{
	struct loop_test *w = *state;

	w->watch = loop_watch_fd(w->pipe[0], 0, count_fd, w);
	assert_int_equal(write(w->pipe[1], "x", 1), 1);
	assert_false(round_of_loop());
	fd_close(&w->pipe[1]);
	assert_true(round_of_loop());
	assert_int_equal(w->revents, EPOLLHUP);
}

static void test_fd_err(void **state)
{
	struct loop_test *w = *state;

	w->watch = loop_watch_fd(w->pipe[1], 0, count_fd, w);
	assert_false(round_of_loop());
	fd_close(&w->pipe[0]);
	assert_true(round_of_loop());
	assert_int_equal(w->revents, EPOLLERR);
}

static void test_fd_frees_itself(void **state)
{
	struct loop_test *w = *state;

	w->watch = loop_watch_fd(w->pipe[1], EPOLLOUT, count_and_free_fd, w);
	assert_true(round_of_loop());
	assert_false(round_of_loop());
	assert_int_equal(w->calls, 1);
}

/* Two watches that are both ready: the one that runs first frees the other, which is not called. */
static struct loop_watch *pair[2];
static unsigned pair_calls;

static void free_both(void *opaque, uint32_t revents)
{
	pair_calls++;
	for (unsigned i = 0; i < 2; i++) {
		loop_watch_free(pair[i]);
		pair[i] = NULL;
	}
}

static void test_fd_frees_the_other(void **state)
{
	struct loop_test *w = *state;

	pair_calls = 0;
	pair[0] = loop_watch_fd(w->pipe[1], EPOLLOUT, free_both, NULL);
	pair[1] = loop_watch_fd(w->pipe[1], EPOLLOUT, free_both, NULL);
	assert_true(round_of_loop());
	assert_false(round_of_loop());
	assert_int_equal(pair_calls, 1);
}

static void test_signal(void **state)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2 };
	struct loop_test *w = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
		signal(signals[i], SIG_DFL); /* the tests may run under nohup */
		w->watch = loop_watch_signal(signals[i], count, w);
		for (unsigned n = 1; n <= 2; n++) {
			raise(signals[i]);
			round_of_loop();
			assert_int_equal(w->calls, n);
		}
		loop_watch_free(w->watch);
		w->watch = NULL;
		w->calls = 0;
	}
}

static void test_signal_frees_itself(void **state)
{
	struct loop_test *w = *state;

	w->watch = loop_watch_signal(SIGUSR1, count_and_free, w);
	raise(SIGUSR1);
	round_of_loop();
	assert_int_equal(w->calls, 1);
	assert_null(w->watch);
}

/* As GLib's own watches would. */
static void test_signal_makes_no_thread(void **state)
{
	struct loop_test *w = *state;
	unsigned before = count_threads(); /* a sanitizer has some */

	w->watch = loop_watch_signal(SIGUSR1, count, w);
	assert_int_equal(count_threads(), before);
}

static void test_timer(void **state)
{
	struct loop_test *w = *state;
	gint64 start = g_get_monotonic_time();

	w->watch = loop_watch_timer(20, count, w);
	while (w->calls < 3)
		g_main_context_iteration(NULL, TRUE);
	/* GLib counts in whole milliseconds. */
	assert_true(g_get_monotonic_time() - start >= 3 * 19000);
}

static void test_timer_frees_itself(void **state)
{
	struct loop_test *w = *state;

	w->watch = loop_watch_timer(1, count_and_free, w);
	while (!w->calls)
		g_main_context_iteration(NULL, TRUE);
	assert_null(w->watch);
}

static void test_soon(void **state)
{
	struct loop_test *w = *state;

	w->watch = loop_watch_soon(count, w);
	assert_int_equal(w->calls, 0);
	assert_true(round_of_loop());
	assert_false(round_of_loop());
	assert_int_equal(w->calls, 1);
}

static void test_soon_freed_before(void **state)
{
	struct loop_test *w = *state;

	loop_watch_free(loop_watch_soon(count, w));
	assert_false(round_of_loop());
	assert_int_equal(w->calls, 0);
}

static void test_soon_frees_itself(void **state)
{
	struct loop_test *w = *state;

	w->watch = loop_watch_soon(count_and_free, w);
	assert_true(round_of_loop());
	assert_int_equal(w->calls, 1);
	assert_null(w->watch);
}

/* An fd that is always ready does not keep it from its turn. */
static void test_soon_beside_busy_fd(void **state)
{
	struct loop_test *w = *state, busy = { 0 };
	struct loop_watch *watch = loop_watch_fd(w->pipe[1], EPOLLOUT, count_fd, &busy);

	assert_true(round_of_loop());
	w->watch = loop_watch_soon(count, w);
	assert_true(round_of_loop());
	assert_true(round_of_loop());
	assert_int_equal(w->calls, 1);
	assert_int_equal(busy.calls, 3);
	loop_watch_free(watch);
}

static void test_free_null(void **state)
{
	loop_watch_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fd),
		TEST(test_fd_out),
		TEST(test_fd_hup),
		TEST(test_fd_err),
		TEST(test_fd_frees_itself),
		TEST(test_fd_frees_the_other),
		TEST(test_signal),
		TEST(test_signal_frees_itself),
		TEST(test_signal_makes_no_thread),
		TEST(test_timer),
		TEST(test_timer_frees_itself),
		TEST(test_soon),
		TEST(test_soon_freed_before),
		TEST(test_soon_frees_itself),
		TEST(test_soon_beside_busy_fd),
		TEST(test_free_null),
	};

	return cmocka_run_group_tests(tests, warm_up, NULL);
}

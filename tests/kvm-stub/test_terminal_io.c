/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal's input and output: a guest that does not read, files, slow readers. */
#include "terminal_test.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/util.h"

/* Makes standard input a pipe for as long; *end: to write to. Returns what it was. */
static int pipe_in(int *end)
{
	int fds[2], was = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	dup2(fds[0], STDIN_FILENO);
	close(fds[0]);
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	*end = fds[1];
	return was;
}

static void pipe_out(struct terminal_test *w, int was)
{
	g_clear_pointer(&w->t, terminal_free);
	dup2(was, STDIN_FILENO);
	close(was);
}

static void *resume(void *opaque)
{
	struct terminal_test *w = opaque;

	w->room = 1000;
	terminal_resume(w->t);
	return NULL;
}

static void test_guest_that_does_not_read(void **state)
{
	struct terminal_test *w = *state;
	g_autoptr(GString) sent = g_string_new(NULL);
	unsigned patience = 0;
	int end, was = pipe_in(&end);
	pthread_t thread;

	w->room = 16;
	terminal_make(w, NULL);
	/* Until nothing more goes in: what is kept has a bound. */
	while (patience < 3 && sent->len < 1000000) {
		uint8_t byte = 'a' + sent->len % 26;

		if (write(end, &byte, 1) == 1) {
			g_string_append_c(sent, byte);
			patience = 0;
		} else {
			patience++;
		}
		if (patience || sent->len % 1000 == 0)
			test_run_loop();
	}
	assert_true(sent->len >= 65536 && sent->len < 500000);
	assert_int_equal(w->typed->len, 16);
	/* From another thread, again and again: all comes, and in order. */
	while (w->typed->len < sent->len) {
		pthread_create(&thread, NULL, resume, w);
		pthread_join(thread, NULL);
		test_run_loop();
	}
	assert_string_equal(w->typed->str, sent->str);
	/* Then all goes on. */
	w->room = SIZE_MAX;
	assert_int_equal(write(end, "more", 4), 4);
	test_run_loop();
	assert_string_equal(w->typed->str + sent->len, "more");
	close(end);
	pipe_out(w, was);
}

static void test_end_of_input(void **state)
{
	struct terminal_test *w = *state;
	int end, was = pipe_in(&end);

	terminal_make(w, NULL);
	assert_int_equal(write(end, "last", 4), 4);
	close(end);
	test_run_loop();
	assert_string_equal(w->typed->str, "last");
	assert_false(g_main_context_pending(NULL));
	pipe_out(w, was);
}

static void test_file(void **state)
{
	struct terminal_test *w = *state;
	g_autofree char *text = NULL;
	g_autofree char *below = g_build_filename(w->path, "x", NULL);
	GError *error = NULL;

	assert_true(g_file_set_contents(w->path, "of the last time", -1, NULL));
	terminal_make(w, w->path);
	terminal_output(w->t, "one\r\n", 5);
	terminal_output(w->t, "two", 3);
	test_run_loop();
	assert_true(g_file_get_contents(w->path, &text, NULL, NULL));
	assert_string_equal(text, "one\r\ntwo");
	assert_int_equal(test_log_lines(), 0);

	assert_null(terminal_new(below, &terminal_test_ops, w, &error));
	assert_error_has(&error, below);
}

static void test_full_disk(void **state)
{
	struct terminal_test *w = *state;

	terminal_make(w, "/dev/full");
	terminal_output(w->t, "one", 3);
	terminal_output(w->t, "two", 3);
	g_clear_pointer(&w->t, terminal_free);
	assert_true(test_logged("cannot be written: No space left"));
	assert_true(test_logged("6 bytes of the guest's output were dropped"));
}

/* Writes the bytes n times; returns how long that takes, in ms. */
static int64_t output_ms(struct terminal_test *w, const char *bytes, size_t len, unsigned n)
{
	int64_t begin = g_get_monotonic_time();

	for (unsigned i = 0; i < n; i++)
		terminal_output(w->t, bytes, len);
	return (g_get_monotonic_time() - begin) / 1000;
}

static void test_reader_that_stops(void **state)
{
	struct terminal_test *w = *state;
	g_autofree char *lots = g_strnfill(100000, 'x');
	g_autofree char *got = g_malloc0(100000);
	g_autofree char *message = NULL;
	autofd reader = -1;
	ssize_t n, all = 0;

	assert_int_equal(mkfifo(w->path, 0600), 0);
	assert_null(terminal_new(w->path, &terminal_test_ops, w, NULL));
	reader = open(w->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	terminal_make(w, w->path);
	assert_true(output_ms(w, lots, 100000, 1) >= 900);
	/* It waits once: 20 times a second would be 20 seconds. */
	assert_true(output_ms(w, "x", 1, 20) < 20 * 900);
	while ((n = read(reader, got, 100000)) > 0)
		all += n;
	assert_true(all > 4096 && all < 100000);
	assert_int_equal(test_log_lines(), 0);
	terminal_output(w->t, "back", 4);
	assert_int_equal(read(reader, got, 100000), 4);
	assert_memory_equal(got, "back", 4);
	message = g_strdup_printf(
		"%d bytes of the guest's output were dropped: the reader had stopped",
		(int)(100000 - all + 20));
	assert_true(test_logged(message));
}

struct slow_reader {
	struct terminal_test *w;
	const char *bytes;
	size_t len;
	bool done; /* atomic */
};

static void *write_all(void *opaque)
{
	struct slow_reader *r = opaque;

	terminal_output(r->w->t, r->bytes, r->len);
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static int queued(int fd)
{
	int n = 0;

	ioctl(fd, FIONREAD, &n);
	return n;
}

/* Reads a page whenever the pipe is at least half full, so that the writer is always ahead. */
static void test_slow_reader_loses_nothing(void **state)
{
	struct terminal_test *w = *state;
	g_autofree char *lots = g_strnfill(150000, 'x');
	g_autofree char *buf = g_malloc(4096);
	struct slow_reader r = { .w = w, .bytes = lots, .len = 150000 };
	autofd reader = -1;
	pthread_t thread;
	ssize_t n, all = 0;

	assert_int_equal(mkfifo(w->path, 0600), 0);
	reader = open(w->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	terminal_make(w, w->path);
	pthread_create(&thread, NULL, write_all, &r);
	while (!__atomic_load_n(&r.done, __ATOMIC_ACQUIRE)) {
		WAIT_UNTIL(queued(reader) > 32768 || __atomic_load_n(&r.done, __ATOMIC_ACQUIRE));
		n = read(reader, buf, 4096);
		all += MAX(n, 0);
	}
	pthread_join(thread, NULL);
	g_clear_pointer(&w->t, terminal_free);
	while ((n = read(reader, buf, 4096)) > 0)
		all += n;
	assert_int_equal(all, 150000);
	assert_int_equal(test_log_lines(), 0);
}

/* SIGTERM ends a vCPU's wait, and lets none begin. */
static void test_terminal_never_delays_the_end(void **state)
{
	struct terminal_test *w = *state;
	g_autofree char *lots = g_strnfill(100000, 'x');
	struct slow_reader r = { .w = w, .bytes = lots, .len = 100000 };
	autofd reader = -1;
	pthread_t thread;

	assert_int_equal(mkfifo(w->path, 0600), 0);
	reader = open(w->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	terminal_make(w, w->path);
	pthread_create(&thread, NULL, write_all, &r);
	WAIT_UNTIL(queued(reader) == 65536);
	terminal_end(w->t);
	pthread_join(thread, NULL);
	assert_true(output_ms(w, lots, 100000, 1) < 900);
}

/* Standard output is a terminal that is not read and shared with others: O_NONBLOCK is not set. */
static void test_terminal_never_blocks(void **state)
{
	struct terminal_test *w = *state;
	g_autofree char *lots = g_strnfill(1 << 20, 'x');
	int saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3), user, pty, end, was = pipe_in(&end);

	/* Newlines become two bytes, so that a write that finds some room does not fit. */
	for (unsigned i = 0; i < 1 << 20; i += 7)
		lots[i] = '\n';
	fflush(stdout);
	assert_int_equal(openpty(&user, &pty, NULL, NULL, NULL), 0);
	dup2(pty, STDOUT_FILENO);
	terminal_make(w, NULL);
	terminal_output(w->t, lots, 1 << 20);
	terminal_output(w->t, "more", 4);
	pipe_out(w, was);
	dup2(saved, STDOUT_FILENO);
	assert_false(fcntl(pty, F_GETFL) & O_NONBLOCK);
	assert_true(
		test_logged("bytes of the guest's output were dropped: the reader had stopped"));
	close(saved);
	close(user);
	close(pty);
	close(end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(terminal, test_guest_that_does_not_read),
		TEST_WITH(terminal, test_end_of_input),
		TEST_WITH(terminal, test_file),
		TEST_WITH(terminal, test_full_disk),
		TEST_WITH(terminal, test_reader_that_stops),
		TEST_WITH(terminal, test_slow_reader_loses_nothing),
		TEST_WITH(terminal, test_terminal_never_blocks),
		TEST_WITH(terminal, test_terminal_never_delays_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

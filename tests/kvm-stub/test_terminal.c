/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal: keys, raw mode and its end, files, and readers that do not read. */
#include "tests/lib/test.h"

#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/log.h"
#include "base/util.h"
#include "kvm-stub/machine/terminal.h"

#define WAIT_MS 60000

struct world {
	struct terminal *t;
	GString *typed;
	size_t room; /* what typed() takes */
	bool left;
	char *dir, *path;
	GString *log;
	GError *error;
	unsigned n_fds;
};

static size_t on_typed(void *opaque, const void *bytes, size_t len)
{
	struct world *w = opaque;

	len = MIN(len, w->room);
	w->room -= len;
	g_string_append_len(w->typed, bytes, len);
	return len;
}

static void on_leave(void *opaque)
{
	struct world *w = opaque;

	w->left = true;
}

static const struct terminal_ops ops = { on_typed, on_leave };

static void on_line(enum log_level level, const char *line, void *opaque)
{
	struct world *w = opaque;

	g_string_append_printf(w->log, "%s\n", line);
}

static int setup(void **state)
{
	struct world *w = g_new0(struct world, 1);

	g_main_context_iteration(NULL, FALSE); /* its fds are not ours to count */
	w->n_fds = count_fds();
	w->typed = g_string_new(NULL);
	w->log = g_string_new(NULL);
	w->room = SIZE_MAX;
	w->dir = g_dir_make_tmp("virtiod-terminal-XXXXXX", NULL);
	w->path = g_build_filename(w->dir, "out", NULL);
	log_set_sink(on_line, w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	terminal_free(w->t);
	log_set_sink(NULL, NULL);
	g_unlink(w->path);
	assert_int_equal(g_rmdir(w->dir), 0);
	assert_int_equal(count_fds(), w->n_fds);
	g_string_free(w->typed, TRUE);
	g_string_free(w->log, TRUE);
	g_clear_error(&w->error);
	g_free(w->path);
	g_free(w->dir);
	g_free(w);
	return 0;
}

static void make(struct world *w, const char *path)
{
	w->t = terminal_new(path, &ops, w, &w->error);
	if (!w->t)
		fail_msg("%s", w->error->message);
}

/* A user's end of a pty, and a program that runs on the other. */
struct session {
	int user, pty;
	struct termios before;
	pid_t pid;
};

/* What such a program does; it is never to return. */
typedef void (*program)(struct world *w, int how);

static void start(struct session *s, struct world *w, program run, int how)
{
	assert_int_equal(openpty(&s->user, &s->pty, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(s->pty, &s->before), 0);
	assert_true(s->before.c_lflag & ICANON);
	fflush(NULL);
	s->pid = fork();
	if (s->pid == 0) {
		setsid();
		dup2(s->pty, STDIN_FILENO);
		dup2(s->pty, STDOUT_FILENO);
		/* Sanitizers have handlers of their own. */
		for (int i = 1; i < NSIG; i++)
			signal(i, SIG_DFL);
		run(w, how);
		_exit(99);
	}
}

static struct termios mode(const struct session *s)
{
	struct termios now;

	assert_int_equal(tcgetattr(s->pty, &now), 0);
	return now;
}

static void wait_until_raw(const struct session *s)
{
	for (unsigned i = 0; i < WAIT_MS && mode(s).c_lflag & ICANON; i++)
		g_usleep(1000);
	assert_int_equal(mode(s).c_lflag & (ICANON | ECHO | ISIG), 0);
}

static int wait_for_end(struct session *s)
{
	int status;

	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	close(s->user);
	close(s->pty);
	return status;
}

/* Waits for its end; the terminal is as it was. */
static int finish(struct session *s)
{
	struct termios now;
	siginfo_t info;

	assert_int_equal(waitid(P_PID, s->pid, &info, WEXITED | WNOWAIT), 0);
	now = mode(s);
	assert_int_equal(now.c_iflag, s->before.c_iflag);
	assert_int_equal(now.c_oflag, s->before.c_oflag);
	assert_int_equal(now.c_cflag, s->before.c_cflag);
	assert_int_equal(now.c_lflag, s->before.c_lflag);
	assert_memory_equal(now.c_cc, s->before.c_cc, sizeof(now.c_cc));
	return wait_for_end(s);
}

static void run_echo(struct world *w, int how)
{
	make(w, NULL);
	while (!w->left)
		g_main_context_iteration(NULL, TRUE);
	terminal_output(w->t, "typed: ", 7);
	terminal_output(w->t, w->typed->str, w->typed->len);
	/* Log lines end in this alone. */
	terminal_output(w->t, "\n", 1);
	terminal_free(w->t);
	_exit(how);
}

static void test_keys(void **state)
{
	static const char keys[] = "ab\3\r\1\1c\1zd\1"
				   "\1x\1xnot this";
	static const char expected[] = "typed: ab\3\r\1cd\1x\r\n";
	char got[64] = { 0 };
	struct session s;
	size_t n = 0;

	start(&s, *state, run_echo, 7);
	wait_until_raw(&s);
	assert_int_equal(write(s.user, keys, sizeof(keys) - 1), sizeof(keys) - 1);
	while (n < sizeof(expected) - 1) {
		struct pollfd pfd = { .fd = s.user, .events = POLLIN };

		assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
		n += read(s.user, got + n, sizeof(got) - 1 - n);
	}
	assert_string_equal(got, expected);
	assert_int_equal(finish(&s), W_EXITCODE(7, 0));
}

/* Or the test would find nothing to restore. */
static void make_raw(struct world *w)
{
	struct termios now;

	make(w, NULL);
	if (tcgetattr(STDIN_FILENO, &now) < 0 || now.c_lflag & ICANON)
		_exit(98);
}

static void run_signal(struct world *w, int how)
{
	make_raw(w);
	if (how == SIGABRT)
		abort();
	kill(getpid(), how);
	for (;;)
		g_main_context_iteration(NULL, TRUE);
}

static void test_fatal_signals(void **state)
{
	static const int signals[] = { SIGSEGV, SIGABRT, SIGBUS, SIGTERM, SIGINT, SIGHUP, SIGPIPE };

	for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
		struct session s;

		start(&s, *state, run_signal, signals[i]);
		assert_int_equal(WTERMSIG(finish(&s)), signals[i]);
	}
}

static void run_fault(struct world *w, int how)
{
	make_raw(w);
	*(volatile int *)(uintptr_t)how = 1;
}

static void run_exit(struct world *w, int how)
{
	make_raw(w);
	exit(how);
}

static void test_other_exits(void **state)
{
	struct session s;

	start(&s, *state, run_fault, 8);
	assert_int_equal(WTERMSIG(finish(&s)), SIGSEGV);
	start(&s, *state, run_exit, 3);
	assert_int_equal(finish(&s), W_EXITCODE(3, 0));
}

static void on_term(int signum)
{
	_exit(5);
}

static void run_own_handler(struct world *w, int how)
{
	signal(SIGTERM, on_term);
	make(w, NULL);
	terminal_free(w->t);
	make(w, NULL);
	terminal_free(w->t);
	if (signal(SIGSEGV, SIG_DFL) != SIG_DFL)
		_exit(1);
	raise(SIGTERM);
}

static void test_handlers_of_others_stay(void **state)
{
	struct session s;

	start(&s, *state, run_own_handler, 0);
	assert_int_equal(finish(&s), W_EXITCODE(5, 0));
}

/* As a job started with &. */
static void run_in_background(struct world *w, int how)
{
	struct termios now;
	int status = 0;
	pid_t pid;

	if (ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
		_exit(97);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		make(w, NULL);
		if (strstr(w->log->str, "background") && !g_main_context_iteration(NULL, FALSE))
			terminal_free(w->t);
		_exit(4);
	}
	waitpid(pid, &status, WUNTRACED);
	/* Its end as the session's leader hangs the terminal up: nobody can look afterwards. */
	if (tcgetattr(STDIN_FILENO, &now) < 0 || !(now.c_lflag & ICANON))
		_exit(96);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void test_background(void **state)
{
	struct session s;

	start(&s, *state, run_in_background, 0);
	assert_int_equal(wait_for_end(&s), W_EXITCODE(4, 0));
}

/* In the foreground at first, and not any more at its end. */
static void run_into_background(struct world *w, int how)
{
	struct termios now;
	pid_t pid;

	if (ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
		_exit(97);
	make_raw(w);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	setpgid(pid, pid);
	if (tcsetpgrp(STDIN_FILENO, pid) < 0)
		_exit(96);
	terminal_free(w->t);
	kill(pid, SIGKILL);
	_exit(tcgetattr(STDIN_FILENO, &now) == 0 && now.c_lflag & ICANON ? how : 95);
}

static void test_into_background(void **state)
{
	struct session s;

	start(&s, *state, run_into_background, 6);
	assert_int_equal(wait_for_end(&s), W_EXITCODE(6, 0));
}

/* Standard input is a pipe for as long; *end: to write to. Returns what it was. */
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

static void pipe_out(struct world *w, int was)
{
	g_clear_pointer(&w->t, terminal_free);
	dup2(was, STDIN_FILENO);
	close(was);
}

static void iterate(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static void *resume(void *opaque)
{
	struct world *w = opaque;

	w->room = 1000;
	terminal_resume(w->t);
	return NULL;
}

static void test_guest_that_does_not_read(void **state)
{
	struct world *w = *state;
	g_autoptr(GString) sent = g_string_new(NULL);
	unsigned patience = 0;
	int end, was = pipe_in(&end);
	pthread_t thread;

	w->room = 16;
	make(w, NULL);
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
			iterate();
	}
	assert_true(sent->len >= 65536 && sent->len < 500000);
	assert_int_equal(w->typed->len, 16);
	/* From another thread, again and again: all comes, and in order. */
	while (w->typed->len < sent->len) {
		pthread_create(&thread, NULL, resume, w);
		pthread_join(thread, NULL);
		iterate();
	}
	assert_string_equal(w->typed->str, sent->str);
	/* Then all goes on. */
	w->room = SIZE_MAX;
	assert_int_equal(write(end, "more", 4), 4);
	iterate();
	assert_string_equal(w->typed->str + sent->len, "more");
	close(end);
	pipe_out(w, was);
}

static void test_end_of_input(void **state)
{
	struct world *w = *state;
	int end, was = pipe_in(&end);

	make(w, NULL);
	assert_int_equal(write(end, "last", 4), 4);
	close(end);
	iterate();
	assert_string_equal(w->typed->str, "last");
	assert_false(g_main_context_pending(NULL));
	pipe_out(w, was);
}

static void test_file(void **state)
{
	struct world *w = *state;
	g_autofree char *text = NULL;
	g_autofree char *below = g_build_filename(w->path, "x", NULL);

	assert_true(g_file_set_contents(w->path, "of the last time", -1, NULL));
	make(w, w->path);
	terminal_output(w->t, "one\r\n", 5);
	terminal_output(w->t, "two", 3);
	iterate();
	assert_true(g_file_get_contents(w->path, &text, NULL, NULL));
	assert_string_equal(text, "one\r\ntwo");
	assert_string_equal(w->log->str, "");

	assert_null(terminal_new(below, &ops, w, &w->error));
	assert_non_null(strstr(w->error->message, below));
}

static void test_full_disk(void **state)
{
	struct world *w = *state;

	make(w, "/dev/full");
	terminal_output(w->t, "one", 3);
	terminal_output(w->t, "two", 3);
	g_clear_pointer(&w->t, terminal_free);
	assert_non_null(strstr(w->log->str, "cannot be written: No space left"));
	assert_non_null(strstr(w->log->str, "6 bytes of the guest's output were dropped"));
}

static int64_t output_ms(struct world *w, const char *bytes, size_t len)
{
	int64_t begin = g_get_monotonic_time();

	terminal_output(w->t, bytes, len);
	return (g_get_monotonic_time() - begin) / 1000;
}

static void test_reader_that_stops(void **state)
{
	struct world *w = *state;
	g_autofree char *lots = g_strnfill(100000, 'x');
	g_autofree char *got = g_malloc0(100000);
	autofd reader = -1;
	int64_t took;
	ssize_t n, all = 0;

	assert_int_equal(mkfifo(w->path, 0600), 0);
	assert_null(terminal_new(w->path, &ops, w, &w->error));
	reader = open(w->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	make(w, w->path);
	took = output_ms(w, lots, 100000);
	assert_in_range(took, 900, WAIT_MS);
	/* Once is enough. */
	assert_in_range(output_ms(w, "lost", 4), 0, 899);
	while ((n = read(reader, got, 100000)) > 0)
		all += n;
	assert_true(all > 4096 && all < 100000);
	assert_string_equal(w->log->str, "");
	terminal_output(w->t, "back", 4);
	assert_int_equal(read(reader, got, 100000), 4);
	assert_memory_equal(got, "back", 4);
	g_free(got);
	got = g_strdup_printf("%d bytes of the guest's output were dropped: nobody took them",
		(int)(100000 - all + 4));
	assert_non_null(strstr(w->log->str, got));
}

static void *read_slowly(void *opaque)
{
	int fd = *(int *)opaque;
	g_autofree char *buf = g_malloc(4096);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	intptr_t all = 0;
	ssize_t n;

	do {
		g_usleep(20000);
		poll(&pfd, 1, WAIT_MS);
		n = read(fd, buf, 4096);
		all += n;
	} while (n > 0);
	return (void *)all;
}

static void test_slow_reader_loses_nothing(void **state)
{
	struct world *w = *state;
	g_autofree char *lots = g_strnfill(150000, 'x');
	autofd reader = -1;
	pthread_t thread;
	void *all;

	assert_int_equal(mkfifo(w->path, 0600), 0);
	reader = open(w->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	make(w, w->path);
	pthread_create(&thread, NULL, read_slowly, &reader);
	terminal_output(w->t, lots, 150000);
	g_clear_pointer(&w->t, terminal_free);
	pthread_join(thread, &all);
	assert_int_equal((intptr_t)all, 150000);
	assert_string_equal(w->log->str, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keys),
		TEST(test_fatal_signals),
		TEST(test_other_exits),
		TEST(test_handlers_of_others_stay),
		TEST(test_background),
		TEST(test_into_background),
		TEST(test_guest_that_does_not_read),
		TEST(test_end_of_input),
		TEST(test_file),
		TEST(test_full_disk),
		TEST(test_reader_that_stops),
		TEST(test_slow_reader_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

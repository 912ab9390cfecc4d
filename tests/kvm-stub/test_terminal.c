/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal on a pty: keys, raw mode, and that it is restored however the program ends. */
#include "terminal_test.h"

#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

/* A user's end of a pty, and a program that runs on the other. */
struct session {
	int user, pty;
	struct termios before;
	pid_t pid;
};

/* What such a program does; it is never to return. */
typedef void (*program)(struct terminal_test *w, int how);

static void start(struct session *s, struct terminal_test *w, program run, int how)
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
	WAIT_UNTIL(!(mode(s).c_lflag & ICANON));
	assert_int_equal(mode(s).c_lflag & (ICANON | ECHO | ISIG), 0);
}

static int wait_for_end(struct session *s)
{
	int status = test_wait_child(s->pid);

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

static void run_echo(struct terminal_test *w, int how)
{
	terminal_make(w, NULL);
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
		test_wait_fd(s.user, POLLIN);
		n += read(s.user, got + n, sizeof(got) - 1 - n);
	}
	assert_string_equal(got, expected);
	assert_int_equal(finish(&s), W_EXITCODE(7, 0));
}

/* Makes it raw: or the test would find nothing to restore. */
static void make_raw(struct terminal_test *w)
{
	struct termios now;

	terminal_make(w, NULL);
	if (tcgetattr(STDIN_FILENO, &now) < 0 || now.c_lflag & ICANON)
		_exit(98);
}

static void run_signal(struct terminal_test *w, int how)
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

static void run_fault(struct terminal_test *w, int how)
{
	make_raw(w);
	*(volatile int *)(uintptr_t)how = 1;
}

static void run_exit(struct terminal_test *w, int how)
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

static void run_own_handler(struct terminal_test *w, int how)
{
	signal(SIGTERM, on_term);
	terminal_make(w, NULL);
	terminal_free(w->t);
	terminal_make(w, NULL);
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

/* Runs as a job started with &. */
static void run_in_background(struct terminal_test *w, int how)
{
	struct termios now;
	int status = 0;
	pid_t pid;

	if (ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
		_exit(97);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		terminal_make(w, NULL);
		if (test_logged("background") && !g_main_context_iteration(NULL, FALSE))
			terminal_free(w->t);
		_exit(4);
	}
	waitpid(pid, &status, WUNTRACED);
	/* Its end as the session's leader hangs the terminal up: no test can look afterwards. */
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

/* Runs in the foreground at first, and not any more at its end. */
static void run_into_background(struct terminal_test *w, int how)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(terminal, test_keys),
		TEST_WITH(terminal, test_fatal_signals),
		TEST_WITH(terminal, test_other_exits),
		TEST_WITH(terminal, test_handlers_of_others_stay),
		TEST_WITH(terminal, test_background),
		TEST_WITH(terminal, test_into_background),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

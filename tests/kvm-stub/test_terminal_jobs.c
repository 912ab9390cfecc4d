/* SPDX-License-Identifier: Apache-2.0 */
/* Job control: a terminal that was stopped and continued, in the foreground and the background. */
#include "terminal_test.h"

#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

/* Exit status of the shell if a step failed: its line. */
#define CHECK(condition)                           \
	do {                                       \
		if (!(condition))                  \
			_exit(__LINE__ % 200 + 3); \
	} while (0)

static bool is_raw(void)
{
	struct termios now;

	return tcgetattr(STDIN_FILENO, &now) == 0 && !(now.c_lflag & ICANON);
}

/* Starts a program with this terminal, as a job of its own in the background. */
static pid_t start_job(struct terminal_test *w)
{
	pid_t pid = fork();

	setpgid(pid, pid); /* pid is 0 in the job itself */
	if (pid)
		return pid;
	signal(SIGTTOU, SIG_DFL);
	terminal_make(w, NULL);
	while (!w->left)
		g_main_context_iteration(NULL, TRUE);
	terminal_free(w->t);
	_exit(0);
}

static void set_foreground(pid_t group)
{
	CHECK(tcsetpgrp(STDIN_FILENO, group) == 0);
}

static void wait_until_raw(void)
{
	WAIT_UNTIL(is_raw());
}

static void stop(pid_t pid, int signum)
{
	int status;

	CHECK(kill(pid, signum) == 0);
	CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	set_foreground(getpgrp());
}

/* Does what a user's shell does; user: the other end of the terminal. */
static void run_shell(struct terminal_test *w, int user)
{
	struct termios cooked;
	int status;
	pid_t pid;

	CHECK(ioctl(STDIN_FILENO, TIOCSCTTY, 0) == 0);
	signal(SIGTTOU, SIG_IGN); /* as shells do */
	CHECK(tcgetattr(STDIN_FILENO, &cooked) == 0 && cooked.c_lflag & ICANON);
	pid = start_job(w);
	/* From the background to the foreground. */
	set_foreground(pid);
	CHECK(kill(pid, SIGCONT) == 0);
	wait_until_raw();
	/* Stopped, it leaves the mode to the shell; continued, it is raw again. */
	stop(pid, SIGTSTP);
	CHECK(!is_raw());
	set_foreground(pid);
	CHECK(kill(pid, SIGCONT) == 0);
	wait_until_raw();
	/* Again, and by a signal that no program can catch: the shell sets its own mode. */
	stop(pid, SIGSTOP);
	CHECK(tcsetattr(STDIN_FILENO, TCSANOW, &cooked) == 0);
	set_foreground(pid);
	CHECK(kill(pid, SIGCONT) == 0);
	wait_until_raw();
	/* To the background: the mode stays the shell's. */
	stop(pid, SIGTSTP);
	CHECK(kill(pid, SIGCONT) == 0);
	CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
	CHECK(!is_raw());
	/* And back, where it reads keys. */
	set_foreground(pid);
	CHECK(kill(pid, SIGCONT) == 0);
	wait_until_raw();
	CHECK(write(user, "\1x", 2) == 2);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
	CHECK(!is_raw());
	_exit(0);
}

static void test_signals_continue_restores_raw_mode(void **state)
{
	int user, pty;
	pid_t pid;

	assert_int_equal(openpty(&user, &pty, NULL, NULL, NULL), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setsid();
		dup2(pty, STDIN_FILENO);
		run_shell(*state, user);
	}
	assert_int_equal(test_wait_child(pid), 0);
	close(user);
	close(pty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(terminal, test_signals_continue_restores_raw_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

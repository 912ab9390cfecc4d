/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See raw_mode.h. Signal handlers change the mode, as the main loop may be stopped or not run any
 * more; so all that they use is global and async-signal-safe.
 */
#include "kvm-stub/machine/raw_mode.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios cooked;
static volatile sig_atomic_t is_wanted, is_raw;
static volatile sig_atomic_t continued_fd = -1;

static const int fatal_signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS,
	SIGFPE, SIGSEGV, SIGPIPE, SIGALRM, SIGTERM, SIGXCPU, SIGXFSZ, SIGSYS };

bool raw_mode_in_background(void)
{
	pid_t foreground = tcgetpgrp(STDIN_FILENO);

	return foreground > 0 && foreground != getpgrp();
}

static void restore(void)
{
	sigset_t ttou, before;

	if (!is_raw)
		return;
	is_raw = 0;
	/* In the background, tcsetattr() would stop the process. */
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &before);
	tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void make_raw(void)
{
	struct termios now, raw;

	if (raw_mode_in_background() || tcgetattr(STDIN_FILENO, &now) < 0)
		return;
	/* A shell may have restored the mode in which the process was stopped. */
	if (!is_raw || now.c_lflag & ICANON)
		cooked = now;
	raw = cooked;
	cfmakeraw(&raw);
	/* Log lines go to the same terminal and end in a newline without carriage return. */
	raw.c_oflag |= cooked.c_oflag & OPOST;
	is_raw = 1;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

/*
 * Restores the terminal and ends. SA_RESETHAND: the signal raised here takes its default action
 * on return.
 */
static void on_fatal_signal(int signum)
{
	restore();
	raise(signum);
}

static void on_continue(int signum)
{
	const uint64_t one = 1;
	int saved = errno;
	ssize_t n;

	if (is_wanted)
		make_raw();
	n = write(continued_fd, &one, sizeof(one));
	(void)n; /* the eventfd does not block */
	errno = saved;
}

static struct sigaction violation; /* what the sandbox does on SIGSYS */

/* Restores the terminal, so that the shell gets it back, before the sandbox ends the process. */
static void on_violation(int signum, siginfo_t *info, void *context)
{
	restore();
	violation.sa_sigaction(signum, info, context);
}

static void on_stop(int signum);

static const struct sigaction fatal_action = { .sa_handler = on_fatal_signal,
	.sa_flags = (int)SA_RESETHAND };
static const struct sigaction stop_action = { .sa_handler = on_stop, .sa_flags = SA_RESTART };
static const struct sigaction continue_action = { .sa_handler = on_continue,
	.sa_flags = SA_RESTART };

/* Stops the process by the signal's default action, in the mode of the shell. */
static void on_stop(int signum)
{
	int saved = errno;
	sigset_t set;

	restore();
	signal(signum, SIG_DFL);
	raise(signum);
	sigemptyset(&set);
	sigaddset(&set, signum);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sigaction(signum, &stop_action, NULL);
	errno = saved;
}

/* Signals that are caught or ignored already keep their disposition. */
static void catch (int signum, const struct sigaction *action)
{
	struct sigaction now;

	if (sigaction(signum, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		sigaction(signum, action, NULL);
}

static void leave(int signum, const struct sigaction *action)
{
	struct sigaction now;

	if (sigaction(signum, NULL, &now) == 0 && now.sa_handler == action->sa_handler)
		signal(signum, SIG_DFL);
}

static bool handles(const struct sigaction *action, void (*handler)(int, siginfo_t *, void *))
{
	return action->sa_flags & SA_SIGINFO && action->sa_sigaction == handler;
}

static void catch_violation(void)
{
	struct sigaction now;

	if (sigaction(SIGSYS, NULL, &now) < 0 || !(now.sa_flags & SA_SIGINFO) ||
		handles(&now, on_violation))
		return;
	violation = now;
	now.sa_sigaction = on_violation;
	sigaction(SIGSYS, &now, NULL);
}

static void leave_violation(void)
{
	struct sigaction now;

	if (sigaction(SIGSYS, NULL, &now) == 0 && handles(&now, on_violation))
		sigaction(SIGSYS, &violation, NULL);
}

void raw_mode_enter(int continued)
{
	static bool at_exit;

	if (!isatty(STDIN_FILENO))
		return;
	continued_fd = continued;
	is_wanted = 1;
	for (unsigned i = 0; i < G_N_ELEMENTS(fatal_signals); i++)
		catch (fatal_signals[i], &fatal_action);
	catch_violation();
	catch (SIGTSTP, &stop_action);
	catch (SIGCONT, &continue_action);
	if (!at_exit)
		atexit(restore);
	at_exit = true;
	make_raw();
}

void raw_mode_leave(void)
{
	if (!is_wanted)
		return;
	is_wanted = 0;
	restore();
	for (unsigned i = 0; i < G_N_ELEMENTS(fatal_signals); i++)
		leave(fatal_signals[i], &fatal_action);
	leave_violation();
	leave(SIGTSTP, &stop_action);
	leave(SIGCONT, &continue_action);
	continued_fd = -1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connects the guest's serial port to standard input and output, or its output to a file.
 *
 * Input goes through the main loop, in order and without loss: bytes that the guest does not read
 * yet are buffered up to a limit, beyond which nothing more is read from standard input.
 *
 * Output comes from vCPU threads. A slow reader makes the guest wait, as a slow line would, so that
 * nothing is lost in a pipe. But a reader that has stopped (a hanging terminal, a pager) must not
 * block a vCPU forever, and with it the guest's clock and the end of the program: see can_write().
 */
#include "kvm-stub/machine/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <termios.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/util.h"

#define ESCAPE 0x01 /* Ctrl-A */
#define MAX_TYPED 65536
#define PATIENCE_MS 1000
/* As much as terminals and pipes accept without blocking once they are writable. */
#define WRITE_BYTES 256

struct terminal {
	const struct terminal_ops *ops;
	void *opaque;
	/* Input. */
	struct loop_watch *keys, *resumed;
	int resume; /* eventfd */
	GByteArray *typed; /* not yet read by the guest */
	bool escaped; /* the last byte was Ctrl-A */
	/* Output. */
	pthread_mutex_t lock;
	int out;
	bool is_file; /* out is to be closed */
	bool stuck, failed;
	uint64_t dropped; /* bytes, not yet reported */
};

/* The saved mode of the terminal: global, because signal handlers restore it. */
static struct termios cooked;
static volatile sig_atomic_t is_raw;

static const int fatal_signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS,
	SIGFPE, SIGSEGV, SIGPIPE, SIGALRM, SIGTERM, SIGXCPU, SIGXFSZ, SIGSYS };

/* Async-signal-safe. */
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

/* SA_RESETHAND: the signal raised here takes its default action on return. */
static void on_fatal_signal(int signum)
{
	restore();
	raise(signum);
}

/* Signals that are caught or ignored already keep their disposition. */
static void catch_signals(void)
{
	const struct sigaction ours = { .sa_handler = on_fatal_signal,
		.sa_flags = (int)SA_RESETHAND };
	struct sigaction now;

	for (unsigned i = 0; i < G_N_ELEMENTS(fatal_signals); i++)
		if (sigaction(fatal_signals[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
			sigaction(fatal_signals[i], &ours, NULL);
}

static void leave_signals(void)
{
	struct sigaction now;

	for (unsigned i = 0; i < G_N_ELEMENTS(fatal_signals); i++)
		if (sigaction(fatal_signals[i], NULL, &now) == 0 &&
			now.sa_handler == on_fatal_signal)
			signal(fatal_signals[i], SIG_DFL);
}

static void make_raw(void)
{
	static bool at_exit;
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &cooked) < 0)
		return;
	raw = cooked;
	cfmakeraw(&raw);
	/* Log lines go to the same terminal and end in a newline without carriage return. */
	raw.c_oflag |= cooked.c_oflag & OPOST;
	is_raw = 1;
	catch_signals();
	if (!at_exit)
		atexit(restore);
	at_exit = true;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static void offer(struct terminal *t)
{
	size_t taken = 0;

	if (t->typed->len)
		taken = t->ops->typed(t->opaque, t->typed->data, t->typed->len);
	if (taken)
		g_byte_array_remove_range(t->typed, 0, taken);
}

/* Returns whether Ctrl-A x was typed. */
static bool type(struct terminal *t, uint8_t byte)
{
	bool escaped = t->escaped;

	t->escaped = !escaped && byte == ESCAPE;
	/* Any other key after Ctrl-A is ignored. */
	if (escaped ? byte == ESCAPE : byte != ESCAPE)
		g_byte_array_append(t->typed, &byte, 1);
	return escaped && byte == 'x';
}

static void watch_keys(struct terminal *t);

static void on_keys(void *opaque, uint32_t revents)
{
	struct terminal *t = opaque;
	uint8_t buf[1024];
	bool leave = false;
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	for (ssize_t i = 0; i < n && !leave; i++)
		leave = type(t, buf[i]);
	offer(t);
	/* After the end of input the guest continues without it. */
	if (n <= 0 || leave || t->typed->len >= MAX_TYPED)
		g_clear_pointer(&t->keys, loop_watch_free);
	if (leave)
		t->ops->leave(t->opaque);
}

static void on_resume(void *opaque, uint32_t revents)
{
	struct terminal *t = opaque;
	bool full = t->typed->len >= MAX_TYPED;
	eventfd_t n;

	eventfd_read(t->resume, &n);
	offer(t);
	if (full && t->typed->len < MAX_TYPED)
		watch_keys(t);
}

static void watch_keys(struct terminal *t)
{
	t->keys = loop_watch_fd(STDIN_FILENO, EPOLLIN, on_keys, t);
}

/* Reading from the terminal as a background job would stop the process. */
static bool in_background(void)
{
	pid_t foreground = tcgetpgrp(STDIN_FILENO);

	return foreground > 0 && foreground != getpgrp();
}

static void start_keys(struct terminal *t)
{
	if (in_background()) {
		log_info(NULL, "in the background: nothing is read from the terminal");
		return;
	}
	if (isatty(STDIN_FILENO))
		make_raw();
	watch_keys(t);
}

/* Non-blocking: a FIFO without a reader is an error. */
static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
}

struct terminal *terminal_new(
	const char *path, const struct terminal_ops *ops, void *opaque, GError **error)
{
	autofd resume = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	autofd file = path ? open_file(path) : -1;
	struct terminal *t;

	if (resume < 0 || (path && file < 0)) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s",
			path ? path : "eventfd", g_strerror(errno));
		return NULL;
	}
	t = g_new0(struct terminal, 1);
	t->ops = ops;
	t->opaque = opaque;
	t->typed = g_byte_array_new();
	pthread_mutex_init(&t->lock, NULL);
	t->is_file = path;
	t->out = path ? fd_steal(&file) : STDOUT_FILENO;
	t->resume = fd_steal(&resume);
	t->resumed = loop_watch_fd(t->resume, EPOLLIN, on_resume, t);
	if (!path)
		start_keys(t);
	return t;
}

/*
 * Waits for a slow reader. After one has read nothing for PATIENCE_MS, returns false at once until
 * it reads again, so that a stopped reader delays the guest only once.
 */
static bool can_write(struct terminal *t)
{
	struct pollfd pfd = { .fd = t->out, .events = POLLOUT };
	int64_t left = t->stuck ? 0 : PATIENCE_MS;
	int64_t end = g_get_monotonic_time() + left * G_TIME_SPAN_MILLISECOND;
	int n;

	do {
		n = poll(&pfd, 1, (int)left);
		left = MAX(0, (end - g_get_monotonic_time()) / G_TIME_SPAN_MILLISECOND);
	} while (n < 0 && errno == EINTR);
	t->stuck = n <= 0;
	return !t->stuck;
}

/* Under the lock. */
static void tell_dropped(struct terminal *t)
{
	if (t->dropped)
		log_warning(NULL, "%" PRIu64 " bytes of the guest's output were dropped: %s",
			t->dropped,
			t->failed ? "they could not be written" : "the reader had stopped");
	t->dropped = 0;
}

/* Under the lock. */
static void write_failed(struct terminal *t)
{
	if (errno == EAGAIN)
		return;
	log_error(NULL, "the guest's output cannot be written: %s", g_strerror(errno));
	t->failed = true;
}

void terminal_output(struct terminal *t, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	pthread_mutex_lock(&t->lock);
	while (len && !t->failed && can_write(t)) {
		ssize_t n = write(t->out, p, MIN(len, WRITE_BYTES));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			write_failed(t);
			break;
		}
		tell_dropped(t);
		p += n;
		len -= n;
	}
	t->dropped += len;
	pthread_mutex_unlock(&t->lock);
}

void terminal_resume(struct terminal *t)
{
	eventfd_write(t->resume, 1);
}

void terminal_free(struct terminal *t)
{
	if (!t)
		return;
	loop_watch_free(t->keys);
	loop_watch_free(t->resumed);
	restore();
	leave_signals();
	tell_dropped(t);
	if (t->is_file)
		close(t->out);
	close(t->resume);
	pthread_mutex_destroy(&t->lock);
	g_byte_array_unref(t->typed);
	g_free(t);
}

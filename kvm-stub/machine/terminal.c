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

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/output.h"
#include "base/util.h"
#include "kvm-stub/machine/raw_mode.h"

#define ESCAPE 0x01 /* Ctrl-A */
#define MAX_TYPED 65536
#define PATIENCE_MS 1000

const struct syscall_rule terminal_calls[] = {
	/* the terminal's mode, by old and new C libraries */
	SYSCALL_IOCTL(TCGETS),
	SYSCALL_IOCTL(TCSETS),
	SYSCALL_IOCTL(TCGETS2),
	SYSCALL_IOCTL(TCSETS2),
	/* is this a background job? */
	SYSCALL_IOCTL(TIOCGPGRP),
	SYSCALL(getpgid),
#ifdef SYS_getpgrp
	SYSCALL(getpgrp),
#endif
	SYSCALL_END,
};

struct terminal {
	const struct terminal_ops *ops;
	void *opaque;
	/* Input. */
	struct loop_watch *keys, *resumed;
	int resume; /* eventfd: the guest has read, or the process was continued */
	bool has_keys; /* until the end of input */
	GByteArray *typed; /* not yet read by the guest */
	bool escaped; /* the last byte was Ctrl-A */
	/* Output. */
	pthread_mutex_t lock;
	int file; /* --console's; -1: standard output */
	struct output out;
	int ending; /* eventfd: readable since terminal_end() */
	bool stuck, failed;
	uint64_t dropped; /* bytes, not yet reported */
};

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

static void on_keys(void *opaque, uint32_t revents);

/* Watches the keyboard, unless as a background job, which would be stopped by reading. */
static void watch_keys(struct terminal *t)
{
	bool watch = t->has_keys && t->typed->len < MAX_TYPED && !raw_mode_in_background();

	if (!watch)
		g_clear_pointer(&t->keys, loop_watch_free);
	else if (!t->keys)
		t->keys = loop_watch_fd(STDIN_FILENO, EPOLLIN, on_keys, t);
}

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
	t->has_keys = n > 0 && !leave;
	watch_keys(t);
	if (leave)
		t->ops->leave(t->opaque);
}

static void on_resume(void *opaque, uint32_t revents)
{
	struct terminal *t = opaque;
	eventfd_t n;

	eventfd_read(t->resume, &n);
	offer(t);
	watch_keys(t);
}

void terminal_start(struct terminal *t)
{
	if (t->file >= 0)
		return;
	if (raw_mode_in_background())
		log_info(NULL, "in the background: nothing is read from the terminal");
	raw_mode_enter(t->resume);
	t->has_keys = true;
	watch_keys(t);
}

/* Opens without blocking: a FIFO without a reader is an error. */
static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
}

struct terminal *terminal_new(
	const char *path, const struct terminal_ops *ops, void *opaque, GError **error)
{
	autofd resume = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	autofd ending = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	autofd file = path ? open_file(path) : -1;
	struct terminal *t;

	if (resume < 0 || ending < 0 || (path && file < 0)) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s",
			path ? path : "eventfd", g_strerror(errno));
		return NULL;
	}
	t = g_new0(struct terminal, 1);
	t->ops = ops;
	t->opaque = opaque;
	t->typed = g_byte_array_new();
	pthread_mutex_init(&t->lock, NULL);
	t->file = fd_steal(&file);
	output_open(&t->out, path ? t->file : STDOUT_FILENO);
	t->resume = fd_steal(&resume);
	t->ending = fd_steal(&ending);
	t->resumed = loop_watch_fd(t->resume, EPOLLIN, on_resume, t);
	return t;
}

/*
 * Waits for a slow reader. After one has read nothing for PATIENCE_MS, returns false at once until
 * it reads again, so that a stopped reader delays the guest only once.
 */
static bool can_write(struct terminal *t)
{
	struct pollfd pfd[] = {
		{ .fd = t->out.fd, .events = POLLOUT },
		{ .fd = t->ending, .events = POLLIN },
	};
	int64_t left = t->stuck ? 0 : PATIENCE_MS;
	int64_t end = g_get_monotonic_time() + left * G_TIME_SPAN_MILLISECOND;
	int n;

	do {
		n = poll(pfd, G_N_ELEMENTS(pfd), (int)left);
		left = MAX(0, (end - g_get_monotonic_time()) / G_TIME_SPAN_MILLISECOND);
	} while (n < 0 && errno == EINTR);
	t->stuck = n <= 0 || !pfd[0].revents;
	return !t->stuck;
}

/* Tells what was dropped, under the lock. */
static void tell_dropped(struct terminal *t)
{
	if (t->dropped)
		log_warning(NULL, "%" PRIu64 " bytes of the guest's output were dropped: %s",
			t->dropped,
			t->failed ? "they could not be written" : "the reader had stopped");
	t->dropped = 0;
}

/* Notes a failure, under the lock. */
static void write_failed(struct terminal *t, int err)
{
	if (err == EAGAIN)
		return;
	log_error(NULL, "the guest's output cannot be written: %s", g_strerror(err));
	t->failed = true;
}

void terminal_output(struct terminal *t, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	pthread_mutex_lock(&t->lock);
	while (len && !t->failed && can_write(t)) {
		ssize_t n = output_write(&t->out, p, len);

		if (n < 0) {
			write_failed(t, (int)-n);
			t->stuck = true;
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

void terminal_end(struct terminal *t)
{
	if (t)
		eventfd_write(t->ending, 1);
}

void terminal_free(struct terminal *t)
{
	if (!t)
		return;
	loop_watch_free(t->keys);
	loop_watch_free(t->resumed);
	raw_mode_leave();
	tell_dropped(t);
	output_close(&t->out);
	fd_close(&t->file);
	close(t->resume);
	close(t->ending);
	pthread_mutex_destroy(&t->lock);
	g_byte_array_unref(t->typed);
	g_free(t);
}

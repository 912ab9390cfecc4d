/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read() and write() on a pipe or an eventfd that another process has, too, and that do not wait.
 *
 * O_NONBLOCK does not ensure that: it belongs to the open file, which the other process shares and
 * may change between any check and the call. No flag of a single call does, as eventfds know none.
 * So the call may begin to wait, and is then interrupted: a thread of this file, which sleeps while
 * nothing is called, looks at the calls that go on, and sends a signal (SIGURG) to those that it
 * finds twice. A call that need not wait costs two atomic operations more.
 *
 * For any thread except those that may wait (the daemon's workers at their call fd, which their
 * control thread interrupts when it waits for them: daemon/worker/call.c).
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* How long a call may take at most, more or less. */
#define NOWAIT_MS 40

/* As read() and write(); -1 with EINTR if it would have waited. */
ssize_t nowait_read(int fd, void *buf, size_t n);
ssize_t nowait_write(int fd, const void *buf, size_t n);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals on eventfds and pipes that another process shares, without waiting for it (nowait.h). An
 * eventfd that no other process has needs none of this.
 */
#pragma once

#include <stdbool.h>

/*
 * Adds one to an eventfd, or writes to a pipe; -1 is nothing, and errors are ignored. One that is
 * full is as good as signalled.
 */
void eventfd_signal(int fd);
/*
 * Likewise, without first asking whether it is full, until *full: it was found so by a call that
 * had to be interrupted. Atomic, the caller's, and false for a new fd.
 */
void eventfd_signal_fast(int fd, bool *full);
/* Takes the count of an eventfd that poll() found readable; false: it was 0 by now. */
bool eventfd_collect(int fd);

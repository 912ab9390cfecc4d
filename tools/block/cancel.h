/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGINT and SIGTERM end a transfer in an orderly way: the ring is stopped before the program
 * leaves. A second signal kills as usual.
 */
#pragma once

/* From here on the first signal makes cancel_fd() readable and interrupts system calls. */
void cancel_on_signals(void);
/* For poll(); -1 before cancel_on_signals(). */
int cancel_fd(void);
/* The signal that came, or 0. */
int cancel_signal(void);

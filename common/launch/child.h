/* SPDX-License-Identifier: Apache-2.0 */
/* A back-end process of our own, on one end of a socketpair (--fd). It ends with us. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/syscall_rule.h"

struct child;
typedef struct child child; /* for g_autoptr */

/*
 * Starts binary with options and --fd=N. *fd receives our end of that socket; the caller owns it.
 * The main loop logs the child's output line by line under its name, keeps the last lines, and logs
 * how the child ended as a warning, unless child_stop() came first. The child gets SIGTERM when the
 * calling thread ends without child_free().
 */
struct child *child_start(const char *binary, const char *const *options, int *fd, GError **error);
/*
 * Calls cb once, from the main loop, when it has ended; cb may free it. To be asked for before the
 * main loop runs again after child_start().
 */
void child_on_end(struct child *c, void (*cb)(void *opaque), void *opaque);
/* Has it ended, or does it within timeout_ms? Then the error says how, and what it said last. */
bool child_failed(struct child *c, unsigned timeout_ms, GError **error);
/* SIGTERM, and does not wait: for several at a time. */
void child_stop(struct child *c);
/* SIGKILL, likewise. */
void child_kill(struct child *c);
/* What these take of a sandbox, likewise child_free(): signals to this process alone. */
struct syscall_rule child_rule(const struct child *c);
/* SIGTERM, after two seconds SIGKILL; waits. NULL is nothing. */
void child_free(struct child *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(child, child_free)

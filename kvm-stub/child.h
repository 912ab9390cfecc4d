/* SPDX-License-Identifier: Apache-2.0 */
/* A back-end process of our own, on one end of a socketpair (--fd). It ends with us. */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct child;
typedef struct child child; /* for g_autoptr */

/*
 * Starts binary with options and --fd=N. *fd receives our end, the caller's. Its standard error is
 * passed on line by line, under its name, and the last lines are kept.
 */
struct child *child_start(const char *binary, const char *const *options, int *fd, GError **error);
/* SIGTERM, after two seconds SIGKILL; waits. NULL is nothing. */
void child_free(struct child *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(child, child_free)
/* Has it ended? Then the error names the binary, its status, and what it said last. */
bool child_failed(struct child *c, GError **error);

/* SPDX-License-Identifier: Apache-2.0 */
/* A back-end process of our own, on a socket that we made (--fd). */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/syscall_rule.h"

struct child;
typedef struct child child; /* for g_autoptr */

struct child_setup {
	const char *binary;
	const char *label; /* its name in the log; NULL: the last part of binary */
	const char *const *options;
	int fd; /* for its --fd=N; the caller's */
	const char *notify; /* its NOTIFY_SOCKET; NULL: none */
	bool outlives; /* goes on when we end; else gets SIGTERM when the calling thread ends */
};

/*
 * Starts binary with options and --fd=N. The main loop logs the child's output line by line under
 * its name, keeps the last lines, and logs how the child ended as a warning, unless child_stop()
 * came first.
 */
struct child *child_run(const struct child_setup *s, GError **error);
/*
 * Likewise, on one end of a socketpair, and it ends with us. *fd receives our end; the caller owns
 * it.
 */
struct child *child_start(const char *binary, const char *const *options, int *fd, GError **error);
/*
 * Takes over a child process that was started before this program replaced another one by exec().
 * output: the end that it is read from, which is the child's from now on, also on error.
 */
struct child *child_adopt(
	const char *binary, const char *label, pid_t pid, int output, GError **error);
pid_t child_pid(const struct child *c);
/* The fd that its output is read from, which stays the child's; -1: closed. */
int child_output(const struct child *c);
/* How it ended, as waitpid() says; -1: it has not. */
int child_status(const struct child *c);
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

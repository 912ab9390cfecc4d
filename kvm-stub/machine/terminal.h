/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end of the guest's serial port: this terminal, in raw mode while the guest runs
 * (Ctrl-A x leaves, Ctrl-A Ctrl-A sends Ctrl-A), or a file. The terminal's mode is restored as in
 * raw_mode.h.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/syscall_rule.h"

struct terminal_ops {
	/*
	 * Typed bytes; returns how many were taken; the rest is offered again after
	 * terminal_resume().
	 */
	size_t (*typed)(void *opaque, const void *bytes, size_t len);
	/* Ctrl-A x was typed. */
	void (*leave)(void *opaque);
};

struct terminal;
typedef struct terminal terminal; /* for g_autoptr */

/*
 * Opens path for output, without input; NULL: standard input and output. One terminal may exist at
 * a time; ops are called by the main loop, from terminal_start() on.
 */
struct terminal *terminal_new(
	const char *path, const struct terminal_ops *ops, void *opaque, GError **error);
void terminal_free(struct terminal *t);
/* Enters raw mode and reads standard input, unless output goes to a file. Opens nothing. */
void terminal_start(struct terminal *t);
/* What the functions of this file take of a sandbox (priv/syscall_filter.h). */
extern const struct syscall_rule terminal_calls[];
G_DEFINE_AUTOPTR_CLEANUP_FUNC(terminal, terminal_free)
/*
 * Writes output; any thread. Waits for a slow reader, up to a second for one that has stopped:
 * output is then dropped until it reads again, and a message tells how much.
 */
void terminal_output(struct terminal *t, const void *bytes, size_t len);
/*
 * The machine ends: output waits for no reader from now on, nor does what waits already. Any
 * thread; NULL is nothing.
 */
void terminal_end(struct terminal *t);
/* Reports that typed() has room again. Any thread. */
void terminal_resume(struct terminal *t);

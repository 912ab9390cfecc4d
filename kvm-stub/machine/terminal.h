/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the guest's serial port goes: this terminal, raw while the guest runs (Ctrl-A x leaves,
 * Ctrl-A Ctrl-A is one Ctrl-A), or a file. The terminal is as before after terminal_free(), and
 * after exit() or a fatal signal, too.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct terminal_ops {
	/*
	 * Typed bytes; returns how many were taken; the rest is offered again after
	 * terminal_resume().
	 */
	size_t (*typed)(void *opaque, const void *bytes, size_t len);
	/* Ctrl-A x. */
	void (*leave)(void *opaque);
};

struct terminal;
typedef struct terminal terminal; /* for g_autoptr */

/*
 * path: a file to write to, nothing is read then; NULL: standard input and output. One at a time;
 * ops are called by the main loop.
 */
struct terminal *terminal_new(
	const char *path, const struct terminal_ops *ops, void *opaque, GError **error);
void terminal_free(struct terminal *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(terminal, terminal_free)
/*
 * Any thread. Waits for a slow reader, but not for one that takes nothing for a second: then
 * output is dropped until it goes on, and a message says how much.
 */
void terminal_output(struct terminal *t, const void *bytes, size_t len);
/* typed() has room again. Any thread. */
void terminal_resume(struct terminal *t);

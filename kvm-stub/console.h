/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the guest's serial port goes: this terminal, raw while the guest runs (Ctrl-A x leaves,
 * Ctrl-A Ctrl-A is one Ctrl-A), or a file. The terminal is as before after console_free(), and
 * after a fatal signal, too.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct console_ops {
	/*
	 * Typed bytes; returns how many were taken; the rest is offered again by
	 * console_resume().
	 */
	size_t (*input)(void *opaque, const void *bytes, size_t len);
	/* Ctrl-A x. */
	void (*leave)(void *opaque);
};

struct console;
typedef struct console console; /* for g_autoptr */

/*
 * path: a file to write to, nothing is read then; NULL: standard input and output. Input by the
 * main loop.
 */
struct console *console_new(
	const char *path, const struct console_ops *ops, void *opaque, GError **error);
void console_free(struct console *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(console, console_free)
/* Any thread. */
void console_output(struct console *c, const void *bytes, size_t len);
/* input() has room again. Any thread. */
void console_resume(struct console *c);

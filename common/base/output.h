/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes that do not wait for a reader, to an fd that other processes share: O_NONBLOCK belongs to
 * the open file, so setting it would change theirs, and they may clear it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct output {
	int fd; /* the caller's */
	int own; /* the same pipe or terminal, opened once more without blocking; -1: none */
	enum {
		OUTPUT_CHECKED, /* a small write after poll(): another process may take the room */
		OUTPUT_SOCKET,
		OUTPUT_FILE, /* or a device: has no reader, and maybe a shared offset */
	} kind; /* if own is -1 */
};

/* What any fd is before output_open(). */
#define OUTPUT(number) ((struct output){ .fd = (number), .own = -1 })

/* Opens a pipe or terminal once more, if permitted. The caller's fd must outlive the output. */
void output_open(struct output *o, int fd);
/* Closes what output_open() opened. */
void output_close(struct output *o);
/*
 * Writes as much as there is room for, without waiting: returns the number of bytes, or -errno if
 * that is none (-EAGAIN: nothing is read at the other end).
 */
ssize_t output_write(const struct output *o, const void *bytes, size_t len);

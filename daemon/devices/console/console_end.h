/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a port: where the bytes come from and go to. Nothing here waits, and nothing is
 * buffered: what was read is the caller's, what was written is the kernel's.
 *
 *	null		takes all, has nothing
 *	echo		has what it took
 *	file:PATH	appends to a file, has nothing
 *	unix:PATH	listens; one client at a time, others wait in the backlog
 *	pty		a terminal; connected while any process has it open
 *	stdio		standard input and output; a terminal is made raw, but for signals
 */
#pragma once

#include <termios.h>

#include "daemon/device.h"

enum console_kind {
	CONSOLE_NULL,
	CONSOLE_ECHO,
	CONSOLE_FILE,
	CONSOLE_UNIX,
	CONSOLE_PTY,
	CONSOLE_STDIO,
};

struct console_end {
	/* Set by the owner: who it is ("port 1"), and what to call when there is work. */
	const char *name;
	void (*ready)(struct console_end *e);

	/* For the owner to read. */
	enum console_kind kind;
	char *path; /* of a file, a socket or a terminal; NULL: none */
	bool connected; /* what is written has a reader */
	unsigned connections; /* counts the changes of that */

	bool readable, writable; /* to try is not known to be in vain */

	/* The end's own. */
	struct virtio_device *d;
	int in, out; /* the same but for echo and stdio; -1: none */
	bool failing; /* the last write failed, which was logged */
	struct virtio_watch in_watch, out_watch;
	struct virtio_watch arrival; /* the listening socket, or who opens the terminal */
	struct virtio_timer retry;
	struct termios saved; /* the terminal's mode, if it is raw */
	bool is_raw;
	struct log_limit limit;
};

/* Opens what the text names; name and ready are set, the rest is zero. In open() alone. */
bool console_end_open(
	struct console_end *e, struct virtio_device *d, const char *text, GError **error);
/* Closes it, whether that has succeeded or not. */
void console_end_close(struct console_end *e);
/* What that goes on needing (struct virtio_device_needs). */
extern const struct syscall_rule console_end_calls[];
/* Looks whether a reader has come, whose event is still to be delivered; sets connected. */
void console_end_look(struct console_end *e);
/* The kind as text, for reports. */
const char *console_end_kind(const struct console_end *e);
/* Returns how many bytes were read into the iovecs; 0: none for now, ready() comes then. */
size_t console_end_read(struct console_end *e, const struct iovec *iov, unsigned n);
/* Returns whether it is not connected any more, and there are bytes of it to read. */
bool console_end_has_rest(const struct console_end *e);
/* Returns how many bytes were written; 0: none for now, ready() comes. It is connected. */
size_t console_end_write(struct console_end *e, const struct iovec *iov, unsigned n);
/* Sets the size of the terminal of stdio; false: it is none. */
bool console_end_size(const struct console_end *e, uint16_t *cols, uint16_t *rows);

/* console_open.c: opens one of each kind. */
bool console_open_echo(struct console_end *e, GError **error);
bool console_open_file(struct console_end *e, GError **error);
bool console_open_unix(struct console_end *e, GError **error);
bool console_open_pty(struct console_end *e, GError **error);
bool console_open_stdio(struct console_end *e, GError **error);

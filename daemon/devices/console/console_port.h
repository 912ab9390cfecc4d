/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port: two queues of the device and an end on the host. What the guest sends is taken from the
 * ring when the host has taken it; what the host has is read when the guest has room for it.
 */
#pragma once

#include "console_end.h"

struct console_port {
	struct virtio_device *d;
	char *name; /* for the guest; NULL: none */
	char label[16]; /* "port 1", for the log */
	/*
	 * A console: the guest reads it at any time, and waits, with a CPU, until what it wrote is
	 * taken. So what has no reader is dropped.
	 */
	bool is_console;
	unsigned rx, tx; /* queues: to the guest, from the guest */
	struct console_end end;
	/* After the end's connected, or what it is connected to, has changed; NULL: nothing. */
	void (*changed)(struct console_port *p);
	unsigned connections; /* of the end, which changed() was called for */

	bool guest_ready; /* multiport: it knows the port */
	bool guest_open; /* a process of the guest reads it */
	unsigned to_send; /* of console_control.c */
	uint16_t cols, rows;

	struct vq_chain *sending; /* taken from tx, not all of it is written; NULL: none */
	size_t sent; /* of the request that was kept when the queue stopped */
};

/* Opens the end; on error console_port_close() follows. backend: as for console_end_open(). */
bool console_port_open(struct console_port *p, struct virtio_device *d, unsigned number,
	const char *backend, GError **error);
void console_port_close(struct console_port *p);
/* Moves what can be moved, in both directions. */
void console_port_run(struct console_port *p);
/* The port's part of queue_start(), queue_stop() and reset(). */
void console_port_start(struct console_port *p, struct vq *q);
void console_port_stop(struct console_port *p, struct vq *q);
void console_port_reset(struct console_port *p);

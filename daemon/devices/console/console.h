/* SPDX-License-Identifier: Apache-2.0 */
/* The console device: its ports, and its control queue (multiport). */
#pragma once

#include "console_port.h"

#define CONSOLE_MAX_PORTS 31
#define CONSOLE_CONTROL_RX 2 /* to the guest */
#define CONSOLE_CONTROL_TX 3

struct console_device {
	struct console_port port[CONSOLE_MAX_PORTS];
	unsigned n_ports;
	bool multiport; /* has a control queue, and more than one port perhaps */
	/* What the driver knows is known here; false: it goes on with what another process did. */
	bool in_step;
	struct virtio_watch resized; /* a signalfd */
	struct log_limit limit;
};

/* console_control.c: the control queue. */

/* Something about the port is to be told, once the guest knows the port. */
enum console_news {
	CONSOLE_NEWS_ADD = 1 << 0, /* it exists: even before that */
	CONSOLE_NEWS_CONSOLE = 1 << 1, /* it is a console */
	CONSOLE_NEWS_SIZE = 1 << 2,
	CONSOLE_NEWS_NAME = 1 << 3,
	CONSOLE_NEWS_CLOSED = 1 << 4, /* the host's end is not connected, or was not */
	CONSOLE_NEWS_OPENED = 1 << 5, /* it is connected now */
};

void console_tell(struct console_device *c, struct console_port *p, unsigned news);
/* The end of the port was connected, or lost. */
void console_tell_connection(struct console_device *c, struct console_port *p);
/* Sends what is to be told, as far as there are buffers. */
void console_control_send(struct console_device *c, struct virtio_device *d);
/* Takes what the guest tells. */
void console_control_receive(struct console_device *c, struct virtio_device *d, struct vq *q);
/* The driver goes on, and what it knows is not known here: it is told the present state again. */
void console_control_catch_up(struct console_device *c, struct virtio_device *d);

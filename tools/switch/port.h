/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port of the switch: a stream socket or a tap, open or not. What it receives is read for many
 * frames at a time; what it is to send is collected, and goes out by one call a round. Frames that
 * a stream's peer does not take wait in a bounded queue, or are dropped.
 */
#pragma once

#include "base/loop.h"
#include "net/stream.h"
#include "tools/switch/bridge.h"
#include "tools/switch/send_queue.h"
#include "tools/switch/settings.h"

/* Of a stream: pieces and frames of one call. */
#define PORT_BATCH_PIECES 512
#define PORT_BATCH_FRAMES 512

struct switcher;

/* Frames for the peer, in this round. */
struct port_batch {
	struct iovec iov[2 + PORT_BATCH_PIECES]; /* the first two are for the queue */
	unsigned n_iov, n;
	uint32_t bytes;
	struct port_batch_frame {
		uint32_t bytes; /* with the length before it */
		uint16_t from;
	} frames[PORT_BATCH_FRAMES];
};

struct port {
	struct bridge_member member; /* while it is up */
	struct switcher *sw;
	struct port_settings *settings; /* of the port alone, or of a listener */
	char *name;
	bool is_static; /* it stays when its file is closed */

	int fd; /* -1: down */
	bool is_tap;
	bool has_header; /* of a tap: frames begin with one, which says nothing */
	bool ready; /* to be read in this round */
	bool backlog; /* frames were read and not taken: it had its share of the round */
	bool blocked; /* its peer takes no more */
	bool dirty; /* in the switch's list of ports to flush */
	bool ended; /* to be closed at the end of the round */
	struct net_stream_in in;
	struct port_batch batch;
	struct send_queue queue; /* of a stream */

	struct loop_watch *retry; /* of one that connects, while it is down */
	unsigned retry_ms;
	bool told; /* the log says that it is down */
};

/* settings stay the caller's. The port is down. */
struct port *port_new(struct switcher *sw, struct port_settings *settings, bool is_static);
/* Closes it, too. */
void port_free(struct port *p);

/* Takes a file of the kind that is_tap says, non-blocking, until port_down(). */
void port_up(struct port *p, int fd);
void port_down(struct port *p);

/* Takes its share of frames: sets backlog, or ended. now: seconds. */
void port_turn(struct port *p, uint32_t now);
/* Its peer takes frames again. */
void port_unblock(struct port *p);
/* bridge.h's send(). */
bridge_send port_send;
/* Sends what was collected. Afterwards nothing of it is needed any more. */
void port_flush(struct port *p);

/* dial.c */

/* Connects, or tries again later, until it is up. */
void port_dial(struct port *p);
/* Likewise, but not at once. */
void port_dial_later(struct port *p);
bool port_set_nonblocking(int fd, GError **error);

/* port_tap.c */

/* Reads frames as net_stream_read() does. */
ssize_t port_tap_read(struct port *p);
/* Writes a frame; 0 or -errno. */
int port_tap_write(struct port *p, const struct bridge_frame *f);

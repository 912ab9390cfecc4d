/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-can from the inside: messages (virtio 1.4 §5.20; Linux has no header of them before
 * 7.0), the controller's state, and links to a bus: an interface of the host (can_socket.c), or a
 * bus of Unix sockets (can_bus.c).
 */
#pragma once

#include "daemon/device.h"

#include <linux/can.h>

/* Feature bits. */
enum { CAN_F_CLASSIC, CAN_F_FD, CAN_F_RTR, CAN_F_LATE_TX_ACK };
#define CAN_STATUS_BUSOFF 1 /* in the configuration space */

enum can_queue { CAN_TX, CAN_RX, CAN_CONTROL, CAN_QUEUES };

enum can_message {
	CAN_MSG_TX = 0x0001,
	CAN_MSG_RX = 0x0101,
	CAN_MSG_START = 0x0201,
	CAN_MSG_STOP = 0x0202,
};

enum can_result { CAN_RESULT_OK, CAN_RESULT_NOT_OK };

#define CAN_MSG_EXTENDED 0x8000u
#define CAN_MSG_FD 0x4000u
#define CAN_MSG_RTR 0x2000u

/* What is before a frame's data, little-endian; both ways. */
struct can_head {
	uint16_t type; /* enum can_message */
	uint16_t length; /* of the data; of an RTR frame: what it asks for */
	uint8_t dlc, padding;
	uint16_t xl_priority;
	uint32_t flags; /* CAN_MSG_* */
	uint32_t id;
};

/*
 * Inside the program, and on a bus of Unix sockets, a frame is Linux' struct canfd_frame, of CAN FD
 * if CANFD_FDF is among its flags.
 */
#ifndef CANFD_FDF
#define CANFD_FDF 4
#endif

enum can_state { CAN_STOPPED, CAN_STARTED, CAN_BUS_OFF };

struct can;

/* Links run as device verbs, with or without a guest. */
struct can_link {
	/*
	 * Sends a frame of the guest's. Returns 0: it is on the bus; 1: can_tx_acked() will be
	 * called; -EAGAIN: not now, can_tx_resume() will be; or another -errno.
	 */
	int (*send)(struct can *c, const struct canfd_frame *f);
	/* There is room for received frames again. NULL: nothing to do. */
	void (*resume)(struct can *c);
	void (*close)(struct can *c);
};

/* Received frames that wait for the guest's buffers. */
#define CAN_FIFO 256
/* Sent frames whose acknowledgement is waited for. */
#define CAN_MAX_PENDING 32

struct can {
	struct virtio_device *d;
	const struct can_link *link;
	void *link_data;
	enum can_state state;
	bool is_down; /* the link cannot carry frames: START fails */
	bool begun; /* a driver has used this device */
	uint64_t features; /* negotiated; also for frames that come while no queue runs */
	unsigned n_connections; /* of a bus */
	struct log_limit limit;

	/* can_tx.c */
	struct vq_chain *pending[CAN_MAX_PENDING];
	uint32_t pending_id[CAN_MAX_PENDING];
	unsigned n_pending;
	struct virtio_timer ack_timer;

	/* can_rx.c */
	struct canfd_frame fifo[CAN_FIFO];
	unsigned first, n_frames;
	bool waits; /* START has just been answered: frames are held back */
	struct virtio_timer rx_timer;
	uint64_t n_dropped;
};

/* can_tx.c: serves the next frame; false: there is none, or it cannot be sent now. */
bool can_tx_serve(struct can *c, struct vq *q);
/* The oldest frame with this identifier is on the bus, and so are those before it. */
void can_tx_acked(struct can *c, uint32_t id);
/* The link takes frames again. */
void can_tx_resume(struct can *c);
/* Fails all that is pending, and (rest) all that the guest has queued. */
void can_tx_fail(struct can *c, bool rest);
/* The queue stops: what is not acknowledged soon fails. */
void can_tx_stop(struct can *c, struct vq *q);
void can_tx_expired(struct virtio_device *d, struct vq *q, struct virtio_timer *t);

/* can_rx.c: takes a frame that was received; it is dropped unless the controller is started. */
void can_rx_take(struct can *c, const struct canfd_frame *f);
/* Returns false if the link has to wait for resume(). */
bool can_rx_has_room(const struct can *c);
/* Gives the guest what its buffers have room for. */
void can_rx_deliver(struct can *c);
/* Holds frames back for a moment, and forgets those of before. */
void can_rx_start(struct can *c);
void can_rx_stop(struct can *c);
void can_rx_expired(struct virtio_device *d, struct vq *q, struct virtio_timer *t);

/* can.c: changes the state, which the guest and clients of the control socket are told. */
void can_set_state(struct can *c, enum can_state state);
/* The link can carry no frames (any more), or can again. */
void can_link_down(struct can *c, bool is_down);

/* Returns true if a frame can be one: length, identifier, kind. */
bool can_is_frame(const struct canfd_frame *f);

/* can_control.c */
extern const struct virtio_method can_methods[];
void can_state_event(struct can *c);

/* can_socket.c: opens an interface of the host, and takes away features that it has not. */
bool can_socket_open(struct can *c, const char *interface, GError **error);
/* can_bus.c: joins the bus at "unix:PATH", or makes it; "null": a bus without others. */
bool can_bus_open(struct can *c, const char *where, GError **error);
#define CAN_BUS_NODES 32 /* connections */

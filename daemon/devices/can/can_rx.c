/* SPDX-License-Identifier: Apache-2.0 */
/* Frames for the guest. */
#include "daemon/devices/can/can.h"

/*
 * Linux' driver opens its eyes a moment after START has been answered: an interrupt that comes
 * before that is lost, and so would be all that follow.
 */
#define START_US 5000

bool can_rx_has_room(const struct can *c)
{
	return c->n_frames < CAN_FIFO;
}

static bool is_negotiated(const struct can *c, const struct canfd_frame *f)
{
	uint64_t needs = 1ull << (f->flags & CANFD_FDF ? CAN_F_FD : CAN_F_CLASSIC);

	if (f->can_id & CAN_RTR_FLAG)
		needs |= 1ull << CAN_F_RTR;
	return (c->features & needs) == needs;
}

void can_rx_take(struct can *c, const struct canfd_frame *f)
{
	if (c->state != CAN_STARTED || !is_negotiated(c, f))
		return;
	if (!can_rx_has_room(c)) {
		c->n_dropped++;
		return;
	}
	c->fifo[(c->first + c->n_frames++) % CAN_FIFO] = *f;
	can_rx_deliver(c);
}

/* Writes a frame into a buffer of the guest's; a remote frame has zeroes for data. */
static void push(struct iov_cursor *in, const struct canfd_frame *f)
{
	bool is_extended = f->can_id & CAN_EFF_FLAG;
	const struct can_head h = {
		.type = htole16(CAN_MSG_RX),
		.length = htole16(f->len),
		.flags = htole32((is_extended ? CAN_MSG_EXTENDED : 0) |
			(f->flags & CANFD_FDF ? CAN_MSG_FD : 0) |
			(f->can_id & CAN_RTR_FLAG ? CAN_MSG_RTR : 0)),
		.id = htole32(f->can_id & (is_extended ? CAN_EFF_MASK : CAN_SFF_MASK)),
	};

	iov_push(in, &h, sizeof(h));
	if (f->can_id & CAN_RTR_FLAG)
		iov_push_zeroes(in, f->len);
	else
		iov_push(in, f->data, f->len);
}

/* Gives the guest the oldest frame; returns false if it has no buffer. */
static bool deliver(struct can *c, struct vq *q)
{
	g_autoptr(vq_chain) b = vq_pop(q);
	const struct canfd_frame *f = &c->fifo[c->first];

	if (!b)
		return false;
	if (iov_left(&b->in) < sizeof(struct can_head) + f->len) {
		vq_break(q, "a buffer of %zu bytes for a frame of %zu", iov_left(&b->in),
			sizeof(struct can_head) + f->len);
		return false;
	}
	push(&b->in, f);
	c->first = (c->first + 1) % CAN_FIFO;
	c->n_frames--;
	return true;
}

void can_rx_deliver(struct can *c)
{
	struct vq *q = virtio_device_queue(c->d, CAN_RX);
	bool was_full = !can_rx_has_room(c);

	while (q && !c->waits && c->n_frames && deliver(c, q))
		;
	if (was_full && can_rx_has_room(c) && c->link->resume)
		c->link->resume(c);
}

void can_rx_start(struct can *c)
{
	can_rx_stop(c);
	c->waits = true;
	virtio_timer(c->d, NULL, &c->rx_timer, g_get_monotonic_time() + START_US);
}

void can_rx_stop(struct can *c)
{
	bool was_full = !can_rx_has_room(c);

	c->waits = false;
	c->first = c->n_frames = 0;
	if (was_full && c->link->resume)
		c->link->resume(c);
}

void can_rx_expired(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	struct can *c = d->data;

	c->waits = false;
	can_rx_deliver(c);
}

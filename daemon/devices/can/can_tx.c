/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of the guest. With LATE_TX_ACK one is acknowledged when it is on the bus, without it when
 * the link has it. One that was in flight when a back-end died may be on the bus: it is answered as
 * failed, and not sent again.
 */
#include <errno.h>

#include "daemon/devices/can/can.h"

/* How long the link may take for a frame; and for those that are pending when the queue stops. */
#define ACK_US 1000000
#define STOP_US 100000

static bool has(const struct can *c, unsigned feature)
{
	return c->features & 1ull << feature;
}

/* Fills in a frame from a request. Returns false if it is none that can be sent. */
static bool parse(const struct can *c, struct iov_cursor *out, struct canfd_frame *f)
{
	struct can_head h;
	uint32_t flags, id, length;

	memset(f, 0, sizeof(*f));
	if (iov_pull(out, &h, sizeof(h)) != sizeof(h) || le16toh(h.type) != CAN_MSG_TX)
		return false;
	flags = le32toh(h.flags);
	id = le32toh(h.id);
	length = le16toh(h.length);
	if (flags & ~(CAN_MSG_EXTENDED | CAN_MSG_FD | CAN_MSG_RTR) || id & ~CAN_EFF_MASK ||
		length > CANFD_MAX_DLEN || iov_left(out) < length ||
		!has(c, flags & CAN_MSG_FD ? CAN_F_FD : CAN_F_CLASSIC) ||
		(flags & CAN_MSG_RTR && !has(c, CAN_F_RTR)))
		return false;
	f->can_id = id | (flags & CAN_MSG_EXTENDED ? CAN_EFF_FLAG : 0) |
		(flags & CAN_MSG_RTR ? CAN_RTR_FLAG : 0);
	f->len = (uint8_t)length;
	f->flags = flags & CAN_MSG_FD ? CANFD_FDF : 0;
	/* The driver leaves the data of a remote frame, which has none, as it is. */
	if (!(flags & CAN_MSG_RTR))
		iov_pull(out, f->data, length);
	return can_is_frame(f);
}

static void answer(struct vq_chain *r, enum can_result result)
{
	const uint8_t byte = (uint8_t)result;

	iov_push(&r->in, &byte, sizeof(byte));
	vq_push(r);
}

static void wait_for_ack(struct can *c, struct vq_chain *r, uint32_t id)
{
	if (!c->n_pending)
		virtio_timer(c->d, NULL, &c->ack_timer, g_get_monotonic_time() + ACK_US);
	c->pending_id[c->n_pending] = id;
	c->pending[c->n_pending++] = r;
}

bool can_tx_serve(struct can *c, struct vq *q)
{
	struct canfd_frame f;
	struct vq_chain *r;
	int result = -EIO;

	if (c->n_pending == CAN_MAX_PENDING)
		return false;
	r = vq_pop(q);
	if (!r)
		return false;
	if (!iov_left(&r->in)) {
		vq_break(q, "request has no room for a result");
		vq_push(r);
		return false;
	}
	if (c->state == CAN_STARTED && !vq_is_retry(r) && parse(c, &r->out, &f))
		result = c->link->send(c, &f);
	if (result == -EAGAIN) {
		vq_unpop(r);
		return false;
	}
	if (result == 1 && has(c, CAN_F_LATE_TX_ACK))
		wait_for_ack(c, r, f.can_id);
	else
		answer(r, result < 0 ? CAN_RESULT_NOT_OK : CAN_RESULT_OK);
	return true;
}

/* Answers the first n of those that are pending. */
static void answer_first(struct can *c, unsigned n, enum can_result result)
{
	for (unsigned i = 0; i < n; i++)
		answer(c->pending[i], result);
	c->n_pending -= n;
	memmove(c->pending, c->pending + n, c->n_pending * sizeof(c->pending[0]));
	memmove(c->pending_id, c->pending_id + n, c->n_pending * sizeof(c->pending_id[0]));
	virtio_timer(
		c->d, NULL, &c->ack_timer, c->n_pending ? g_get_monotonic_time() + ACK_US : -1);
}

void can_tx_acked(struct can *c, uint32_t id)
{
	bool was_full = c->n_pending == CAN_MAX_PENDING;
	unsigned i = 0;

	while (i < c->n_pending && c->pending_id[i] != id)
		i++;
	if (i == c->n_pending)
		return;
	answer_first(c, i + 1, CAN_RESULT_OK);
	if (was_full)
		can_tx_resume(c);
}

void can_tx_resume(struct can *c)
{
	struct vq *q = virtio_device_queue(c->d, CAN_TX);

	while (q && can_tx_serve(c, q))
		;
}

void can_tx_fail(struct can *c, bool rest)
{
	if (c->n_pending)
		answer_first(c, c->n_pending, CAN_RESULT_NOT_OK);
	if (rest)
		can_tx_resume(c);
}

void can_tx_stop(struct can *c, struct vq *q)
{
	if (c->n_pending)
		virtio_timer(c->d, NULL, &c->ack_timer, g_get_monotonic_time() + STOP_US);
}

void can_tx_expired(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	struct can *c = d->data;

	if (c->n_pending)
		log_limited(&c->limit, LOG_LEVEL_WARNING, NULL,
			"%u frames fail: the bus has not acknowledged them", c->n_pending);
	can_tx_fail(c, true);
}

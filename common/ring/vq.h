/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtqueue as a device sees it: requests ("chains") to take and to complete. The device knows
 * neither the vring's format (split, packed) nor guest addresses nor threads; the owner of the
 * vring (vq_engine.h) publishes what was completed, and notifies the driver, when the callback
 * returns, and in between every few completions.
 *
 *	for (;;) {
 *		g_autoptr(vq_chain) c = vq_pop(q);	// end of scope: vq_push()
 *
 *		if (!c)
 *			return;
 *		n = getrandom(buf, MIN(sizeof(buf), iov_left(&c->in)), 0);
 *		...
 *		iov_push(&c->in, buf, n);
 *	}
 *
 * Group rule: a callback may pop from and push to every queue of its thread; the core publishes all
 * of them when it returns.
 *
 * A header that is known only after the data behind it (a frame's number of buffers, a length) is
 * written last, through a copy of the cursor:
 *
 *	struct iov_cursor head = c->in;
 *
 *	iov_skip(&c->in, sizeof(header));
 *	...					// the data, through &c->in
 *	iov_push(&head, &header, sizeof(header));
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/iov.h"

struct vq;

/* One request. Valid from vq_pop() to vq_push(), however long that takes. */
typedef struct vq_chain {
	struct iov_cursor out; /* what the driver wrote for the device */
	struct iov_cursor in; /* where the device answers; in.done becomes the used length */
	struct vq *q;
} vq_chain;

/*
 * Returns the next request, its memory borrowed; NULL: none, the queue is broken or stopping, or
 * this burst was long enough (the core then calls kick again by itself). Batches are fetched behind
 * this call. A chain that is malformed breaks the queue.
 */
struct vq_chain *vq_pop(struct vq *q);
/*
 * Puts a request back to the front: vq_pop() returns it again, from its beginning. For "cannot
 * serve it now"; several are put back in the reverse of the order in which they were popped.
 */
void vq_unpop(struct vq_chain *c);
/*
 * Completes a request; c becomes invalid. On a queue that has broken, only its memory is given
 * back. NULL is nothing.
 */
void vq_push(struct vq_chain *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vq_chain, vq_push)

/*
 * Completes n requests of one queue (at most its size) in list order, atomically for the driver: it
 * sees all of them or none. For frames that span several buffers (net, MRG_RXBUF).
 */
void vq_push_all(struct vq_chain *const *c, unsigned n);
/*
 * Publishes what was completed on this queue: gives memory back in one call, publishes all by one
 * index store, calls at most once. The core does so by itself after a callback, queue by queue: so
 * a device calls this before it pushes a request of *another* queue that tells the driver that
 * these are done. Else the driver may see that one first, and if the back-end dies in between, the
 * driver has the answer while these run again.
 */
void vq_publish(struct vq *q);
/*
 * From queue_stop() on: hands back a request that can be neither completed nor failed now (an
 * interrupt that has not come). c becomes invalid. When the queue runs again, vq_pop() returns it
 * before any other request.
 */
void vq_keep(struct vq_chain *c);
/*
 * Returns true if the request was in flight when a previous back-end died, or was kept: its effect
 * may have happened in part. The device runs it again or fails it; not asking means running it.
 */
bool vq_is_retry(const struct vq_chain *c);
/*
 * Returns true if the driver used this queue before the present start (a pause, or a previous
 * process); false if it has just set the device up. Valid from queue_start() on.
 */
bool vq_is_resumed(const struct vq *q);
/* A type of requests, for statistics. */
struct vq_type {
	const char *name; /* NULL ends a table */
	unsigned overhead; /* bytes of each request that are no data: header, status */
};
/*
 * Say of which type a request is (device.h: request_types; without this of the first), and that it
 * has failed. For statistics, and before the request is completed.
 */
void vq_set_type(struct vq_chain *c, unsigned type);
void vq_set_failed(struct vq_chain *c);
/* Returns the memory of a request's device-writable buffers to the host (free page reporting). */
void vq_discard(struct vq_chain *c);

/*
 * Breaks the queue because the driver violates the specification ("request header is 3 bytes
 * long"): what is completed is published, then nothing more is taken from the queue or published to
 * it until the driver resets it; the reason is logged (rate-limited), the err fd is signalled and
 * the device status gets NEEDS_RESET. Sticky; the first reason counts.
 */
void vq_break(struct vq *q, const char *format, ...) __attribute__((format(printf, 2, 3)));

unsigned vq_index(const struct vq *q);
/* Returns "queue 0", for log lines. */
const char *vq_name(const struct vq *q);
/*
 * Returns true if the memory of this queue's requests may be pinned (O_DIRECT, registered
 * buffers); false: use a buffer of one's own. Constant while the queue runs.
 */
bool vq_can_pin(const struct vq *q);
/* Returns the negotiated virtio features. */
uint64_t vq_features(const struct vq *q);
/* Returns how many requests are popped and not pushed yet. */
unsigned vq_in_flight(const struct vq *q);
/* Stores a pointer of the device's own, per queue; NULL at first, kept over stop and start. */
void vq_set_data(struct vq *q, void *data);
void *vq_data(const struct vq *q);

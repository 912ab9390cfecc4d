/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of a vhost-user block back-end: one virtqueue in a memfd, and a fixed number of
 * requests, each with a buffer of its own. Fill in a request that is not busy, submit it, publish,
 * and wait until it is not busy any more.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "driver/driver_ring.h"
#include "vhost-user/front/vu_front.h"

struct blkio_options {
	unsigned queue; /* which virtqueue */
	unsigned queue_size;
	enum choice packed; /* the queue's format */
	unsigned depth; /* requests at a time; fewer if they do not fit the queue */
	uint32_t request_size; /* bytes of data; less if the device's limits say so */
	unsigned timeout_ms; /* without any completion */
	bool strict; /* a used length that is too large is an error */
	int cancel_fd; /* readable: give up waiting; -1: none */
};

/* What the device says, and what became of the options. */
struct blkio_info {
	uint64_t features; /* negotiated */
	uint64_t capacity; /* bytes */
	uint32_t block_size;
	uint32_t request_size;
	unsigned depth;
	bool read_only, flush;
};

struct blkio_request {
	void *data; /* request_size bytes; the driver's while busy */
	uint32_t type; /* VIRTIO_BLK_T_IN, _OUT, _FLUSH */
	uint32_t len; /* whole blocks */
	uint64_t offset; /* bytes */
	bool busy;
	uint8_t status; /* VIRTIO_BLK_S_…, once done */
};

typedef struct blkio blkio; /* for g_autoptr */

/* Negotiates, shares memory, starts the queue. f stays the caller's and must outlive it. */
struct blkio *blkio_new(struct vu_front *f, const struct blkio_options *o, GError **error);
/* Stops the queue: what is in flight is done or left before this returns. Resets the device. */
void blkio_free(struct blkio *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(blkio, blkio_free)

const struct blkio_info *blkio_info(const struct blkio *b);
/* Used lengths that were too large so far. */
const struct driver_excess *blkio_excess(const struct blkio *b);
/* Request i of info.depth. */
struct blkio_request *blkio_request(struct blkio *b, unsigned i);
/* The device sees it with the next blkio_publish(). */
bool blkio_submit(struct blkio *b, struct blkio_request *r, GError **error);
/* Publishes, and kicks if the device wants it. */
void blkio_publish(struct blkio *b);
/* The next request that is done; NULL, without an error: none is. */
struct blkio_request *blkio_reap(struct blkio *b, GError **error);
/* Likewise, but sleeps until there is one. NULL: error says why there will be none. */
struct blkio_request *blkio_wait(struct blkio *b, GError **error);
/* Did it succeed? The error names the request. */
bool blkio_check(const struct blkio_request *r, GError **error);

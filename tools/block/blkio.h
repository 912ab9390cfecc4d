/* SPDX-License-Identifier: Apache-2.0 */
/* One running queue of a vhost-user block back-end, and the wait for its requests. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/block/blk_driver.h"
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

typedef struct blkio blkio; /* for g_autoptr */

struct blkio {
	struct blk_device device; /* features: negotiated */
	struct blkio_queue queue; /* for blkio_queue_add() and blkio_queue_publish() */

	/* Private. */
	struct vu_front *f;
	struct blkio_options options;
	struct driver_mem *mem;
	int call;
	bool started;
};

/* Negotiates, shares memory, starts the queue. f stays the caller's and must outlive it. */
struct blkio *blkio_new(struct vu_front *f, const struct blkio_options *o, GError **error);
/* Stops the queue: what is in flight is done or left before this returns. Resets the device. */
void blkio_free(struct blkio *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(blkio, blkio_free)

/* Sleeps until a request is done, and returns it. NULL: error says why there will be none. */
struct blkio_request *blkio_wait(struct blkio *b, GError **error);
/* Did it succeed? The error names the request. */
bool blkio_check(const struct blkio_request *r, GError **error);

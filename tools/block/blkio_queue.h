/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtqueue of a block device with a fixed number of requests, each with a buffer of its own.
 * Everything that virtioctl reads, writes and measures goes through here: fill in a request that is
 * not busy, add it, publish, and reap it. All of it belongs to one thread; only
 * blkio_queue_init() allocates, and nothing waits.
 */
#pragma once

#include <glib.h>
#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "driver/driver_ring.h"

/* What the device reads and writes besides the data: a cache line for each request. */
struct blkio_wire {
	struct virtio_blk_outhdr header;
	uint8_t status;
};

struct blkio_request {
	void *data; /* request_size bytes; the device's while busy */
	uint64_t offset; /* bytes on the device */
	uint32_t type; /* VIRTIO_BLK_T_IN, _OUT, _FLUSH */
	uint32_t len; /* whole blocks; none for a flush */
	bool busy;

	/* The queue's own: where the request is, and its buffers for laid_out bytes of data. */
	struct blkio_wire *wire;
	uint64_t data_addr;
	struct driver_buf *bufs; /* header, data in segments, status */
	unsigned n_bufs; /* 0: not laid out yet */
	uint32_t laid_out;
};

/* Everything that sets queues apart. */
struct blkio_layout {
	uint64_t features; /* negotiated */
	unsigned size; /* descriptors */
	unsigned depth; /* requests */
	uint32_t request_size, segment_size; /* blk_device_fit() */
	bool strict; /* a used length that is too large is an error; otherwise it is cut */
};

struct blkio_queue {
	struct blkio_layout layout;
	struct driver_ring *ring;
	int kick;
	bool kick_full; /* the back-end has filled it: eventfd_signal_fast() */
	struct blkio_request *requests; /* layout.depth */
	struct driver_buf *bufs; /* of all requests */
};

/* Returns the buffers of the longest request: header, segments, status. */
unsigned blkio_queue_buffers(const struct blkio_layout *l);
/* Returns the descriptors of the vring that the longest request takes: one, if indirect. */
unsigned blkio_queue_descriptors(const struct blkio_layout *l);
/* Returns the most requests, up to wanted, that such a queue holds at a time. */
unsigned blkio_queue_depth(const struct blkio_layout *l, unsigned wanted);
/* Returns the bytes of shared memory that such a queue takes at the most. */
uint64_t blkio_queue_footprint(const struct blkio_layout *l);
/* Makes vring, requests and kick. On failure, too, blkio_queue_clear() frees what there is. */
bool blkio_queue_init(struct blkio_queue *q, struct driver_mem *mem, const struct blkio_layout *l,
	GError **error);
/* Frees it; does nothing to a queue of zeroes whose kick is -1. The memory stays allocated. */
void blkio_queue_clear(struct blkio_queue *q);

/* Adds a request, which the device sees with the next blkio_queue_publish(). */
bool blkio_queue_add(struct blkio_queue *q, struct blkio_request *r, GError **error);
/* Publishes what was added. Returns true if the device wanted a kick, and got it. */
bool blkio_queue_publish(struct blkio_queue *q);
/* Sets the error of a reap that failed, and returns NULL. */
struct blkio_request *blkio_queue_fail(const struct blkio_queue *q, int rc, GError **error);

/* Returns the next request that is done; NULL without an error: none is. */
static inline struct blkio_request *blkio_queue_reap(struct blkio_queue *q, GError **error)
{
	struct blkio_request *r;
	uint32_t len;
	void *token;
	int rc = driver_ring_reap(q->ring, &token, &len);

	if (rc < 0)
		return blkio_queue_fail(q, rc, error);
	if (rc == 0)
		return NULL;
	r = token;
	r->busy = false;
	return r;
}

/* Returns the status of a request that is done; VIRTIO_BLK_S_OK if it never was added. */
static inline uint8_t blkio_request_status(const struct blkio_request *r)
{
	return __atomic_load_n(&r->wire->status, __ATOMIC_RELAXED);
}

/* Returns "read", "write" or "flush". */
const char *blkio_type_name(uint32_t type);
/* Returns the meaning of a status that is an error; NULL: there is no such status. */
const char *blkio_status_name(uint8_t status);

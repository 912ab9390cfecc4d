/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the drivers of block virtqueues have in common: the layout of requests, and the way to
 * running queues and back (virtio 1.2 §3.1.1). How requests are issued and reaped is their own.
 */
#pragma once

#include <glib.h>
#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "driver/driver_ring.h"
#include "tools/block/blk_device.h"

#define BLK_DATA_ALIGN 4096u
#define BLK_WIRE_ALIGN 64u

/* What the device reads and writes besides the data: a cache line for each request. */
struct blk_wire {
	struct virtio_blk_outhdr header;
	uint8_t status;
};

/* Text for the error of driver_ring_reap(). To be freed. */
char *blk_reap_error(const struct driver_ring *r, int err);
/* Warns, once, of used lengths that were cut. name: the back-end's. */
void blk_warn_excess(const char *name, const struct driver_excess *excess);

/* Sets the header. offset: bytes on the device. */
static inline void blk_wire_set(struct blk_wire *w, uint32_t type, uint64_t offset)
{
	w->header.type = htole32(type);
	w->header.sector = htole64(offset / BLK_SECTOR);
	w->status = 0xff; /* none of the statuses: shows one that was not written */
}

/*
 * Fills in the buffers of a request, by guest addresses: header, len bytes of data in segments,
 * status. Returns how many they are.
 */
unsigned blk_wire_buffers(
	uint64_t wire, uint64_t data, uint32_t len, uint32_t segment_size, struct driver_buf *bufs);

/* Returns "read", "write" or "flush". */
const char *blk_type_name(uint32_t type);
/* Returns the meaning of a status that is an error; NULL: there is no such status. */
const char *blk_status_name(uint8_t status);

/*
 * Settles one of the ring features, whose bits in *features are the offered ones. The error of
 * CTL_ERROR names the option.
 */
bool blk_choose_feature(
	uint64_t *features, unsigned bit, enum choice choice, const char *option, GError **error);

/* Negotiates the features and shares the memory. DRIVER_OK is the caller's to add to *status. */
bool blk_driver_begin(struct vu_front *f, uint64_t features, const struct driver_mem *mem,
	uint8_t *status, GError **error);
/* Starts queue i, which must be stopped later even on failure. */
bool blk_driver_start_queue(struct vu_front *f, unsigned i, struct driver_ring *ring, unsigned size,
	int kick, int call, GError **error);
/* Stops n queues and resets the device; does nothing if n is 0 or the back-end has ended. */
void blk_driver_end(struct vu_front *f, unsigned first, unsigned n);

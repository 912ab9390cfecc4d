/* SPDX-License-Identifier: Apache-2.0 */
/* A block driver's way to running queues and back (virtio 1.2 §3.1.1), and what may end it. */
#pragma once

#include <glib.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/choice.h"
#include "tools/block/blk_device.h"
#include "tools/block/blkio_queue.h"

/* What the driver can do besides reading and writing, for blk_device_read(). */
#define BLK_RING_FEATURES                                                                 \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC | \
		UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX | UINT64_C(1) << VIRTIO_F_RING_PACKED)

/*
 * Settles one of the ring features, whose bits in *features are the offered ones. The error of
 * CTL_ERROR names the option.
 */
bool blk_choose_feature(
	uint64_t *features, unsigned bit, enum choice choice, const char *option, GError **error);

/* Negotiates the features and shares the memory. DRIVER_OK is the caller's to add to *status. */
bool blk_driver_begin(struct vu_front *f, uint64_t features, const struct driver_mem *mem,
	uint8_t *status, GError **error);
/*
 * Starts queue i, new or as another back-end has left it, which must be stopped later even on
 * failure.
 */
bool blk_driver_start_queue(
	struct vu_front *f, unsigned i, const struct blkio_queue *q, int call, GError **error);
/* Stops n queues and resets the device; does nothing if n is 0 or the back-end has ended. */
void blk_driver_end(struct vu_front *f, unsigned first, unsigned n);

/*
 * Serves the back-end's channel, which is readable. False: there will be no more completions. A
 * new capacity does not matter to requests.
 */
bool blk_driver_serve(struct vu_front *f, GError **error);
/* Warns of used lengths that were cut, and returns true if any were. name: the back-end's. */
bool blk_warn_excess(const char *name, const struct blkio_queue *q);

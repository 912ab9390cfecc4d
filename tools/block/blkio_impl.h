/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by blkio.c and blkio_setup.c alone. */
#pragma once

#include <linux/virtio_blk.h>

#include "tools/block/blkio.h"
#include "driver/driver_ring.h"

/* What the device reads and writes besides the data; one slot of each per request. */
struct blkio_wire {
	struct virtio_blk_outhdr header;
	uint8_t status;
};

struct blkio_slot {
	struct blkio_request request; /* what the caller sees */
	struct blkio_wire *wire;
	uint64_t wire_addr, data_addr;
};

struct blkio {
	struct vu_front *f;
	struct blkio_options options;
	struct blkio_info info;
	uint32_t segment_size;
	struct driver_mem *mem;
	struct driver_ring *ring;
	struct blkio_slot *slots;
	int kick, call;
	bool started;
};

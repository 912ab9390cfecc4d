/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by blkio.c and blkio_setup.c alone. */
#pragma once

#include "tools/block/blk_driver.h"
#include "tools/block/blkio.h"

struct blkio_slot {
	struct blkio_request request; /* what the caller sees */
	struct blk_wire *wire;
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
	bool kick_full; /* the back-end has filled it: eventfd_signal_fast() */
	bool started;
};

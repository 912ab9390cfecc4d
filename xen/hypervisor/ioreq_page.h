/* SPDX-License-Identifier: Apache-2.0 */
/* Layout of the ioreq page (xen/hvm/ioreq.h); host and Xen are both little-endian. */
#pragma once

#include <stdint.h>

/* Xen's struct ioreq: one per vCPU, from the start of the page. */
struct ioreq_slot {
	uint64_t addr, data;
	uint32_t count, size;
	uint32_t vp_eport;
	uint16_t pad;
	uint8_t bits; /* state and flags in one byte: they change together */
	uint8_t type;
};
_Static_assert(sizeof(struct ioreq_slot) == 32, "struct ioreq");

#define IOREQ_STATE_BITS 0x0fu
#define IOREQ_DATA_IS_PTR 0x10u
#define IOREQ_DIR_READ 0x20u

enum ioreq_state {
	IOREQ_NONE,
	IOREQ_READY,
	IOREQ_INPROCESS,
	IOREQ_RESP_READY,
};

/* The types that guests with virtio-mmio devices cause. */
#define IOREQ_COPY 1 /* a memory access */
#define IOREQ_INVALIDATE 8

/* SPDX-License-Identifier: Apache-2.0 */
/* Internals shared by virtio_mmio.c (the object) and mmio_regs.c (the registers). */
#pragma once

#include <stdatomic.h>

#include "mmio/virtio_mmio.h"

struct virtio_mmio {
	const struct virtio_mmio_ops *ops;
	void *opaque;
	struct virtio_mmio_shm *shm;
	unsigned n_shm;
	struct virtio_mmio_state *s, *own; /* own: NULL if it is the caller's */
};

/* Stores before it are in the state if any after it is, for a successor that reads it. */
static inline void mmio_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

struct row;

/* What a row's function gets to see of an access. */
struct access {
	struct virtio_mmio *m;
	const struct row *row;
	struct virtio_mmio_queue *q; /* the selected one; NULL if there is none */
};

struct row {
	uint32_t (*read)(const struct access *a);
	enum virtio_mmio_result (*write)(const struct access *a, uint32_t value);
	bool needs_queue;
	/* For functions that several rows share: which member, which half of it. */
	uint16_t member;
	uint8_t shift;
};

/* By offset / 4; a register that there is not has neither function. */
extern const struct row mmio_rows[VIRTIO_MMIO_CONFIG_SPACE / 4];

/* Tells the owner of a mistake of the driver's. */
void mmio_mistake(const struct virtio_mmio *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Registers back to their start; the interrupt line falls. */
void mmio_reset(struct virtio_mmio *m);

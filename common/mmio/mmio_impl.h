/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by virtio_mmio.c (the object) and mmio_regs.c (the registers), and nobody else. */
#pragma once

#include "mmio/virtio_mmio.h"

/* All that the driver can change is in here, and nowhere else. */
struct registers {
	uint32_t device_features_sel, driver_features_sel, queue_sel, shm_sel;
	uint64_t driver_features;
	uint32_t interrupt_status;
	uint8_t status;
	struct virtio_mmio_queue queue[VIRTIO_MAX_QUEUES];
};

struct virtio_mmio {
	const struct virtio_mmio_ops *ops;
	void *opaque;
	struct virtio_probe probe; /* device_id 0: an empty slot */
	uint32_t queue_size_max;
	struct virtio_mmio_shm *shm;
	unsigned n_shm;
	bool used_always;
	uint32_t generation; /* outlives a reset: a value must not come back soon */
	struct registers reg;
};

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

/* Registers back to their start; the interrupt line falls. */
void mmio_reset(struct virtio_mmio *m);

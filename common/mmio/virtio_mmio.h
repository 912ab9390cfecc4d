/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-mmio register window, version 2 (virtio 1.2 §4.2.2): what a driver reads and writes,
 * and what that means, told to the owner by callbacks. No sockets, no memory, no threads, no
 * devices: one caller at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "virtio/probe.h"

/* Offset of the configuration space; the window is this plus the configuration's size. */
#define VIRTIO_MMIO_CONFIG_SPACE 0x100

enum virtio_mmio_result {
	VIRTIO_MMIO_DONE, /* the access is complete */
	VIRTIO_MMIO_LATER, /* the owner completes it; until then the accessing vCPU stands still */
};

/* A queue as the driver set it up. */
struct virtio_mmio_queue {
	uint32_t size; /* descriptors */
	bool ready;
	uint64_t desc, driver, device; /* guest addresses of the three areas */
};

struct virtio_mmio_ops {
	/*
	 * The driver wrote Status and changed it, or reset; m has the new value (0: reset, the
	 * registers are back at their start already). FEATURES_OK has been taken back already if
	 * the features were not a subset or lack VERSION_1, DRIVER_OK if it came without
	 * FEATURES_OK.
	 */
	enum virtio_mmio_result (*status)(void *opaque, uint8_t old_status, uint8_t new_status);
	/*
	 * QueueReady changed. On true the queue is set up: its size is not 0, within the maximum,
	 * and a power of two unless RING_PACKED; the addresses are as the driver left them.
	 */
	enum virtio_mmio_result (*queue_ready)(void *opaque, unsigned queue, bool ready);
	/*
	 * QueueReset of a queue that was ready (RING_RESET negotiated): its registers are back at
	 * their start already, the write completes when the device has let go of it.
	 */
	enum virtio_mmio_result (*queue_reset)(void *opaque, unsigned queue);
	/* QueueNotify, of a queue that is ready. */
	void (*queue_notify)(void *opaque, unsigned queue);
	/*
	 * An access of size 1, 2, 4 or 8 inside the configuration space. Reads set *value; on
	 * LATER the owner hands the value over itself.
	 */
	enum virtio_mmio_result (*config)(
		void *opaque, bool write, uint32_t offset, unsigned size, uint64_t *value);
	/*
	 * A bit of InterruptStatus was set, or is still set after an ACK of others (true), or the
	 * last one is gone (false). Pulse an edge-triggered line at every true.
	 */
	void (*interrupt)(void *opaque, bool level);
	/*
	 * The driver did what it must not, and the registers ignored or refused it; or it has given
	 * up (FAILED). what: for a log, to be limited. Not after every access that is ignored: only
	 * where the driver may wait for ever.
	 */
	void (*mistake)(void *opaque, const char *what);
};

/* A shared memory region (§4.2.2: SHMSel …). */
struct virtio_mmio_shm {
	uint8_t id;
	uint64_t base, len; /* guest address, bytes */
};

/* What the driver has set, and nothing else: a reset clears it. */
struct virtio_mmio_registers {
	uint32_t device_features_sel, driver_features_sel, queue_sel, shm_sel;
	uint64_t driver_features;
	uint32_t interrupt_status;
	uint8_t status;
	struct virtio_mmio_queue queue[VIRTIO_MAX_QUEUES];
};

/*
 * All that the driver sees and has set. Plain memory, so that it can be shared, zeroed at first;
 * only virtio_mmio writes to it. A process that dies at any instruction leaves it such that its
 * successor can repeat the driver's unfinished access from the start.
 */
struct virtio_mmio_state {
	struct virtio_probe probe; /* device_id 0: an empty slot */
	uint32_t queue_size_max;
	uint32_t used_always; /* bool */
	uint32_t generation; /* outlives a reset: a value must not come back soon */
	struct virtio_mmio_registers reg;
};

struct virtio_mmio;

/*
 * An empty slot: DeviceID reads 0 and drivers go away, until virtio_mmio_set_device(). Or what a
 * predecessor left in state, which stays the caller's; NULL: one of its own.
 */
struct virtio_mmio *virtio_mmio_new(
	const struct virtio_mmio_ops *ops, void *opaque, struct virtio_mmio_state *state);
void virtio_mmio_free(struct virtio_mmio *m);
/*
 * What sits in the slot; queue_size_max is the same for all queues (no message on the wire says
 * it). All registers go back to their start. NULL empties the slot.
 */
void virtio_mmio_set_device(
	struct virtio_mmio *m, const struct virtio_probe *probe, uint32_t queue_size_max);
/* Replaces the list; the regions are copied. */
void virtio_mmio_set_shm(struct virtio_mmio *m, const struct virtio_mmio_shm *shm, unsigned n);

/*
 * One access of the driver: size 1, 2, 4 or 8 bytes. Registers want aligned accesses of 4 bytes;
 * anything else there, and any unknown register, reads 0 and ignores writes. *value: in for
 * writes, out for reads (unless LATER).
 */
enum virtio_mmio_result virtio_mmio_access(
	struct virtio_mmio *m, uint64_t offset, unsigned size, bool write, uint64_t *value);

/*
 * Returns what a driver reads from a slot that is known to be empty, for owners that have no
 * virtio_mmio for it: what it is (§4.2.3.1.1), and no device.
 */
uint64_t virtio_mmio_read_empty(uint64_t offset, unsigned size);

/* What the driver made of it. */
uint8_t virtio_mmio_status(const struct virtio_mmio *m);
uint64_t virtio_mmio_driver_features(const struct virtio_mmio *m);
/* NULL for a queue that there is not. */
const struct virtio_mmio_queue *virtio_mmio_queue(const struct virtio_mmio *m, unsigned queue);

/* The device does not accept the features after all: FEATURES_OK is taken back. */
void virtio_mmio_refuse_features(struct virtio_mmio *m);

/* A used buffer notification: InterruptStatus bit 0 (if DRIVER_OK). */
void virtio_mmio_used(struct virtio_mmio *m);
/*
 * With an irqfd the calls do not come here: bit 0 then always reads as set while DRIVER_OK is, and
 * ops->interrupt speaks of the config bit alone.
 */
void virtio_mmio_used_always(struct virtio_mmio *m, bool always);
/*
 * The configuration changed: ConfigGeneration moves and InterruptStatus bit 1 is set (if
 * DRIVER_OK).
 */
void virtio_mmio_config_changed(struct virtio_mmio *m);
/* ConfigGeneration moves, without an interrupt. */
void virtio_mmio_config_touched(struct virtio_mmio *m);
/* Status gets DEVICE_NEEDS_RESET, with a configuration interrupt if DRIVER_OK. */
void virtio_mmio_needs_reset(struct virtio_mmio *m);
/*
 * After a predecessor's death: it may have died before the interrupt that it meant to raise, so the
 * line gets what it should have, and a driver that runs is interrupted once for nothing.
 */
void virtio_mmio_resume(struct virtio_mmio *m);

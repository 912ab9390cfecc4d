/* SPDX-License-Identifier: Apache-2.0 */
/* A fake owner of a virtio-mmio window, and a driver's reads and writes. */
#pragma once

#include "tests/lib/test.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "mmio/virtio_mmio.h"

#ifndef VIRTIO_MMIO_QUEUE_RESET
#define VIRTIO_MMIO_QUEUE_RESET 0x0c0
#endif
#define VERSION_1 (UINT64_C(1) << VIRTIO_F_VERSION_1)
#define PACKED (UINT64_C(1) << VIRTIO_F_RING_PACKED)
#define RING_RESET (UINT64_C(1) << VIRTIO_F_RING_RESET)
#define LO(x) ((uint32_t)(x))
#define HI(x) ((uint32_t)((x) >> 32))

/* Everything up to and with FEATURES_OK. */
#define S_FEATURES \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define S_ALL (S_FEATURES | VIRTIO_CONFIG_S_DRIVER_OK)

extern const struct virtio_probe probe;

/* Notes every call, answers as told. */
struct owner {
	struct virtio_mmio *m;
	enum virtio_mmio_result answer;
	unsigned calls, status_calls, ready_calls, reset_calls, notify_calls, config_calls;
	unsigned rises, falls, mistakes;
	char mistake[128]; /* the last one */
	uint8_t old_status, new_status;
	unsigned queue;
	bool ready, write;
	uint32_t offset;
	unsigned size;
	uint64_t value;
	uint8_t config[64];
};

extern const struct virtio_mmio_ops owner_ops;

int owner_setup(void **state);
int owner_teardown(void **state);

uint32_t rd(struct owner *o, uint64_t offset);
enum virtio_mmio_result wr(struct owner *o, uint64_t offset, uint32_t value);
void write_features(struct owner *o, uint64_t features);
void setup_queue(struct owner *o, unsigned queue, uint32_t size);
/* Through features and status to DRIVER_OK. */
void driver_ok(struct owner *o, uint64_t features);

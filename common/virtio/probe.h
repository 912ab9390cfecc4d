/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a front-end must know of a device before it can show it to a guest. A back-end declares it
 * as a constant; a front-end learns it over the socket (vhost-user PROBE, GET_QUEUE_NUM,
 * GET_FEATURES).
 */
#pragma once

#include <stdint.h>

/* The most virtqueues of one device: vring messages have eight bits for the index. */
#define VIRTIO_MAX_QUEUES 256
/* The largest configuration space: a virtio-mmio window of one page less its registers. */
#define VIRTIO_MAX_CONFIG (4096 - 0x100)

struct virtio_probe {
	uint32_t device_id; /* virtio 1.2 §5; 1 to 63 */
	uint32_t config_size; /* bytes of configuration space; 0: none */
	uint32_t min_queues; /* virtqueues a driver must set up at least */
	uint32_t max_queues; /* virtqueues there are */
	uint64_t features; /* virtio feature bits, as offered to the driver */
};

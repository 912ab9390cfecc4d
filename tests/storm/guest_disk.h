/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk of a guest that a test plays: virtiod-blk as a process, common/vmm between, memory of its
 * own. Driven by one thread.
 */
#pragma once

#include "tests/lib/test.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "driver/driver_ring.h"
#include "vmm/vmm_dev.h"

#define DISK_BLOCK 4096u
#define DISK_BLOCKS 1024u
#define DISK_RING 8u /* descriptors of its virtqueue */
#define DISK_DEPTH 6u /* requests at a time */

#define DISK_FEATURES_OK \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

struct disk_request {
	struct virtio_blk_outhdr *header;
	uint64_t *data;
	uint8_t *status;
	struct driver_buf bufs[3]; /* header, data, status */
};

struct disk {
	pid_t pid;
	char *path, *log; /* of the socket, and of the back-end's messages */
	struct driver_mem *mem;
	struct mem_region_desc region;
	int fd; /* of the memory */
	struct vmm_dev *d;

	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned interrupts; /* under the lock */

	uint64_t features; /* negotiated */
	struct driver_ring *ring;
	struct disk_request request[DISK_DEPTH];
};

/* Starts the program. image: made, and filled with zeroes. memory: bytes for vrings. */
struct disk *disk_new(struct test *t, const char *program, const char *name, uint64_t memory);
/* The back-end must have lived so far, and end well. */
void disk_free(struct disk *k);

/* Accesses of registers, complete on return. */
uint64_t disk_read(struct disk *k, uint64_t off, unsigned size);
void disk_write(struct disk *k, uint64_t off, unsigned size, uint64_t value);

/* Resets the device, negotiates features, and lays a new vring out. */
void disk_begin(struct disk *k, uint64_t features);
/* Tells the device of the vring. */
void disk_queue(struct disk *k);
void disk_driver_ok(struct disk *k);
void disk_notify(struct disk *k);

/* Makes request i available; data of a write is the caller's. */
void disk_add(struct disk *k, unsigned i, uint32_t type, uint64_t block);
/* Waits for the next interrupt after `seen`; false: none came. Acknowledges it. */
bool disk_interrupted(struct disk *k, unsigned *seen);

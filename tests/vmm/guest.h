/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with one device: memory, an interrupt line, a driver's register accesses; and its
 * back-end.
 */
#pragma once

#include "tests/lib/test.h"

#include <sys/eventfd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "tests/lib/fake_backend.h"
#include "vmm/vmm_dev.h"

#ifndef VIRTIO_MMIO_QUEUE_RESET
#define VIRTIO_MMIO_QUEUE_RESET 0x0c0
#endif

/* A limit for what a slow machine, too, does in time. */
#define WAIT_MS TEST_WAIT_MS
#define BASE UINT64_C(0x2000000)
#define MEMORY UINT64_C(0x40000000)
#define MEMORY_SIZE 0x100000
#define USER UINT64_C(0x7f0000000000)

#define S_FEATURES \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define S_ALL (S_FEATURES | VIRTIO_CONFIG_S_DRIVER_OK)

/* A vCPU's access. */
struct token {
	unsigned times; /* completed so often; under the guest's lock */
	uint64_t value;
};

struct guest {
	struct fake_backend *backend;
	struct vmm_dev *d;
	struct vmm_dev_config config;
	struct vmm_ops ops; /* for a test to change before there is a device */
	struct test test;
	char *path;

	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned rises, falls;
	unsigned n_regions;
	bool mapped;
	bool kernel; /* takes irqfds and ioeventfds */
	int irqfd[FAKE_QUEUES], ioeventfd[FAKE_QUEUES];
	unsigned n_irqfd;

	int memfd;
	uint8_t *memory;
	struct mem_region_desc desc;
	void *own; /* the test's */
};

/* With the back-end up, and no device yet. */
int guest_setup(void **state);
int guest_teardown(void **state);
/* Makes the device and waits for it. */
void guest_start(struct guest *g);
/* Makes it and does not. */
void guest_new_dev(struct guest *g);

/* An access that may be left for later; value for a write. */
enum virtio_mmio_result guest_access(
	struct guest *g, struct token *t, uint64_t off, unsigned size, bool write, uint64_t value);
/* Waits until it is complete, which it must be exactly once. */
uint64_t guest_wait(struct guest *g, struct token *t);
uint64_t rd(struct guest *g, uint64_t off, unsigned size);
void wr(struct guest *g, uint64_t off, unsigned size, uint64_t value);
uint32_t rd32(struct guest *g, uint64_t off);
void wr32(struct guest *g, uint64_t off, uint32_t value);

/* Addresses of the parts of a queue. */
uint64_t desc_of(unsigned queue);
uint64_t driver_of(unsigned queue);
uint64_t device_of(unsigned queue);
void guest_queue(struct guest *g, unsigned queue, uint32_t size);
/* Reset, features, FEATURES_OK. */
void guest_features(struct guest *g, uint64_t features);
/* All that, queues 0 and 2, DRIVER_OK; forgets the back-end's trace. */
void guest_driver_ok(struct guest *g);

/* SPDX-License-Identifier: Apache-2.0 */
/* The selftest guest: output, the virtio driver, and the tests of the devices it knows. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_MAX 32u

struct device {
	unsigned slot;
	bool again; /* the second time: it has been reported on */
	uint64_t base;
	uint32_t id;
	uint64_t features; /* negotiated */
	/* Queue 0, the only one used. */
	uint16_t size;
	uint16_t n_free, avail, used;
};

/* A piece of a request. */
struct piece {
	void *at;
	uint32_t len;
	bool in; /* the device writes it */
};

/* A line about the device, the first time: %s, %u and %x (32 bits). */
void report(const struct device *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Says why, with the slot, and returns false. */
bool fail(const struct device *d, const char *what);

#define FEATURE(bit) (UINT64_C(1) << (bit))
/* Reset, then negotiation of VERSION_1 and what of wanted is offered, queue 0, DRIVER_OK. */
bool device_start(struct device *d, uint64_t wanted);
/* Reset; the device has let go of the queue. */
bool device_reset(struct device *d);
/* A 64-bit field of the configuration space, in one piece. */
uint64_t device_config64(const struct device *d, unsigned offset);

/* Adds a request; its pieces are in order, those the device reads first. The queue has room. */
void queue_add(struct device *d, const struct piece *piece, unsigned n);
/* Kicks the device, waits until all that was added is used, and for the interrupt. */
bool queue_run(struct device *d);
/* What the device says that it has written, of the i-th request since queue_run() began. */
uint32_t queue_written(unsigned i);

/*
 * Reads the shared memory regions of a running device: of each the first bytes and the last page.
 * After device_reset() nothing is mapped there: all bytes are zero.
 */
bool shm_test(const struct device *d);
bool shm_is_zero(const struct device *d);

/* One of each device that is known here. */
bool block_test(struct device *d);
bool entropy_test(struct device *d);

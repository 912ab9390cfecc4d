/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vring and the device's side of it, of either format, driven step by step: no checks, it can
 * cheat.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "base/util.h"
#include "driver/driver_ring.h"
#include "memory/shm.h"
#include "tests/lib/test.h"

#define F_INDIRECT (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define F_EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define F_IN_ORDER (1ull << VIRTIO_F_IN_ORDER)
#define F_PACKED (1ull << VIRTIO_F_RING_PACKED)

#define P_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define P_USED (1u << VRING_PACKED_DESC_F_USED)

struct fake_device {
	struct driver_mem *mem;
	struct driver_ring *ring;
	unsigned size;
	bool is_packed, event_idx;
	/* Split: the areas, and indices. */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t last_avail, used_idx, called_idx;
	/* Packed: places count on and on; the pass and the place in it follow from them. */
	struct vring_packed_desc *packed;
	struct vring_packed_desc_event *driver_event, *device_event;
	unsigned next_avail, next_used, published, called;
	uint16_t first_flags; /* of the descriptor at published */
	uint16_t n_desc[32768]; /* by id */
};

void fake_up(struct fake_device *f, unsigned size, uint64_t features);
void fake_down(struct fake_device *f);

uint16_t *fake_used_event(struct fake_device *f);
uint16_t *fake_avail_event(struct fake_device *f);

/* The head, or id, of the next available request; -1: none. */
int fake_pop(struct fake_device *f);
/* Completes a request, to be published by fake_publish(). */
void fake_push(struct fake_device *f, uint32_t id, uint32_t len);
/* Completes n by one entry: it names the last and is at the place of the first (IN_ORDER). */
void fake_push_batch(struct fake_device *f, const int *id, unsigned n, uint32_t len);
/* Packed: what flags a descriptor has that is available, and used, at this place. */
uint16_t fake_avail_flags(const struct fake_device *f, unsigned at);
uint16_t fake_used_flags(const struct fake_device *f, unsigned at);
void fake_publish(struct fake_device *f);
/* Does the driver want a call for what was published since this was asked last? */
bool fake_wants_call(struct fake_device *f);
/* Asks for a kick at the request, of one descriptor, so many behind the next; EVENT_IDX. */
void fake_ask_kick(struct fake_device *f, int ahead);
/* Asks for a kick at the next one; true if something is there already. */
bool fake_arm(struct fake_device *f);
void fake_disarm(struct fake_device *f);

/* One request of n_out + n_in buffers of len bytes; the token is a number. */
int fake_add(struct fake_device *f, unsigned n_out, unsigned n_in, uint32_t len, unsigned token);
/* The next completion must be this one. */
void assert_reaped(struct fake_device *f, unsigned token, uint32_t len);
void assert_reap_fails(struct fake_device *f, int err);

int fd_setup(void **state);
int fd_teardown(void **state);

#define fd_checked(f) cmocka_unit_test_setup_teardown(f, fd_setup, fd_teardown)

/* SPDX-License-Identifier: Apache-2.0 */
/* A ring and the device's side of it, driven step by step: no checks, it can cheat. */
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
#include "tests/lib/leak.h"

#define F_INDIRECT (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define F_EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define F_IN_ORDER (1ull << VIRTIO_F_IN_ORDER)

struct fake {
	struct driver_mem *mem;
	struct driver_ring *ring;
	unsigned size;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t last_avail;
	uint16_t used_idx;
};

static inline void fake_up(struct fake *f, unsigned size, uint64_t features)
{
	GError *error = NULL;
	uint64_t desc, avail, used;

	*f = (struct fake){ .size = size };
	f->mem = driver_mem_new(driver_ring_footprint(size, features), &error);
	assert_non_null(f->mem);
	f->ring = driver_ring_new(f->mem, size, features, &error);
	assert_non_null(f->ring);
	driver_ring_addresses(f->ring, &desc, &avail, &used);
	assert_int_equal(desc % 16, 0);
	assert_int_equal(avail % 2, 0);
	assert_int_equal(used % 4, 0);
	f->desc = driver_mem_host(f->mem, desc, 16ull * size);
	f->avail = driver_mem_host(f->mem, avail, 6 + 2ull * size);
	f->used = driver_mem_host(f->mem, used, 6 + 8ull * size);
	assert_true(f->desc && f->avail && f->used);
	assert_true(avail >= desc + 16ull * size);
	assert_true(used >= avail + 6 + 2ull * size);
}

static inline void fake_down(struct fake *f)
{
	driver_ring_free(f->ring);
	driver_mem_free(f->mem);
}

static inline uint16_t *fake_used_event(struct fake *f)
{
	return &f->avail->ring[f->size];
}

static inline uint16_t *fake_avail_event(struct fake *f)
{
	return (uint16_t *)&f->used->ring[f->size];
}

/* The head of the next available request; -1: none. */
static inline int fake_pop(struct fake *f)
{
	if (f->last_avail == shm_load16_acquire(&f->avail->idx))
		return -1;
	return shm_load16(&f->avail->ring[f->last_avail++ % f->size]);
}

static inline void fake_push(struct fake *f, uint32_t id, uint32_t len)
{
	struct vring_used_elem *elem = &f->used->ring[f->used_idx++ % f->size];

	shm_store32(&elem->id, id);
	shm_store32(&elem->len, len);
}

static inline void fake_publish(struct fake *f)
{
	shm_store16_release(&f->used->idx, f->used_idx);
}

/* One request of n_out + n_in buffers of len bytes; the token is a number. */
static inline int fake_add(
	struct fake *f, unsigned n_out, unsigned n_in, uint32_t len, unsigned token)
{
	struct driver_buf buf[128];

	for (unsigned i = 0; i < n_out + n_in; i++)
		buf[i] = (struct driver_buf){ .addr = 0x1234500000000 + i * len, .len = len };
	return driver_ring_add(f->ring, buf, n_out, n_in, GUINT_TO_POINTER(token));
}

/* The next completion must be this one. */
static inline void assert_reaped(struct fake *f, unsigned token, uint32_t len)
{
	void *got;
	uint32_t got_len;

	assert_int_equal(driver_ring_reap(f->ring, &got, &got_len), 1);
	assert_int_equal(GPOINTER_TO_UINT(got), token);
	assert_int_equal(got_len, len);
}

static inline void assert_reap_fails(struct fake *f, int err)
{
	void *got;
	uint32_t got_len;

	assert_int_equal(driver_ring_reap(f->ring, &got, &got_len), err);
}

static inline int fd_setup(void **state)
{
	*state = GUINT_TO_POINTER(count_fds());
	return 0;
}

static inline int fd_teardown(void **state)
{
	assert_int_equal(count_fds(), GPOINTER_TO_UINT(*state));
	return 0;
}

#define fd_checked(f) cmocka_unit_test_setup_teardown(f, fd_setup, fd_teardown)

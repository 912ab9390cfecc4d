/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads and stores of memory shared with a guest, or, for a driver, with a device. Each call is one
 * access of exactly that width, little-endian as in virtio 1.x, so that a value is read once: check
 * and use the copy. p must be naturally aligned. Acquire loads pair with the other side's release
 * stores (its index after its entries).
 */
#pragma once

#include <endian.h>
#include <stdint.h>

static inline uint16_t shm_load16(const void *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED));
}

static inline uint16_t shm_load16_acquire(const void *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE));
}

static inline void shm_store16(void *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, htole16(v), __ATOMIC_RELAXED);
}

static inline void shm_store16_release(void *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, htole16(v), __ATOMIC_RELEASE);
}

static inline void shm_store32(void *p, uint32_t v)
{
	__atomic_store_n((uint32_t *)p, htole32(v), __ATOMIC_RELAXED);
}

static inline uint32_t shm_load32(const void *p)
{
	return le32toh(__atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED));
}

/*
 * Makes a full barrier, between a store (publish) and a load (look again) that must not overtake
 * it.
 */
static inline void shm_full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

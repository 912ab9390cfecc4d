/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few things every file needs: owned fds, and loads and stores of memory shared with a guest.
 */
#pragma once

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/*
 * A file descriptor that closes at the end of its scope; -1 is "none".
 * fd_steal() hands it on:  autofd fd = open(...);  return fd_steal(&fd);
 */
#define autofd __attribute__((cleanup(fd_close))) int

static inline void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void fds_close(int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fd_close(&fds[i]);
}

static inline int fd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

/* The struct of which *ptr is the member named. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline uint64_t align_up(uint64_t value, uint64_t power_of_two)
{
	return (value + power_of_two - 1) & ~(power_of_two - 1);
}

/*
 * Memory shared with a guest (or with a device: the driver's side uses the same). Each call is one
 * access of exactly that width, little-endian as virtio 1.x has it, so that a value is read once:
 * check and use the copy. p must be naturally aligned. Acquire loads pair with the other side's
 * release stores (its index after its entries).
 */
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

/* A full barrier: a store before it is seen before any load after it (publish, then look again). */
static inline void shm_full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

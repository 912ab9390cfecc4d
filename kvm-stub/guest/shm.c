/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory regions (virtio 1.2 §2.10), whatever the device: what is there, and after a reset.
 */
#include "arch.h"
#include "guest.h"

enum { SHM_SEL = 0xac, SHM_LEN = 0xb0, SHM_BASE = 0xb8 };

/* Devices number theirs from 0 or 1. */
#define MAX_ID 15u
#define PAGE 4096u
/* Of a larger region this much is read from its start. */
#define SAMPLE 0x10000u

struct region {
	unsigned id;
	uint64_t base, len;
};

static uint64_t get64(const struct device *d, unsigned offset)
{
	uint64_t low = mmio_read(d->base + offset);

	return low | (uint64_t)mmio_read(d->base + offset + 4) << 32;
}

/* Finds a region. False: the device has no such region. */
static bool find(const struct device *d, unsigned id, struct region *r)
{
	mmio_write(d->base + SHM_SEL, id);
	r->id = id;
	r->len = get64(d, SHM_LEN);
	r->base = get64(d, SHM_BASE);
	return r->len != UINT64_MAX;
}

/* Adds up the words of [from, from + len), and counts those that are not zero. */
static uint32_t add_up(const struct region *r, uint64_t from, uint32_t len, uint32_t *n)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i += 4) {
		uint32_t word = mmio_read(r->base + from + i);

		sum += word;
		*n += word != 0;
	}
	return sum;
}

static uint32_t sample(const struct region *r, uint32_t *n)
{
	uint32_t len = r->len < SAMPLE ? (uint32_t)r->len : SAMPLE;
	uint32_t sum = add_up(r, 0, len, n);

	add_up(r, r->len - PAGE, PAGE, n);
	return sum;
}

static bool is_sound(const struct region *r)
{
	return r->base && r->len && !((r->base | r->len) % PAGE) && r->base + r->len > r->base;
}

/* Tells whether it is in reach: a 32-bit guest sees no more. */
static bool is_in_reach(const struct region *r)
{
	return r->base + r->len - 1 <= UINTPTR_MAX;
}

bool shm_test(const struct device *d)
{
	struct region r;

	for (unsigned id = 0; id <= MAX_ID; id++) {
		uint32_t n = 0, sum;

		if (!find(d, id, &r))
			continue;
		if (!is_sound(&r))
			return fail(d, "a shared memory region is not made of pages");
		if (!is_in_reach(&r)) {
			report(d, "shared memory %u: out of reach of this guest", id);
			continue;
		}
		sum = sample(&r, &n);
		report(d, "shared memory %u: %u KiB at %x, %u words are not zero, sum %x", id,
			(uint32_t)(r.len >> 10), (uint32_t)r.base, n, sum);
	}
	return true;
}

bool shm_is_zero(const struct device *d)
{
	struct region r;

	for (unsigned id = 0; id <= MAX_ID; id++) {
		uint32_t n = 0;

		if (!find(d, id, &r) || !is_in_reach(&r))
			continue;
		sample(&r, &n);
		if (n)
			return fail(d, "shared memory is still mapped after a reset");
	}
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest, bare metal, in place of the selftest guest's main.c, with a device whose back-end may do
 * anything, and its neighbour, an entropy device, whose back-end is honest. It goes through the
 * driver's steps with the first device, for ever and whatever that answers; after each step it asks
 * the neighbour for some bytes, and prints a dot for them.
 */
#include "kvm-stub/guest/arch.h"

enum {
	MAGIC = 0x0,
	DRIVER_FEATURES = 0x20,
	DRIVER_FEATURES_SEL = 0x24,
	QUEUE_SEL = 0x30,
	QUEUE_SIZE = 0x38,
	QUEUE_READY = 0x44,
	QUEUE_NOTIFY = 0x50,
	INTERRUPT_ACK = 0x64,
	STATUS = 0x70,
	QUEUE_DESC = 0x80,
	QUEUE_DRIVER = 0x90,
	QUEUE_DEVICE = 0xa0,
};
#define MAGIC_VALUE 0x74726976u /* "virt" */

#define RING 8u
#define BYTES 16u
#define DESC_WRITE 2

struct bare_ring {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[RING] __attribute__((aligned(16)));
	struct {
		uint16_t flags, idx, ring[RING];
	} avail;
	volatile struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[RING];
	} used __attribute__((aligned(4)));
	uint8_t bytes[BYTES];
};

struct bare_device {
	uint64_t base;
	struct bare_ring *ring;
};

static struct bare_ring rings[2];

/* Takes step n of a driver, and returns the next one. Upper halves of addresses stay 0. */
static uint32_t step(const struct bare_device *d, uint32_t n)
{
	const struct {
		uint32_t offset, value;
	} steps[] = {
		{ STATUS, 0 },
		{ STATUS, 1 },
		{ STATUS, 3 },
		{ DRIVER_FEATURES_SEL, 1 },
		{ DRIVER_FEATURES, 1 }, /* VERSION_1 */
		{ STATUS, 11 },
		{ QUEUE_SEL, 0 },
		{ QUEUE_SIZE, RING },
		{ QUEUE_DESC, (uint32_t)(uintptr_t)d->ring->desc },
		{ QUEUE_DRIVER, (uint32_t)(uintptr_t)&d->ring->avail },
		{ QUEUE_DEVICE, (uint32_t)(uintptr_t)&d->ring->used },
		{ QUEUE_READY, 1 },
		{ STATUS, 15 },
		{ QUEUE_NOTIFY, 0 },
		{ INTERRUPT_ACK, 3 },
	};

	mmio_write(d->base + steps[n].offset, steps[n].value);
	return (n + 1) % (sizeof(steps) / sizeof(*steps));
}

static void ask(const struct bare_device *d)
{
	uint64_t start = arch_ticks();
	struct bare_ring *r = d->ring;

	r->avail.idx++;
	barrier();
	mmio_write(d->base + QUEUE_NOTIFY, 0);
	while (r->used.idx != r->avail.idx)
		if (arch_ticks() - start > arch_patience())
			arch_power_off(true);
}

void selftest_main(void)
{
	const struct bare_device odd = { virtio_addr(0), &rings[0] };
	const struct bare_device neighbour = { virtio_addr(1), &rings[1] };
	uint32_t n = 0;

	if (mmio_read(odd.base + MAGIC) != MAGIC_VALUE ||
		mmio_read(neighbour.base + MAGIC) != MAGIC_VALUE)
		arch_power_off(true);
	/* Each request is the same: descriptor 0. */
	rings[1].desc[0].addr = (uintptr_t)rings[1].bytes;
	rings[1].desc[0].len = BYTES;
	rings[1].desc[0].flags = DESC_WRITE;
	do {
		n = step(&neighbour, n);
	} while (n);
	for (;;) {
		n = step(&odd, n);
		ask(&neighbour);
		arch_putc('.');
	}
}

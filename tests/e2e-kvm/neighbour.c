/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with a device whose back-end may do anything, and its neighbour, an entropy device, whose
 * back-end is honest. It goes through a driver's steps with the first device, for ever and whatever
 * that answers; after each step it asks the neighbour for some bytes, and prints a dot for them.
 */
#include "neighbour.h"

#include "kvm-stub/guest/registers.h"
#include "kvm-stub/layout.h"

enum { HOSTILE, NEIGHBOUR }; /* slots */

#define RING 8u
#define BYTES 16u
#define DESC_WRITE 2
/* Of each slot's only virtqueue. */
#define DESC(slot) ((uint32_t)RAM_BASE + 0x800000u + (slot)*0x10000u)
#define AVAIL(slot) (DESC(slot) + 0x1000u)
#define USED(slot) (DESC(slot) + 0x2000u)
#define DATA(slot) (DESC(slot) + 0x3000u)

/* Takes step n of a driver, and returns the next one. Upper halves of addresses stay 0. */
static uint32_t step(unsigned slot, uint32_t n)
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
		{ QUEUE_DESC, DESC(slot) },
		{ QUEUE_DRIVER, AVAIL(slot) },
		{ QUEUE_DEVICE, USED(slot) },
		{ QUEUE_READY, 1 },
		{ STATUS, 15 },
		{ QUEUE_NOTIFY, 0 },
		{ INTERRUPT_ACK, 3 },
	};

	neighbour_mmio(virtio_addr(slot) + steps[n].offset, true, steps[n].value);
	return (n + 1) % (sizeof(steps) / sizeof(*steps));
}

/* Asks for bytes, by descriptor 0 as ever. */
static void ask(unsigned slot)
{
	volatile uint16_t *avail = neighbour_memory(AVAIL(slot));
	const volatile uint16_t *used = neighbour_memory(USED(slot));

	avail[1]++;
	__sync_synchronize();
	neighbour_mmio(virtio_addr(slot) + QUEUE_NOTIFY, true, 0);
	while (used[1] != avail[1])
		neighbour_wait(virtio_irq(slot));
	neighbour_mmio(virtio_addr(slot) + INTERRUPT_ACK, true, 3);
}

void neighbour_main(void)
{
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} *desc = neighbour_memory(DESC(NEIGHBOUR));
	uint32_t n = 0;

	desc->addr = DATA(NEIGHBOUR);
	desc->len = BYTES;
	desc->flags = DESC_WRITE;
	do {
		n = step(NEIGHBOUR, n);
	} while (n);
	for (;;) {
		n = step(HOSTILE, n);
		ask(NEIGHBOUR);
		neighbour_print('.');
	}
}

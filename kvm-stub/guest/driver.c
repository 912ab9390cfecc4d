/* SPDX-License-Identifier: Apache-2.0 */
/* Driver of virtio-mmio (virtio 1.2 §4.2) and of one split virtqueue (§2.7), by polling. */
#include "arch.h"
#include "guest.h"
#include "registers.h"

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64 };
enum { DESC_NEXT = 1, DESC_WRITE = 2 };
#define INTERRUPT_USED 1u
#define F_VERSION_1 32

static struct {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
} desc[QUEUE_MAX] __attribute__((aligned(16)));

static struct {
	uint16_t flags, idx, ring[QUEUE_MAX];
} avail __attribute__((aligned(2)));

static volatile struct {
	uint16_t flags, idx;
	struct {
		uint32_t id, len;
	} ring[QUEUE_MAX];
} used __attribute__((aligned(4)));

/* Of the batch that queue_run() waits for, by request: its head and what was written. */
static struct {
	uint16_t head;
	uint32_t written;
	bool done;
} request[QUEUE_MAX];

static uint32_t get(const struct device *d, unsigned offset)
{
	return mmio_read(d->base + offset);
}

static void set(const struct device *d, unsigned offset, uint32_t value)
{
	mmio_write(d->base + offset, value);
}

static void set_addr(const struct device *d, unsigned offset, const volatile void *at)
{
	set(d, offset, (uint32_t)(uintptr_t)at);
	set(d, offset + 4, (uint32_t)((uint64_t)(uintptr_t)at >> 32));
}

/* Resets the device. Linux looks once; more would do no harm. */
bool device_reset(struct device *d)
{
	uint64_t start = arch_ticks();

	set(d, STATUS, 0);
	while (get(d, STATUS))
		if (arch_ticks() - start > arch_patience())
			return fail(d, "no end of reset");
	set(d, QUEUE_SEL, 0);
	return !get(d, QUEUE_READY) || fail(d, "queue 0 is ready after reset");
}

static bool negotiate(struct device *d, uint64_t wanted)
{
	uint64_t offered;

	set(d, DEVICE_FEATURES_SEL, 1);
	offered = (uint64_t)get(d, DEVICE_FEATURES) << 32;
	set(d, DEVICE_FEATURES_SEL, 0);
	offered |= get(d, DEVICE_FEATURES);
	if (!(offered & FEATURE(F_VERSION_1)))
		return fail(d, "VERSION_1 is not offered");
	d->features = offered & (wanted | FEATURE(F_VERSION_1));
	set(d, DRIVER_FEATURES_SEL, 1);
	set(d, DRIVER_FEATURES, (uint32_t)(d->features >> 32));
	set(d, DRIVER_FEATURES_SEL, 0);
	set(d, DRIVER_FEATURES, (uint32_t)d->features);
	set(d, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	return (get(d, STATUS) & FEATURES_OK) || fail(d, "features are refused");
}

static bool start_queue(struct device *d)
{
	uint32_t max;

	set(d, QUEUE_SEL, 0);
	max = get(d, QUEUE_SIZE_MAX);
	if (!max)
		return fail(d, "there is no queue 0");
	for (d->size = QUEUE_MAX; d->size > max;)
		d->size /= 2;
	d->n_free = d->size;
	d->avail = d->used = 0;
	avail.idx = used.idx = 0;
	set(d, QUEUE_SIZE, d->size);
	set_addr(d, QUEUE_DESC, desc);
	set_addr(d, QUEUE_DRIVER, &avail);
	set_addr(d, QUEUE_DEVICE, &used);
	barrier();
	set(d, QUEUE_READY, 1);
	return get(d, QUEUE_READY) || fail(d, "queue 0 does not become ready");
}

bool device_start(struct device *d, uint64_t wanted)
{
	if (!device_reset(d))
		return false;
	set(d, STATUS, ACKNOWLEDGE);
	set(d, STATUS, ACKNOWLEDGE | DRIVER);
	if (!negotiate(d, wanted) || !start_queue(d))
		return false;
	arch_irq_expect(virtio_irq(d->slot));
	set(d, STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	return !(get(d, STATUS) & NEEDS_RESET) || fail(d, "the device needs a reset");
}

uint64_t device_config64(const struct device *d, unsigned offset)
{
	uint32_t generation, low, high;

	do {
		generation = get(d, CONFIG_GENERATION);
		low = get(d, CONFIG + offset);
		high = get(d, CONFIG + offset + 4);
	} while (generation != get(d, CONFIG_GENERATION));
	return (uint64_t)high << 32 | low;
}

/* Descriptors are taken in order and are all free again when queue_run() is through. */
void queue_add(struct device *d, const struct piece *piece, unsigned n)
{
	uint16_t at = d->size - d->n_free, slot = d->avail % d->size;

	for (unsigned i = 0; i < n; i++) {
		desc[at + i].addr = (uintptr_t)piece[i].at;
		desc[at + i].len = piece[i].len;
		desc[at + i].flags = (piece[i].in ? DESC_WRITE : 0) | (i + 1 < n ? DESC_NEXT : 0);
		desc[at + i].next = at + i + 1;
	}
	request[(uint16_t)(d->avail - d->used)].head = at;
	request[(uint16_t)(d->avail - d->used)].done = false;
	avail.ring[slot] = at;
	d->n_free -= n;
	d->avail++;
}

static bool wait_for(const struct device *d, bool (*done)(const struct device *d))
{
	uint64_t start = arch_ticks();

	while (!done(d))
		if (arch_ticks() - start > arch_patience())
			return false;
	return true;
}

static bool all_used(const struct device *d)
{
	return used.idx == d->avail;
}

/*
 * Handles an interrupt. One of the last batch may come late; what it was for has been
 * acknowledged then.
 */
static bool interrupted(const struct device *d)
{
	return arch_irq_take(virtio_irq(d->slot)) && (get(d, INTERRUPT_STATUS) & INTERRUPT_USED);
}

/* Collects completions in any order, each once. */
static bool collect(struct device *d, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t id = used.ring[(uint16_t)(d->used + i) % d->size].id;
		unsigned r = 0;

		while (r < n && (request[r].head != id || request[r].done))
			r++;
		if (r == n)
			return fail(d, "a used entry that belongs to no request");
		request[r].done = true;
		request[r].written = used.ring[(uint16_t)(d->used + i) % d->size].len;
	}
	d->used = d->avail;
	d->n_free = d->size;
	return true;
}

bool queue_run(struct device *d)
{
	barrier(); /* the requests before the index that publishes them */
	avail.idx = d->avail;
	barrier();
	set(d, QUEUE_NOTIFY, 0);
	if (!wait_for(d, all_used))
		return fail(d, "no answer");
	barrier(); /* the index before the entries and the data */
	if (!wait_for(d, interrupted))
		return fail(d, "no interrupt, or InterruptStatus says nothing of a used buffer");
	set(d, INTERRUPT_ACK, INTERRUPT_USED);
	return collect(d, (uint16_t)(d->avail - d->used));
}

uint32_t queue_written(unsigned i)
{
	return request[i].written;
}

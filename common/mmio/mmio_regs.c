/* SPDX-License-Identifier: Apache-2.0 */
/* What each register of the virtio-mmio window does (virtio 1.2 §4.2.2): a table row for each. */
#include "mmio/mmio_impl.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#define MAGIC 0x74726976u /* "virt" */
#define VERSION 2
#define VENDOR 0x44545256u /* "VRTD"; means nothing to drivers */
#ifndef VIRTIO_MMIO_QUEUE_RESET /* not in every linux/virtio_mmio.h */
#define VIRTIO_MMIO_QUEUE_RESET 0x0c0
#endif

#define STATUS_MASK                                                                         \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK | \
		VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED)

#define BIT(n) (UINT64_C(1) << (n))

static bool negotiated(const struct virtio_mmio *m, unsigned feature)
{
	return (m->s->reg.status & VIRTIO_CONFIG_S_FEATURES_OK) &&
		(m->s->reg.driver_features & BIT(feature));
}

static uint32_t read_magic(const struct access *a)
{
	return MAGIC;
}

static uint32_t read_version(const struct access *a)
{
	return VERSION;
}

static uint32_t read_device_id(const struct access *a)
{
	return a->m->s->probe.device_id;
}

static uint32_t read_vendor(const struct access *a)
{
	return VENDOR;
}

static uint32_t read_device_features(const struct access *a)
{
	uint32_t bank = a->m->s->reg.device_features_sel;

	return bank < 2 ? (uint32_t)(a->m->s->probe.features >> (32 * bank)) : 0;
}

static enum virtio_mmio_result write_driver_features(const struct access *a, uint32_t value)
{
	struct virtio_mmio_registers *reg = &a->m->s->reg;
	unsigned shift = 32 * (reg->driver_features_sel & 1);

	/* §3.1.1: after FEATURES_OK the driver must not accept any more. */
	if (reg->driver_features_sel < 2 && !(reg->status & VIRTIO_CONFIG_S_FEATURES_OK))
		reg->driver_features = (reg->driver_features & ~((uint64_t)UINT32_MAX << shift)) |
			(uint64_t)value << shift;
	return VIRTIO_MMIO_DONE;
}

/* Writes DeviceFeaturesSel, DriverFeaturesSel, QueueSel or SHMSel: any value; the readers check. */
static enum virtio_mmio_result write_selector(const struct access *a, uint32_t value)
{
	*(uint32_t *)((char *)&a->m->s->reg + a->row->member) = value;
	return VIRTIO_MMIO_DONE;
}

static uint32_t read_queue_size_max(const struct access *a)
{
	return a->m->s->queue_size_max;
}

static enum virtio_mmio_result write_queue_size(const struct access *a, uint32_t value)
{
	if (!a->q->ready)
		a->q->size = value;
	return VIRTIO_MMIO_DONE;
}

/* Writes the halves of QueueDesc, QueueDriver, QueueDevice. */
static enum virtio_mmio_result write_queue_address(const struct access *a, uint32_t value)
{
	uint64_t *address = (uint64_t *)((char *)a->q + a->row->member);

	if (!a->q->ready)
		*address = (*address & ~((uint64_t)UINT32_MAX << a->row->shift)) |
			(uint64_t)value << a->row->shift;
	return VIRTIO_MMIO_DONE;
}

static uint32_t read_queue_ready(const struct access *a)
{
	return a->q->ready;
}

static bool size_is_good(const struct virtio_mmio *m, uint32_t size)
{
	if (size == 0 || size > m->s->queue_size_max)
		return false;
	/* §2.7: a split ring has a power of two; §2.8.10.1: a packed one need not. */
	return (size & (size - 1)) == 0 || (m->s->reg.driver_features & BIT(VIRTIO_F_RING_PACKED));
}

static enum virtio_mmio_result write_queue_ready(const struct access *a, uint32_t value)
{
	struct virtio_mmio *m = a->m;
	bool ready = value & 1;

	if (ready == a->q->ready)
		return VIRTIO_MMIO_DONE;
	if (ready && !size_is_good(m, a->q->size)) {
		mmio_mistake(m,
			"queue %" PRIu32 " with QueueNum %" PRIu32 " (a power of two up to %" PRIu32
			"): it stays unready",
			m->s->reg.queue_sel, a->q->size, m->s->queue_size_max);
		return VIRTIO_MMIO_DONE;
	}
	a->q->ready = ready;
	return m->ops->queue_ready(m->opaque, m->s->reg.queue_sel, ready);
}

/* Reads as 0: the write does not complete before the reset has. */
static enum virtio_mmio_result write_queue_reset(const struct access *a, uint32_t value)
{
	struct virtio_mmio *m = a->m;
	bool was_ready = a->q->ready;

	if (value != 1 || !negotiated(m, VIRTIO_F_RING_RESET))
		return VIRTIO_MMIO_DONE;
	/* First: a queue that is half cleared must not look ready to a successor. */
	a->q->ready = false;
	mmio_order();
	memset(a->q, 0, sizeof(*a->q));
	return was_ready ? m->ops->queue_reset(m->opaque, m->s->reg.queue_sel) : VIRTIO_MMIO_DONE;
}

static enum virtio_mmio_result write_queue_notify(const struct access *a, uint32_t value)
{
	const struct virtio_mmio_queue *q = virtio_mmio_queue(a->m, value);

	if (q && q->ready)
		a->m->ops->queue_notify(a->m->opaque, value);
	return VIRTIO_MMIO_DONE;
}

static uint32_t read_interrupt_status(const struct access *a)
{
	const struct virtio_mmio_registers *reg = &a->m->s->reg;
	bool used = a->m->s->used_always && (reg->status & VIRTIO_CONFIG_S_DRIVER_OK);

	return reg->interrupt_status | (used ? VIRTIO_MMIO_INT_VRING : 0);
}

static enum virtio_mmio_result write_interrupt_ack(const struct access *a, uint32_t value)
{
	struct virtio_mmio *m = a->m;

	if (!m->s->reg.interrupt_status)
		return VIRTIO_MMIO_DONE;
	m->s->reg.interrupt_status &= ~value;
	/*
	 * An event that came between the driver's read and its ACK is still there. On an edge-
	 * triggered line needs another pulse: the driver has seen its own bits only.
	 */
	m->ops->interrupt(m->opaque, m->s->reg.interrupt_status != 0);
	return VIRTIO_MMIO_DONE;
}

static uint32_t read_status(const struct access *a)
{
	return a->m->s->reg.status;
}

/* Returns the bits of a write to Status that have to stay 0. */
static uint8_t refused_status(const struct virtio_mmio *m, uint8_t old, uint8_t value)
{
	const struct virtio_mmio_registers *reg = &m->s->reg;
	uint64_t unknown = reg->driver_features & ~m->s->probe.features;
	uint8_t refused = VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK;

	if (value & ~old & VIRTIO_CONFIG_S_FEATURES_OK) {
		if (unknown)
			mmio_mistake(m,
				"accepts features that are not offered: 0x%" PRIx64
				": FEATURES_OK is refused",
				unknown);
		else if (!(reg->driver_features & BIT(VIRTIO_F_VERSION_1)))
			mmio_mistake(m,
				"does not accept VERSION_1 (a legacy driver?): FEATURES_OK is "
				"refused");
		else
			return 0;
		return refused;
	}
	if ((old | value) & VIRTIO_CONFIG_S_FEATURES_OK)
		return 0;
	if (value & VIRTIO_CONFIG_S_DRIVER_OK)
		mmio_mistake(m, "sets DRIVER_OK without FEATURES_OK: ignored");
	return refused;
}

static enum virtio_mmio_result write_status(const struct access *a, uint32_t value)
{
	struct virtio_mmio *m = a->m;
	uint8_t old = m->s->reg.status, new;

	if (value == 0) {
		mmio_reset(m);
		return m->ops->status(m->opaque, old, 0);
	}
	/* §2.1.1: the driver only adds bits, and NEEDS_RESET is the device's. */
	new = old | (value & STATUS_MASK);
	new &= ~refused_status(m, old, value);
	if (new & ~old & VIRTIO_CONFIG_S_FAILED)
		mmio_mistake(m, "has given up (status FAILED)");
	if (new == old)
		return VIRTIO_MMIO_DONE;
	m->s->reg.status = new;
	return m->ops->status(m->opaque, old, new);
}

/* Reads SHMLen and SHMBase; all ones for a region that there is not. */
static uint32_t read_shm(const struct access *a)
{
	const struct virtio_mmio *m = a->m;

	for (unsigned i = 0; i < m->n_shm; i++) {
		const char *shm = (const char *)&m->shm[i];

		if (m->shm[i].id == m->s->reg.shm_sel)
			return *(const uint64_t *)(shm + a->row->member) >> a->row->shift;
	}
	return UINT32_MAX;
}

static uint32_t read_generation(const struct access *a)
{
	return a->m->s->generation;
}

static uint32_t read_zero(const struct access *a)
{
	return 0;
}

#define SELECTOR(name)                                                                          \
	{                                                                                       \
		.write = write_selector, .member = offsetof(struct virtio_mmio_registers, name) \
	}
#define ADDRESS(name, half)                                                              \
	{                                                                                \
		.write = write_queue_address, .needs_queue = true,                       \
		.member = offsetof(struct virtio_mmio_queue, name), .shift = 32 * (half) \
	}
#define SHM(name, half)                                                             \
	{                                                                           \
		.read = read_shm, .member = offsetof(struct virtio_mmio_shm, name), \
		.shift = 32 * (half)                                                \
	}

#define AT(name) [VIRTIO_MMIO_##name / 4]

const struct row mmio_rows[VIRTIO_MMIO_CONFIG_SPACE / 4] = {
	AT(MAGIC_VALUE) = { .read = read_magic },
	AT(VERSION) = { .read = read_version },
	AT(DEVICE_ID) = { .read = read_device_id },
	AT(VENDOR_ID) = { .read = read_vendor },
	AT(DEVICE_FEATURES) = { .read = read_device_features },
	AT(DEVICE_FEATURES_SEL) = SELECTOR(device_features_sel),
	AT(DRIVER_FEATURES) = { .write = write_driver_features },
	AT(DRIVER_FEATURES_SEL) = SELECTOR(driver_features_sel),
	AT(QUEUE_SEL) = SELECTOR(queue_sel),
	AT(QUEUE_NUM_MAX) = { .read = read_queue_size_max, .needs_queue = true },
	AT(QUEUE_NUM) = { .write = write_queue_size, .needs_queue = true },
	AT(QUEUE_READY) = { .read = read_queue_ready,
		.write = write_queue_ready,
		.needs_queue = true },
	AT(QUEUE_NOTIFY) = { .write = write_queue_notify },
	AT(INTERRUPT_STATUS) = { .read = read_interrupt_status },
	AT(INTERRUPT_ACK) = { .write = write_interrupt_ack },
	AT(STATUS) = { .read = read_status, .write = write_status },
	AT(QUEUE_DESC_LOW) = ADDRESS(desc, 0),
	AT(QUEUE_DESC_HIGH) = ADDRESS(desc, 1),
	AT(QUEUE_AVAIL_LOW) = ADDRESS(driver, 0),
	AT(QUEUE_AVAIL_HIGH) = ADDRESS(driver, 1),
	AT(QUEUE_USED_LOW) = ADDRESS(device, 0),
	AT(QUEUE_USED_HIGH) = ADDRESS(device, 1),
	AT(SHM_SEL) = SELECTOR(shm_sel),
	AT(SHM_LEN_LOW) = SHM(len, 0),
	AT(SHM_LEN_HIGH) = SHM(len, 1),
	AT(SHM_BASE_LOW) = SHM(base, 0),
	AT(SHM_BASE_HIGH) = SHM(base, 1),
	AT(QUEUE_RESET) = { .read = read_zero, .write = write_queue_reset, .needs_queue = true },
	AT(CONFIG_GENERATION) = { .read = read_generation },
};

uint64_t virtio_mmio_read_empty(uint64_t offset, unsigned size)
{
	if (size != 4)
		return 0;
	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-mmio window: one access is looked up by its offset; width, alignment and direction are
 * checked once, the selected queue is resolved once, and only then the row's function runs (mmio_
 * regs.c). Whatever has no row, or lacks what its row wants, reads 0 and ignores writes, so a
 * hostile guest reaches no special case.
 */
#include "mmio/mmio_impl.h"

#include <glib.h>
#include <string.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

static void raise_interrupt(struct virtio_mmio *m, uint32_t bit)
{
	if (m->reg.interrupt_status & bit)
		return;
	m->reg.interrupt_status |= bit;
	m->ops->interrupt(m->opaque, true);
}

void mmio_reset(struct virtio_mmio *m)
{
	bool was_raised = m->reg.interrupt_status != 0;

	memset(&m->reg, 0, sizeof(m->reg));
	if (was_raised)
		m->ops->interrupt(m->opaque, false);
}

static enum virtio_mmio_result access_register(
	struct virtio_mmio *m, uint64_t offset, unsigned size, bool write, uint64_t *value)
{
	struct access a = { .m = m };

	if (size != 4 || offset % 4)
		return VIRTIO_MMIO_DONE;
	/* An empty slot shows what it is (§4.2.3.1.1) and nothing more. */
	if (m->probe.device_id == 0 && (write || offset > VIRTIO_MMIO_VENDOR_ID))
		return VIRTIO_MMIO_DONE;
	a.row = &mmio_rows[offset / 4];
	if (m->reg.queue_sel < m->probe.max_queues)
		a.q = &m->reg.queue[m->reg.queue_sel];
	if (a.row->needs_queue && !a.q)
		return VIRTIO_MMIO_DONE;
	if (write)
		return a.row->write ? a.row->write(&a, (uint32_t)*value) : VIRTIO_MMIO_DONE;
	if (a.row->read)
		*value = a.row->read(&a);
	return VIRTIO_MMIO_DONE;
}

enum virtio_mmio_result virtio_mmio_access(
	struct virtio_mmio *m, uint64_t offset, unsigned size, bool write, uint64_t *value)
{
	uint64_t in_config = offset - VIRTIO_MMIO_CONFIG_SPACE;

	if (!write)
		*value = 0;
	if (offset < VIRTIO_MMIO_CONFIG_SPACE)
		return access_register(m, offset, size, write, value);
	if (size == 0 || size > 8 || (size & (size - 1)))
		return VIRTIO_MMIO_DONE;
	if (in_config >= m->probe.config_size || size > m->probe.config_size - in_config)
		return VIRTIO_MMIO_DONE;
	return m->ops->config(m->opaque, write, (uint32_t)in_config, size, value);
}

struct virtio_mmio *virtio_mmio_new(const struct virtio_mmio_ops *ops, void *opaque)
{
	struct virtio_mmio *m = g_new0(struct virtio_mmio, 1);

	m->ops = ops;
	m->opaque = opaque;
	return m;
}

void virtio_mmio_free(struct virtio_mmio *m)
{
	if (!m)
		return;
	g_free(m->shm);
	g_free(m);
}

void virtio_mmio_set_device(
	struct virtio_mmio *m, const struct virtio_probe *probe, uint32_t queue_size_max)
{
	mmio_reset(m);
	m->generation++;
	m->queue_size_max = queue_size_max;
	m->probe = probe ? *probe : (struct virtio_probe){ 0 };
	m->probe.max_queues = MIN(m->probe.max_queues, VIRTIO_MAX_QUEUES);
}

void virtio_mmio_set_shm(struct virtio_mmio *m, const struct virtio_mmio_shm *shm, unsigned n)
{
	g_free(m->shm);
	m->shm = g_memdup2(shm, n * sizeof(*shm));
	m->n_shm = n;
}

uint8_t virtio_mmio_status(const struct virtio_mmio *m)
{
	return m->reg.status;
}

uint64_t virtio_mmio_driver_features(const struct virtio_mmio *m)
{
	return m->reg.driver_features;
}

const struct virtio_mmio_queue *virtio_mmio_queue(const struct virtio_mmio *m, unsigned queue)
{
	return queue < m->probe.max_queues ? &m->reg.queue[queue] : NULL;
}

void virtio_mmio_refuse_features(struct virtio_mmio *m)
{
	m->reg.status &= ~(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

void virtio_mmio_used(struct virtio_mmio *m)
{
	if (m->reg.status & VIRTIO_CONFIG_S_DRIVER_OK)
		raise_interrupt(m, VIRTIO_MMIO_INT_VRING);
}

void virtio_mmio_used_always(struct virtio_mmio *m, bool always)
{
	m->used_always = always;
}

void virtio_mmio_config_changed(struct virtio_mmio *m)
{
	m->generation++;
	if (m->reg.status & VIRTIO_CONFIG_S_DRIVER_OK)
		raise_interrupt(m, VIRTIO_MMIO_INT_CONFIG);
}

void virtio_mmio_config_touched(struct virtio_mmio *m)
{
	m->generation++;
}

void virtio_mmio_needs_reset(struct virtio_mmio *m)
{
	if (m->reg.status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	m->reg.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	/* §2.1.2: then the driver must be told. */
	if (m->reg.status & VIRTIO_CONFIG_S_DRIVER_OK)
		raise_interrupt(m, VIRTIO_MMIO_INT_CONFIG);
}

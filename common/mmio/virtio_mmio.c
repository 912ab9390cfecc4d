/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-mmio window: one access is looked up by its offset; width, alignment and direction are
 * checked once, the selected queue is resolved once, and only then the row's function runs (mmio_
 * regs.c). Whatever has no row, or lacks what its row wants, reads 0 and ignores writes, so a
 * hostile guest reaches no special case.
 */
#include "mmio/mmio_impl.h"

#include <glib.h>
#include <stdarg.h>
#include <string.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

static void raise_interrupt(struct virtio_mmio *m, uint32_t bit)
{
	if (m->s->reg.interrupt_status & bit)
		return;
	m->s->reg.interrupt_status |= bit;
	m->ops->interrupt(m->opaque, true);
}

void mmio_mistake(const struct virtio_mmio *m, const char *format, ...)
{
	char what[128];
	va_list args;

	va_start(args, format);
	g_vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	m->ops->mistake(m->opaque, what);
}

void mmio_reset(struct virtio_mmio *m)
{
	bool was_raised = m->s->reg.interrupt_status != 0;

	/* First: half of the registers must not look like a running device to a successor. */
	m->s->reg.status = 0;
	mmio_order();
	memset(&m->s->reg, 0, sizeof(m->s->reg));
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
	if (m->s->probe.device_id == 0 && (write || offset > VIRTIO_MMIO_VENDOR_ID))
		return VIRTIO_MMIO_DONE;
	a.row = &mmio_rows[offset / 4];
	if (m->s->reg.queue_sel < m->s->probe.max_queues)
		a.q = &m->s->reg.queue[m->s->reg.queue_sel];
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
	if (in_config >= m->s->probe.config_size || size > m->s->probe.config_size - in_config)
		return VIRTIO_MMIO_DONE;
	return m->ops->config(m->opaque, write, (uint32_t)in_config, size, value);
}

struct virtio_mmio *virtio_mmio_new(
	const struct virtio_mmio_ops *ops, void *opaque, struct virtio_mmio_state *state)
{
	struct virtio_mmio *m = g_new0(struct virtio_mmio, 1);

	m->ops = ops;
	m->opaque = opaque;
	if (!state)
		m->own = g_new0(struct virtio_mmio_state, 1);
	m->s = state ? state : m->own;
	return m;
}

void virtio_mmio_free(struct virtio_mmio *m)
{
	if (!m)
		return;
	g_free(m->shm);
	g_free(m->own);
	g_free(m);
}

void virtio_mmio_set_device(
	struct virtio_mmio *m, const struct virtio_probe *probe, uint32_t queue_size_max)
{
	mmio_reset(m);
	m->s->generation++;
	m->s->queue_size_max = queue_size_max;
	m->s->probe = probe ? *probe : (struct virtio_probe){ 0 };
	m->s->probe.max_queues = MIN(m->s->probe.max_queues, VIRTIO_MAX_QUEUES);
}

void virtio_mmio_set_shm(struct virtio_mmio *m, const struct virtio_mmio_shm *shm, unsigned n)
{
	g_free(m->shm);
	m->shm = g_memdup2(shm, n * sizeof(*shm));
	m->n_shm = n;
}

uint8_t virtio_mmio_status(const struct virtio_mmio *m)
{
	return m->s->reg.status;
}

uint64_t virtio_mmio_driver_features(const struct virtio_mmio *m)
{
	return m->s->reg.driver_features;
}

const struct virtio_mmio_queue *virtio_mmio_queue(const struct virtio_mmio *m, unsigned queue)
{
	return queue < m->s->probe.max_queues ? &m->s->reg.queue[queue] : NULL;
}

void virtio_mmio_refuse_features(struct virtio_mmio *m)
{
	m->s->reg.status &= ~(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

void virtio_mmio_used(struct virtio_mmio *m)
{
	if (m->s->reg.status & VIRTIO_CONFIG_S_DRIVER_OK)
		raise_interrupt(m, VIRTIO_MMIO_INT_VRING);
}

void virtio_mmio_used_always(struct virtio_mmio *m, bool always)
{
	m->s->used_always = always;
}

void virtio_mmio_config_changed(struct virtio_mmio *m)
{
	m->s->generation++;
	if (m->s->reg.status & VIRTIO_CONFIG_S_DRIVER_OK)
		raise_interrupt(m, VIRTIO_MMIO_INT_CONFIG);
}

void virtio_mmio_config_touched(struct virtio_mmio *m)
{
	m->s->generation++;
}

void virtio_mmio_needs_reset(struct virtio_mmio *m)
{
	if (m->s->reg.status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	m->s->reg.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	/* §2.1.2: then the driver must be notified. */
	if (m->s->reg.status & VIRTIO_CONFIG_S_DRIVER_OK)
		raise_interrupt(m, VIRTIO_MMIO_INT_CONFIG);
}

void virtio_mmio_resume(struct virtio_mmio *m)
{
	struct virtio_mmio_registers *reg = &m->s->reg;

	if (reg->status & VIRTIO_CONFIG_S_DRIVER_OK)
		reg->interrupt_status |= VIRTIO_MMIO_INT_VRING;
	if ((reg->status & VIRTIO_CONFIG_S_DRIVER_OK) &&
		(reg->status & VIRTIO_CONFIG_S_NEEDS_RESET))
		reg->interrupt_status |= VIRTIO_MMIO_INT_CONFIG;
	m->ops->interrupt(m->opaque, reg->interrupt_status != 0);
}

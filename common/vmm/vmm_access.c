/* SPDX-License-Identifier: Apache-2.0 */
/* The vCPU side of a guest device: accesses go to the registers and change the desired state. */
#include "vmm/vmm_impl.h"

#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "base/eventfd.h"
#include "base/util.h"

void vmm_changed(struct vmm_dev *d)
{
	d->seq++;
	eventfd_write(d->wake, 1);
}

static void forget_driver(struct vmm_dev *d)
{
	struct vmm_state *s = d->state;

	s->resets++;
	/* No queue is ready. */
	for (unsigned i = 0; i < d->properties.probe.max_queues; i++)
		s->queue[i].epoch++;
	g_clear_pointer(&d->config_writes, g_array_unref);
	memset(s->config_written, 0, d->properties.probe.config_size);
	d->config_drops++;
}

static enum virtio_mmio_result on_status(void *opaque, uint8_t old_status, uint8_t new_status)
{
	struct vmm_dev *d = opaque;
	uint8_t fresh = new_status & ~old_status;

	if (new_status == 0)
		forget_driver(d);
	d->used |= new_status & VIRTIO_CONFIG_S_DRIVER_OK;
	/* §6.2: a driver that does not ask the platform cannot work here. */
	if ((fresh & VIRTIO_CONFIG_S_FEATURES_OK) && d->access_platform &&
		!(virtio_mmio_driver_features(d->mmio) & VU_BIT(VIRTIO_F_ACCESS_PLATFORM))) {
		log_limited(&d->mistakes, LOG_LEVEL_WARNING, d->name,
			"the guest's driver does not accept ACCESS_PLATFORM: FEATURES_OK is "
			"refused%s%s",
			d->needs ? "; " : "", d->needs ? d->needs : "");
		virtio_mmio_refuse_features(d->mmio);
		return VIRTIO_MMIO_DONE;
	}
	if (!d->connected)
		return VIRTIO_MMIO_DONE;
	vmm_changed(d);
	if (new_status && !(fresh & (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)))
		return VIRTIO_MMIO_DONE;
	return VIRTIO_MMIO_LATER;
}

static enum virtio_mmio_result on_queue(struct vmm_dev *d, unsigned queue)
{
	d->state->queue[queue].epoch++;
	/* Before DRIVER_OK no ring runs: nothing to tell the back-end. */
	if (!d->connected || !(virtio_mmio_status(d->mmio) & VIRTIO_CONFIG_S_DRIVER_OK))
		return VIRTIO_MMIO_DONE;
	vmm_changed(d);
	return VIRTIO_MMIO_LATER;
}

static enum virtio_mmio_result on_queue_ready(void *opaque, unsigned queue, bool ready)
{
	return on_queue(opaque, queue);
}

static enum virtio_mmio_result on_queue_reset(void *opaque, unsigned queue)
{
	return on_queue(opaque, queue);
}

static void on_queue_notify(void *opaque, unsigned queue)
{
	struct vmm_dev *d = opaque;

	d->counters.notifies++;
	/* No fd yet: the ring has not been started, and is kicked when it is. */
	if (d->vring[queue].kick >= 0)
		eventfd_signal_fast(d->vring[queue].kick, &d->vring[queue].kick_full);
}

static uint64_t config_load(const struct vmm_dev *d, uint32_t offset, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, d->state->config + offset, size);
	return le64toh(value);
}

static enum virtio_mmio_result on_config(
	void *opaque, bool write, uint32_t offset, unsigned size, uint64_t *value)
{
	struct vmm_dev *d = opaque;
	struct vmm_config_write w = { .offset = offset, .size = size };

	if (!write) {
		if (!d->connected || d->config_read_at == d->config_drops) {
			*value = config_load(d, offset, size);
			return VIRTIO_MMIO_DONE;
		}
		vmm_changed(d);
		return VIRTIO_MMIO_LATER;
	}
	w.bytes = htole64(*value);
	memcpy(d->state->config + offset, &w.bytes, size);
	memset(d->state->config_written + offset, 1, size);
	if (!d->connected)
		return VIRTIO_MMIO_DONE;
	if (!d->config_writes)
		d->config_writes = g_array_new(FALSE, FALSE, sizeof(w));
	g_array_append_val(d->config_writes, w);
	d->config_drops++;
	vmm_changed(d);
	return VIRTIO_MMIO_LATER;
}

static void on_interrupt(void *opaque, bool level)
{
	struct vmm_dev *d = opaque;

	d->ops->interrupt(d->opaque, d, level);
}

static void on_mistake(void *opaque, const char *what)
{
	struct vmm_dev *d = opaque;

	log_limited(&d->mistakes, LOG_LEVEL_WARNING, d->name, "the guest's driver %s", what);
}

const struct virtio_mmio_ops vmm_mmio_ops = {
	.status = on_status,
	.queue_ready = on_queue_ready,
	.queue_reset = on_queue_reset,
	.queue_notify = on_queue_notify,
	.config = on_config,
	.interrupt = on_interrupt,
	.mistake = on_mistake,
};

enum virtio_mmio_result vmm_dev_access(
	struct vmm_dev *d, uint64_t off, unsigned size, bool write, uint64_t *value, void *token)
{
	enum virtio_mmio_result result = VIRTIO_MMIO_LATER;
	struct vmm_pending p = { .token = token, .off = off, .size = size, .write = write };

	pthread_mutex_lock(&d->lock);
	d->counters.accesses++;
	d->counters.status_reads += !write && off == VIRTIO_MMIO_INTERRUPT_STATUS;
	d->counters.acks += write && off == VIRTIO_MMIO_INTERRUPT_ACK;
	p.raw = d->state->slot == VMM_SLOT_PROBING || d->settling;
	if (!p.raw)
		result = virtio_mmio_access(d->mmio, off, size, write, value);
	if (result == VIRTIO_MMIO_LATER) {
		d->counters.later++;
		p.seq = d->seq;
		p.value = write ? *value : 0;
		g_array_append_val(d->pending, p);
	}
	pthread_mutex_unlock(&d->lock);
	return result;
}

enum virtio_mmio_result vmm_dev_invalidate(struct vmm_dev *d, void *token)
{
	struct vmm_pending p = { .token = token, .write = true };
	bool later;

	pthread_mutex_lock(&d->lock);
	later = d->state->slot == VMM_SLOT_DEVICE && (d->connected || d->settling);
	if (later) {
		d->invalidates++;
		vmm_changed(d);
		p.seq = d->seq;
		g_array_append_val(d->pending, p);
	}
	pthread_mutex_unlock(&d->lock);
	return later ? VIRTIO_MMIO_LATER : VIRTIO_MMIO_DONE;
}

void vmm_replay(struct vmm_dev *d, GArray *done)
{
	for (unsigned i = 0; i < d->pending->len;) {
		struct vmm_pending *p = &g_array_index(d->pending, struct vmm_pending, i);

		if (p->raw &&
			virtio_mmio_access(d->mmio, p->off, p->size, p->write, &p->value) ==
				VIRTIO_MMIO_DONE) {
			g_array_append_val(done, *p);
			g_array_remove_index(d->pending, i);
			continue;
		}
		p->raw = false;
		p->seq = d->seq;
		i++;
	}
}

static void take_done(struct vmm_dev *d, uint64_t seq, bool reads, GArray *done)
{
	for (unsigned i = 0; i < d->pending->len;) {
		struct vmm_pending *p = &g_array_index(d->pending, struct vmm_pending, i);

		if (p->raw || p->seq > seq || (!reads && !p->write)) {
			i++;
			continue;
		}
		/* The only reads that wait are the configuration's. */
		if (!p->write)
			p->value = config_load(
				d, (uint32_t)(p->off - VIRTIO_MMIO_CONFIG_SPACE), p->size);
		g_array_append_val(done, *p);
		g_array_remove_index(d->pending, i);
	}
}

void vmm_take_done(struct vmm_dev *d, uint64_t seq, GArray *done)
{
	take_done(d, seq, true, done);
}

void vmm_take_writes_done(struct vmm_dev *d, uint64_t seq, GArray *done)
{
	take_done(d, seq, false, done);
}

void vmm_settle(struct vmm_dev *d, GArray *done)
{
	if (!d->settling)
		return;
	d->settling = false;
	virtio_mmio_resume(d->mmio);
	vmm_replay(d, done);
	pthread_cond_broadcast(&d->cond);
}

GArray *vmm_done_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(struct vmm_pending));
}

void vmm_complete(struct vmm_dev *d, GArray *done)
{
	for (unsigned i = 0; i < done->len; i++) {
		const struct vmm_pending *p = &g_array_index(done, struct vmm_pending, i);

		d->ops->access_done(d->opaque, p->token, p->value);
	}
	g_array_unref(done);
}

void vmm_set_needs_reset(struct vmm_dev *d)
{
	pthread_mutex_lock(&d->lock);
	if (d->state->resets == d->desired.resets)
		virtio_mmio_needs_reset(d->mmio);
	pthread_mutex_unlock(&d->lock);
}

void vmm_needs_reset(struct vmm_dev *d, const char *format, ...)
{
	g_autofree char *why = NULL;
	va_list args;

	va_start(args, format);
	why = g_strdup_vprintf(format, args);
	va_end(args);
	log_limited(
		&d->limit, LOG_LEVEL_ERROR, d->name, "%s; the guest must reset the device", why);
	vmm_set_needs_reset(d);
}

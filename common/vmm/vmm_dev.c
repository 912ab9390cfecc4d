/* SPDX-License-Identifier: Apache-2.0 */
/* The vCPU side of a guest device: accesses go to the registers and become wishes (vmm_impl.h). */
#include "vmm/vmm_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "base/util.h"

#define BIT(n) (UINT64_C(1) << (n))

/*
 * What a virtio-mmio guest may be offered, if the back-end has it. Not NOTIFICATION_DATA (an
 * eventfd carries none), SR_IOV (PCI) or ACCESS_PLATFORM (no IOTLB).
 */
#define TRANSPORT_FEATURES                                                                     \
	(BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) |                     \
		BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER) | \
		BIT(VIRTIO_F_ORDER_PLATFORM) | BIT(VIRTIO_F_RING_RESET))

#define DEFAULT_QUEUE_SIZE 256
#define DEFAULT_RETRY_MS 200
#define DEFAULT_WINDOW 0x1000

void vmm_wish(struct vmm_dev *d)
{
	d->seq++;
	eventfd_write(d->wake, 1);
}

static enum virtio_mmio_result on_status(void *opaque, uint8_t old_status, uint8_t new_status)
{
	struct vmm_dev *d = opaque;
	uint8_t fresh = new_status & ~old_status;

	if (new_status == 0) {
		d->resets++;
		g_clear_pointer(&d->config_writes, g_array_unref);
		memset(d->config_written, 0, d->facts.probe.config_size);
		d->config_drops++;
	}
	if (!d->connected)
		return VIRTIO_MMIO_DONE;
	vmm_wish(d);
	if (new_status && !(fresh & (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)))
		return VIRTIO_MMIO_DONE;
	return VIRTIO_MMIO_LATER;
}

static enum virtio_mmio_result on_queue(struct vmm_dev *d, unsigned queue)
{
	d->epoch[queue]++;
	/* Before DRIVER_OK no ring runs: nothing to tell the back-end. */
	if (!d->connected || !(virtio_mmio_status(d->mmio) & VIRTIO_CONFIG_S_DRIVER_OK))
		return VIRTIO_MMIO_DONE;
	vmm_wish(d);
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
	if (d->ring[queue].kick >= 0)
		eventfd_write(d->ring[queue].kick, 1);
}

static uint64_t config_load(const struct vmm_dev *d, uint32_t offset, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, d->config + offset, size);
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
		vmm_wish(d);
		return VIRTIO_MMIO_LATER;
	}
	w.bytes = htole64(*value);
	memcpy(d->config + offset, &w.bytes, size);
	memset(d->config_written + offset, 1, size);
	if (!d->connected)
		return VIRTIO_MMIO_DONE;
	if (!d->config_writes)
		d->config_writes = g_array_new(FALSE, FALSE, sizeof(w));
	g_array_append_val(d->config_writes, w);
	d->config_drops++;
	vmm_wish(d);
	return VIRTIO_MMIO_LATER;
}

static void on_interrupt(void *opaque, bool level)
{
	struct vmm_dev *d = opaque;

	d->ops->interrupt(d->opaque, d, level);
}

static const struct virtio_mmio_ops mmio_ops = {
	.status = on_status,
	.queue_ready = on_queue_ready,
	.queue_reset = on_queue_reset,
	.queue_notify = on_queue_notify,
	.config = on_config,
	.interrupt = on_interrupt,
};

enum virtio_mmio_result vmm_dev_access(
	struct vmm_dev *d, uint64_t off, unsigned size, bool write, uint64_t *value, void *token)
{
	enum virtio_mmio_result result = VIRTIO_MMIO_LATER;
	struct vmm_pending p = { .token = token, .off = off, .size = size, .write = write };

	pthread_mutex_lock(&d->lock);
	d->counters.accesses++;
	p.raw = d->slot == VMM_SLOT_PROBING;
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

void vmm_take_done(struct vmm_dev *d, uint64_t seq, GArray *done)
{
	for (unsigned i = 0; i < d->pending->len;) {
		struct vmm_pending *p = &g_array_index(d->pending, struct vmm_pending, i);

		if (p->raw || p->seq > seq) {
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
	if (d->resets == d->want.resets)
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

/* Frees what vmm_dev_new() made; the thread, if any, has ended. */
static void destroy(struct vmm_dev *d)
{
	for (unsigned i = 0; d->ring && i < d->facts.probe.max_queues; i++) {
		struct vmm_ring *r = &d->ring[i];

		if (r->irqfd)
			d->ops->irqfd(d->opaque, d, i, r->call, false);
		if (r->ioeventfd)
			d->ops->ioeventfd(d->opaque, d, d->base + VIRTIO_MMIO_QUEUE_NOTIFY, i,
				r->kick, false);
		fd_close(&r->kick);
		fd_close(&r->call);
	}
	g_free(d->ring);
	virtio_mmio_free(d->mmio);
	g_array_unref(d->pending);
	g_clear_pointer(&d->config_writes, g_array_unref);
	g_clear_pointer(&d->want.config_writes, g_array_unref);
	g_free(d->config);
	g_free(d->config_written);
	g_free(d->problem);
	fd_close(&d->fd);
	fd_close(&d->wake);
	pthread_mutex_destroy(&d->lock);
	pthread_cond_destroy(&d->cond);
	g_free(d->name);
	g_free(d->socket_path);
	g_free(d);
}

struct vmm_dev *vmm_dev_new(const struct vmm_dev_config *config, const struct vmm_ops *ops,
	void *opaque, GError **error)
{
	struct vmm_dev *d = g_new0(struct vmm_dev, 1);
	int result;

	d->name = g_strdup(config->name);
	d->socket_path = g_strdup(config->socket_path);
	d->fd = config->socket_path ? -1 : config->fd;
	d->options = config->front;
	d->options.transport_features = TRANSPORT_FEATURES;
	d->base = config->base;
	d->window = config->window ? config->window : DEFAULT_WINDOW;
	d->queue_size_max = config->queue_size_max ? config->queue_size_max : DEFAULT_QUEUE_SIZE;
	d->retry_ms = config->retry_ms ? config->retry_ms : DEFAULT_RETRY_MS;
	d->ops = ops;
	d->opaque = opaque;
	d->memory = 1;
	d->pending = vmm_done_new();
	d->mmio = virtio_mmio_new(&mmio_ops, d);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->cond, NULL);
	d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->wake < 0) {
		g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(errno),
			"%s: eventfd: %s", d->name, g_strerror(errno));
		destroy(d);
		return NULL;
	}
	if (ops->map_range && !ops->map_range(opaque, d, d->base, d->window, error)) {
		destroy(d);
		return NULL;
	}
	result = pthread_create(&d->thread, NULL, vmm_control_main, d);
	if (result) {
		g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(result),
			"%s: cannot make a thread: %s", d->name, g_strerror(result));
		if (ops->unmap_range)
			ops->unmap_range(opaque, d, d->base, d->window);
		destroy(d);
		return NULL;
	}
	return d;
}

void vmm_dev_free(struct vmm_dev *d)
{
	if (!d)
		return;
	if (d->ops->unmap_range)
		d->ops->unmap_range(d->opaque, d, d->base, d->window);
	pthread_mutex_lock(&d->lock);
	d->quit = true;
	vmm_wish(d);
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->thread, NULL);
	destroy(d);
}

bool vmm_dev_wait(struct vmm_dev *d, unsigned timeout_ms, GError **error)
{
	int64_t end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;
	struct timespec until = { .tv_sec = end / G_USEC_PER_SEC,
		.tv_nsec = end % G_USEC_PER_SEC * 1000 };
	bool ok, again;

	pthread_mutex_lock(&d->lock);
	while (d->slot == VMM_SLOT_PROBING && !d->failed)
		if (pthread_cond_clockwait(&d->cond, &d->lock, CLOCK_MONOTONIC, &until))
			break;
	ok = d->slot == VMM_SLOT_DEVICE;
	again = d->slot == VMM_SLOT_PROBING && !d->failed;
	if (!ok)
		g_set_error(error, again ? G_FILE_ERROR : VU_FRONT_ERROR,
			again ? (gint)G_FILE_ERROR_AGAIN : (gint)VU_FRONT_ERROR_GONE, "%s: %s",
			d->name, d->problem ? d->problem : "no answer from the back-end yet");
	pthread_mutex_unlock(&d->lock);
	return ok;
}

void vmm_dev_give_up(struct vmm_dev *d)
{
	GArray *done = vmm_done_new();

	pthread_mutex_lock(&d->lock);
	log_error(d->name, "given up, the guest finds no device at 0x%" PRIx64 ": %s", d->base,
		d->problem ? d->problem : "no back-end");
	vmm_take_done(d, UINT64_MAX, done);
	virtio_mmio_set_device(d->mmio, NULL, 0);
	d->slot = VMM_SLOT_EMPTY;
	vmm_replay(d, done);
	vmm_wish(d);
	pthread_cond_broadcast(&d->cond);
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
}

const char *vmm_dev_name(const struct vmm_dev *d)
{
	return d->name;
}

const struct vu_facts *vmm_dev_facts(const struct vmm_dev *d)
{
	return &d->facts;
}

uint64_t vmm_dev_window(const struct vmm_dev *d)
{
	return d->window;
}

void vmm_dev_memory_changed(struct vmm_dev *d)
{
	uint64_t seq;

	pthread_mutex_lock(&d->lock);
	d->memory++;
	vmm_wish(d);
	seq = d->seq;
	while (d->connected && d->done < seq)
		pthread_cond_wait(&d->cond, &d->lock);
	pthread_mutex_unlock(&d->lock);
}

void vmm_dev_counters(struct vmm_dev *d, struct vmm_dev_counters *counters)
{
	pthread_mutex_lock(&d->lock);
	*counters = d->counters;
	pthread_mutex_unlock(&d->lock);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A guest device: its life, and what its owner asks of it. */
#include "vmm/vmm_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/eventfd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "base/clock.h"
#include "base/util.h"

#define BIT(n) (UINT64_C(1) << (n))

/*
 * What a virtio-mmio guest may be offered, if the back-end has it. Not NOTIFICATION_DATA (an
 * eventfd carries none), SR_IOV (PCI) or ACCESS_PLATFORM (no IOTLB; what the driver is told of it
 * does not depend on the back-end).
 */
#define TRANSPORT_FEATURES                                                                     \
	(BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) |                     \
		BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER) | \
		BIT(VIRTIO_F_ORDER_PLATFORM) | BIT(VIRTIO_F_RING_RESET))

#define DEFAULT_QUEUE_SIZE 256
#define DEFAULT_RETRY_MS 200
#define DEFAULT_IDLE_MS 60000
#define DEFAULT_WINDOW 0x1000
#define END_MS 500

/* Frees what vmm_dev_new() made; the thread, if any, has ended. */
static void destroy(struct vmm_dev *d)
{
	for (unsigned i = 0; d->vring && i < d->properties.probe.max_queues; i++) {
		struct vmm_vring *r = &d->vring[i];

		if (r->irqfd)
			d->ops->irqfd(d->opaque, d, i, r->call, false);
		if (r->ioeventfd)
			d->ops->ioeventfd(d->opaque, d, d->base + VIRTIO_MMIO_QUEUE_NOTIFY, i,
				r->kick, false);
		fd_close(&r->kick);
		fd_close(&r->call);
	}
	g_free(d->vring);
	g_free(d->table);
	g_free(d->table_ready);
	g_array_unref(d->shm);
	virtio_mmio_free(d->mmio);
	g_array_unref(d->pending);
	g_clear_pointer(&d->config_writes, g_array_unref);
	g_clear_pointer(&d->desired.config_writes, g_array_unref);
	g_free(d->own_state);
	g_free(d->problem);
	fd_close(&d->fd);
	fd_close(&d->wake);
	fd_close(&d->cancel);
	fd_close(&d->area_fd);
	pthread_mutex_destroy(&d->lock);
	pthread_cond_destroy(&d->cond);
	g_free(d->name);
	g_free(d->socket_path);
	g_free(d->needs);
	g_free(d);
}

static void set_config(struct vmm_dev *d, const struct vmm_dev_config *config)
{
	d->name = g_strdup(config->name);
	d->socket_path = g_strdup(config->socket_path);
	d->fd = config->socket_path ? -1 : config->fd;
	d->options = config->front;
	d->options.probe_warned = &d->probe_warned;
	d->options.cancel = &d->cancel;
	d->options.inflight = true;
	d->options.transport_features = TRANSPORT_FEATURES & ~config->withheld;
	d->base = config->base;
	d->window = config->window ? config->window : DEFAULT_WINDOW;
	d->queue_size_max = config->queue_size_max ? config->queue_size_max : DEFAULT_QUEUE_SIZE;
	d->retry_ms = config->retry_ms ? config->retry_ms : DEFAULT_RETRY_MS;
	d->idle_ms = config->idle_ms ? config->idle_ms : DEFAULT_IDLE_MS;
	d->needs = g_strdup(config->needs);
	d->access_platform = config->access_platform;
}

static bool start(struct vmm_dev *d, void *state, GError **error)
{
	int result;

	if (!vmm_state_open(d, state, error))
		return false;
	d->mmio = virtio_mmio_new(&vmm_mmio_ops, d, &d->state->mmio);
	if (d->state->slot == VMM_SLOT_EMPTY)
		virtio_mmio_set_device(d->mmio, NULL, 0);
	d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	d->cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->wake < 0 || d->cancel < 0) {
		g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(errno),
			"%s: eventfd: %s", d->name, g_strerror(errno));
		return false;
	}
	if (d->ops->map_range && !d->ops->map_range(d->opaque, d, d->base, d->window, error))
		return false;
	result = pthread_create(&d->thread, NULL, vmm_control_main, d);
	if (result == 0)
		return true;
	g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(result),
		"%s: cannot make a thread: %s", d->name, g_strerror(result));
	if (d->ops->unmap_range)
		d->ops->unmap_range(d->opaque, d, d->base, d->window);
	return false;
}

struct vmm_dev *vmm_dev_new(const struct vmm_dev_config *config, const struct vmm_ops *ops,
	void *opaque, GError **error)
{
	struct vmm_dev *d = g_new0(struct vmm_dev, 1);

	set_config(d, config);
	d->ops = ops;
	d->opaque = opaque;
	if (ops->shm_reserve) {
		d->options.shm = &vmm_shm_ops;
		d->options.shm_opaque = d;
	}
	d->memory = 1;
	d->wake = d->cancel = d->area_fd = -1;
	d->pending = vmm_done_new();
	d->shm = g_array_new(FALSE, FALSE, sizeof(struct virtio_mmio_shm));
	d->table_ready = g_new(struct virtio_mmio_queue, VIRTIO_MAX_QUEUES);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->cond, NULL);
	if (start(d, config->state, error))
		return d;
	destroy(d);
	return NULL;
}

void vmm_dev_end(struct vmm_dev *d)
{
	pthread_mutex_lock(&d->lock);
	if (!d->quit) {
		d->quit = true;
		d->end_by = g_get_monotonic_time() + END_MS * G_TIME_SPAN_MILLISECOND;
		vmm_changed(d);
	}
	pthread_mutex_unlock(&d->lock);
}

void vmm_dev_free(struct vmm_dev *d)
{
	struct timespec until;

	if (!d)
		return;
	if (d->ops->unmap_range)
		d->ops->unmap_range(d->opaque, d, d->base, d->window);
	vmm_dev_end(d);
	until = clock_timespec(d->end_by);
	pthread_mutex_lock(&d->lock);
	while (!d->ended)
		if (pthread_cond_clockwait(&d->cond, &d->lock, CLOCK_MONOTONIC, &until))
			break;
	pthread_mutex_unlock(&d->lock);
	eventfd_write(d->cancel, 1);
	pthread_join(d->thread, NULL);
	destroy(d);
}

bool vmm_dev_wait(struct vmm_dev *d, unsigned timeout_ms, GError **error)
{
	struct timespec until =
		clock_timespec(g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND);
	bool ok, again;

	pthread_mutex_lock(&d->lock);
	while (d->state->slot == VMM_SLOT_PROBING && !d->failed)
		if (pthread_cond_clockwait(&d->cond, &d->lock, CLOCK_MONOTONIC, &until))
			break;
	ok = d->state->slot == VMM_SLOT_DEVICE;
	again = d->state->slot == VMM_SLOT_PROBING && !d->failed;
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
	/* First: a successor does the rest again. */
	d->state->slot = VMM_SLOT_EMPTY;
	vmm_order();
	d->settling = false;
	virtio_mmio_set_device(d->mmio, NULL, 0);
	vmm_replay(d, done);
	vmm_changed(d);
	pthread_cond_broadcast(&d->cond);
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
}

const char *vmm_dev_name(const struct vmm_dev *d)
{
	return d->name;
}

const struct vu_properties *vmm_dev_properties(const struct vmm_dev *d)
{
	return &d->properties;
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
	vmm_changed(d);
	seq = d->seq;
	while ((d->connected || d->settling) && d->done < seq)
		pthread_cond_wait(&d->cond, &d->lock);
	pthread_mutex_unlock(&d->lock);
}

void vmm_dev_counters(struct vmm_dev *d, struct vmm_dev_counters *counters)
{
	pthread_mutex_lock(&d->lock);
	*counters = d->counters;
	pthread_mutex_unlock(&d->lock);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The services of device.h that concern no thread's set: queues and the configuration space. */
#include <string.h>

#include "daemon/worker/worker_impl.h"

struct vq *virtio_device_queue(struct virtio_device *d, unsigned i)
{
	const struct pool *pool = d->pool;

	if (i >= pool->n_queues || pool->queues[i].run.state != QUEUE_RUNNING)
		return NULL;
	return pool->queues[i].vq;
}

void pool_config_read(struct pool *pool, uint32_t offset, void *to, uint32_t size)
{
	pthread_mutex_lock(&pool->config_lock);
	memcpy(to, pool->device->config + offset, size);
	pthread_mutex_unlock(&pool->config_lock);
}

void pool_config_write(struct pool *pool, uint32_t offset, const void *from, uint32_t size)
{
	pthread_mutex_lock(&pool->config_lock);
	memcpy(pool->device->config + offset, from, size);
	pthread_mutex_unlock(&pool->config_lock);
}

static void report_config(struct pool *pool)
{
	__atomic_store_n(&pool->config_changed, true, __ATOMIC_RELEASE);
	pool_wake(pool);
}

void virtio_config_set(struct virtio_device *d, uint32_t offset, const void *from, uint32_t size)
{
	pool_config_write(d->pool, offset, from, size);
	report_config(d->pool);
}

void virtio_device_config_changed(struct virtio_device *d)
{
	report_config(d->pool);
}

/* Until the devices are ported. */

struct old_watch {
	struct virtio_watch watch;
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents);
	struct old_watch *next;
};

static __thread struct old_watch *old_watches;

static void on_old(struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	container_of(w, struct old_watch, watch)->cb(d, q, revents);
}

void virtio_queue_watch(struct vq *q, int fd, uint32_t events,
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents))
{
	struct old_watch *w = old_watches, *unused = NULL;

	for (; w && !(w->watch.core.owner && w->watch.fd == fd); w = w->next) {
		if (!w->watch.core.owner)
			unused = w;
	}
	if (!w && !events)
		return;
	if (!w)
		w = unused;
	if (!w) {
		w = g_new0(struct old_watch, 1);
		w->next = old_watches;
		old_watches = w;
	}
	w->watch.fd = fd;
	w->watch.ready = on_old;
	w->cb = cb;
	virtio_watch(queue_of(q)->pool->device, q, &w->watch, events);
}

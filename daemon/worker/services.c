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

void virtio_config_set(struct virtio_device *d, uint32_t offset, const void *from, uint32_t size)
{
	pool_config_write(d->pool, offset, from, size);
	__atomic_store_n(&d->pool->config_changed, true, __ATOMIC_RELEASE);
	pool_wake(d->pool);
}

unsigned virtio_count_held(struct virtio_device *d, int n)
{
	struct pool *pool = d->pool;
	unsigned before = __atomic_fetch_add(&pool->held, n, __ATOMIC_RELAXED);

	if (!before)
		__atomic_store_n(&pool->held_since, g_get_monotonic_time(), __ATOMIC_RELAXED);
	return before;
}

unsigned pool_held(const struct pool *pool, int64_t *since)
{
	*since = __atomic_load_n(&pool->held_since, __ATOMIC_RELAXED);
	return __atomic_load_n(&pool->held, __ATOMIC_RELAXED);
}

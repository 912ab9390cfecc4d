/* SPDX-License-Identifier: Apache-2.0 */
/* The services of device.h. */
#include "daemon/worker/worker_impl.h"

struct vq *virtio_device_queue(struct virtio_device *d, unsigned i)
{
	const struct queue *q = &d->pool->queues[i];

	return i < d->num_queues && q->run.state == QUEUE_RUNNING ? q->vq : NULL;
}

void virtio_queue_watch(struct vq *q, int fd, uint32_t events,
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents))
{
	queue_watch_device(vq_opaque(q), fd, events, cb);
}

void virtio_device_config_changed(struct virtio_device *d)
{
	d->pool->setup.callbacks->config_changed(d->pool->setup.opaque);
}

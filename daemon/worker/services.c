/* SPDX-License-Identifier: Apache-2.0 */
/* The services of device.h. */
#include "daemon/device.h"

#include "daemon/session/backend_impl.h"

struct vq *virtio_device_queue(struct virtio_device *d, unsigned i)
{
	struct backend *b = backend_of(d);

	return i < d->num_queues && b->rings[i].run.state == RING_RUNNING ? b->rings[i].vq : NULL;
}

void virtio_queue_watch(struct vq *q, int fd, uint32_t events,
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents))
{
	worker_watch_device(vq_opaque(q), fd, events, cb);
}

void virtio_device_config_changed(struct virtio_device *d)
{
	config_change(backend_of(d));
}

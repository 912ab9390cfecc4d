/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to map shared memory: from the queue's thread to the control thread, which asks the
 * front-end, and back, as a wake-up. Until then the queue does not stop, so that there is always a
 * thread that done() can run on.
 */
#include <errno.h>

#include "daemon/worker/worker_impl.h"

static void on_done(struct virtio_device *d, struct vq *q, struct virtio_wakeup *w)
{
	struct virtio_shm_map *m = container_of(w, struct virtio_shm_map, core.wakeup);

	queue_of(q)->run.n_shm--;
	m->done(d, q, m, m->core.result);
}

void virtio_shm_map(struct vq *q, struct virtio_shm_map *m)
{
	struct queue *queue = queue_of(q);
	struct pool *pool = queue->pool;

	if (queue->run.state == QUEUE_STOPPED) {
		m->done(pool->device, q, m, -ECANCELED);
		return;
	}
	m->core = (struct virtio_shm_map_core){
		.wakeup.run = on_done,
		.next = __atomic_load_n(&pool->shm_maps, __ATOMIC_RELAXED),
	};
	virtio_wakeup_init(pool->device, q, &m->core.wakeup);
	queue->run.n_shm++;
	while (!__atomic_compare_exchange_n(
		&pool->shm_maps, &m->core.next, m, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	pool_wake(pool);
}

void pool_shm_done(struct virtio_shm_map *m, int result)
{
	m->core.result = result;
	virtio_wakeup_signal(&m->core.wakeup);
}

void shm_take(struct pool *pool)
{
	struct virtio_shm_map *m = __atomic_exchange_n(&pool->shm_maps, NULL, __ATOMIC_ACQUIRE);
	struct virtio_shm_map *list = NULL, *next;

	/* In the order of the requests. */
	for (; m; m = next) {
		next = m->core.next;
		m->core.next = list;
		list = m;
	}
	for (; list; list = next) {
		const struct queue *q = queue_of(list->core.wakeup.core.q);

		next = list->core.next;
		pool->setup.callbacks->shm_map(pool->setup.opaque, q - pool->queues, list);
	}
}

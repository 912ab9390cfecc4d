/* SPDX-License-Identifier: Apache-2.0 */
/* The set of what a thread waits for. */
#include <errno.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "daemon/worker/worker_impl.h"

/* Does nothing: what wakes the thread is looked at anyhow. */
static void on_wakeup(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
}

bool sources_open(struct sources *s, struct pool *pool)
{
	*s = (struct sources){
		.pool = pool,
		.epoll = epoll_create1(EPOLL_CLOEXEC),
		.wakeup = {
			.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			.ready = on_wakeup,
			.core.internal = true,
		},
	};
	return s->epoll >= 0 && s->wakeup.fd >= 0 && watch_add(s, &s->wakeup, EPOLLIN | EPOLLET);
}

void sources_close(struct sources *s)
{
	fd_close(&s->epoll);
	fd_close(&s->wakeup.fd);
	g_clear_pointer(&s->by_fd, g_free);
	s->n_fds = 0;
}

struct sources *sources_of(struct virtio_device *d, struct vq *q)
{
	return q ? &queue_of(q)->worker->sources : d->pool->device_sources;
}

/*
 * Tells whether the whole device is one group, where a worker runs its verbs; else all workers
 * pause for them.
 */
static struct queue *whole_device(const struct sources *s)
{
	return s == &s->pool->own_sources ? NULL : s->pool->queues;
}

bool sources_begin(struct sources *s, struct vq **q)
{
	struct queue *queue = *q ? group_active(queue_of(*q)) : whole_device(s);

	if (*q && !queue)
		return false;
	if (*q)
		*q = queue->vq;
	if (queue)
		group_begin(queue);
	return true;
}

void sources_end(struct sources *s, struct vq *q)
{
	struct queue *queue = q ? queue_of(q) : whole_device(s);

	if (queue)
		group_end(queue);
}

void sources_drop(struct sources *s, const struct queue *of)
{
	watch_drop(s, of);
	timer_drop(s, of);
}

bool sources_wait(struct sources *s, int timeout)
{
	if (s->stale)
		watch_renew(s);
	s->n_events = epoll_wait(s->epoll, s->event, SOURCES_EVENTS, timeout);
	return s->n_events > 0;
}

void sources_deliver(struct sources *s)
{
	while (s->n_events > 0) {
		/* From the end, so that those to come are the first n_events. */
		const struct epoll_event e = s->event[--s->n_events];

		if (e.data.ptr)
			watch_deliver(s, e.data.ptr, e.events);
	}
	if (s->timers)
		timer_deliver(s);
}

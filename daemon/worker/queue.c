/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue on its worker, from start to drained.
 *
 * Whatever makes the device do something (a kick, one of its fds, start and stop) runs between
 * group_begin() and group_end(), because a callback on behalf of one queue may pop from and push to
 * all queues of its group. group_end() publishes, notes where a burst was cut short, and notices
 * that a draining queue has no request in flight any more, nor one to map shared memory: from then
 * on the queue is the control thread's.
 */
#include <errno.h>
#include <sys/uio.h>

#include "base/fd_kind.h"
#include "base/trace.h"
#include "daemon/worker/worker_impl.h"

static const struct virtio_device_ops *ops_of(const struct queue *q)
{
	return q->pool->ops;
}

static void make_ready(struct queue *q)
{
	q->run.ready = true;
	q->worker->ready = true;
}

void group_begin(const struct queue *of)
{
	for (struct queue *q = of->group; q < of->group_end; q++) {
		if (q->run.state != QUEUE_STOPPED)
			vq_burst_begin(q->vq);
	}
}

static void settle(struct queue *q)
{
	if (vq_burst_pause(q->vq) == VQ_MORE)
		make_ready(q);
	if (guest_mem_poisoned(q->pool->mem))
		vq_break(q->vq, "the front-end has truncated guest memory");
}

struct queue *group_active(struct queue *of)
{
	if (of->run.state != QUEUE_STOPPED)
		return of;
	for (struct queue *q = of->group; q < of->group_end; q++) {
		if (q->run.state != QUEUE_STOPPED)
			return q;
	}
	return NULL;
}

static void finish(struct queue *q)
{
	struct worker_thread *w = q->worker;
	unsigned i = 0;

	while (w->active[i] != q)
		i++;
	w->active[i] = w->active[--w->n_active];
	q->run.state = QUEUE_STOPPED;
	q->run.ready = false;
	if (!group_active(q))
		sources_drop(&w->sources, q);
	pool_report(q, QUEUE_EVENT_DRAINED);
}

void group_end(const struct queue *of)
{
	struct queue *first = of->group, *end = of->group_end;

	for (struct queue *q = first; q < end; q++) {
		if (q->run.state != QUEUE_STOPPED)
			settle(q);
	}
	for (struct queue *q = first; q < end; q++) {
		if (q->run.state == QUEUE_DRAINING && !vq_in_flight(q->vq) && !q->run.n_shm)
			finish(q);
	}
}

static void burst(struct queue *q)
{
	if (q->run.state != QUEUE_RUNNING || vq_is_broken(q->vq))
		return;
	group_begin(q);
	vq_announce(q->vq);
	ops_of(q)->kick(q->pool->device, q->vq);
	group_end(q);
}

void worker_serve(struct worker_thread *w)
{
	if (!w->ready)
		return;
	w->ready = false;
	/* From the end: finish() moves the last one, which has had its turn, to a free place. */
	for (unsigned i = w->n_active; i-- > 0;) {
		struct queue *q = w->active[i];

		if (i >= w->n_active || !q->run.ready)
			continue;
		q->run.ready = false;
		burst(q);
	}
}

bool queue_poll_device(struct queue *q)
{
	bool any;

	group_begin(q);
	any = ops_of(q)->poll(q->pool->device, q->vq);
	if (any)
		group_end(q);
	return any;
}

/* Breaks the queue: without kicks the driver would wait for ever, and it is told. */
static void no_kicks(struct queue *q, const char *why)
{
	group_begin(q);
	vq_break(q->vq, "the kick fd %s", why);
	group_end(q);
}

static void count_kick(struct queue *q)
{
	unsigned kicks = __atomic_load_n(&q->kicks, __ATOMIC_RELAXED);

	TRACE1(kick, q - q->pool->queues);
	__atomic_store_n(&q->run.kicks, q->run.kicks + 1, __ATOMIC_RELAXED);
	if (kicks == MAX_KICKS)
		return;
	__atomic_store_n(&q->kicks, kicks + 1, __ATOMIC_RELAXED);
	pool_report(q, QUEUE_EVENT_KICKED);
}

static void on_kick(
	struct virtio_device *d, struct vq *none, struct virtio_watch *w, uint32_t revents)
{
	struct queue *q = container_of(w, struct queue, run.kick);
	struct iovec iov = { .iov_base = &(uint64_t){ 0 }, .iov_len = sizeof(uint64_t) };
	ssize_t n = 1;

	worker_woken(q->worker);
	count_kick(q);
	make_ready(q);
	/* Shared with the front-end, which could empty it between poll and read: hence NOWAIT. */
	if (revents & EPOLLIN && !(w->core.events & EPOLLET))
		n = preadv2(w->fd, &iov, 1, -1, RWF_NOWAIT);
	if (!(revents & EPOLLIN) || n == 0 || (n < 0 && errno != EAGAIN))
		no_kicks(q, "is no eventfd, or broken");
}

static void watch_kick(struct queue *q)
{
	uint32_t edge = fd_kind(q->kick) == FD_EVENTFD ? EPOLLET : 0;
	char why[100];

	if (q->kick < 0)
		return;
	q->run.kick = (struct virtio_watch){
		.fd = q->kick,
		.ready = on_kick,
		.core.internal = true,
	};
	if (!watch_add(&q->worker->sources, &q->run.kick, EPOLLIN | edge)) {
		g_snprintf(why, sizeof(why), "cannot be waited for: %s", g_strerror(errno));
		no_kicks(q, why);
	}
}

static void start(struct queue *q)
{
	struct worker_thread *w = q->worker;

	q->run.state = QUEUE_RUNNING;
	q->run.call_due = false;
	w->active[w->n_active++] = q;
	watch_kick(q);
	if (ops_of(q)->queue_start) {
		group_begin(q);
		ops_of(q)->queue_start(q->pool->device, q->vq);
		group_end(q);
	}
	watch_restore(&w->sources, q->vq);
	wakeup_resume(&w->sources, q->vq);
	/* A kick may have been delivered, and read, before the queue was set up. */
	make_ready(q);
}

static void drain(struct queue *q)
{
	watch_remove(&q->run.kick);
	group_begin(q);
	q->run.state = QUEUE_DRAINING;
	vq_drain(q->vq);
	if (ops_of(q)->queue_stop)
		ops_of(q)->queue_stop(q->pool->device, q->vq);
	group_end(q);
}

void worker_obey_queues(struct worker_thread *w)
{
	struct pool *pool = w->pool;

	for (struct queue *q = pool->queues; q < pool->queues + pool->n_queues; q++) {
		unsigned commands;

		if (q->worker != w)
			continue;
		commands = __atomic_exchange_n(&q->commands, 0, __ATOMIC_ACQUIRE);
		if (commands & QUEUE_COMMAND_RUN)
			start(q);
		if (commands & QUEUE_COMMAND_CALL)
			queue_on_call(q);
		if (commands & QUEUE_COMMAND_DRAIN)
			drain(q);
	}
}

void worker_pause_begin(struct worker_thread *w)
{
	for (unsigned i = 0; i < w->n_active; i++)
		vq_burst_begin(w->active[i]->vq);
	w->paused = true;
}

void worker_pause_end(struct worker_thread *w)
{
	w->paused = false;
	for (unsigned i = w->n_active; i-- > 0;) {
		if (i >= w->n_active)
			continue;
		if (w->active[i]->run.call_due)
			queue_on_call(w->active[i]);
		group_end(w->active[i]);
	}
}

void queue_on_broken(void *opaque, const char *reason)
{
	struct queue *q = opaque;

	watch_remove(&q->run.kick);
	pool_report(q, QUEUE_EVENT_BROKE);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue on its worker, from start to drained.
 *
 * Whatever makes the device do something (a kick, one of its fds, start and stop) runs between
 * group_begin() and group_end(), because a callback on behalf of one queue may pop from and push to
 * all queues of its group. group_end() publishes, notes where a burst was cut short, and notices
 * that a draining queue has no request in flight any more: from then on the queue is the control
 * thread's.
 */
#include <errno.h>
#include <sys/uio.h>

#include "base/eventfd.h"
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

static void group_begin(const struct queue *of)
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

static void end_watches(struct queue *q)
{
	struct worker_thread *w = q->worker;

	for (struct worker_watch *watch = w->watches; watch; watch = watch->next) {
		if (watch->fd < 0 || watch->queue != q)
			continue;
		worker_unwatch(w, watch);
		w->n_watches--;
	}
}

static void finish(struct queue *q)
{
	struct worker_thread *w = q->worker;
	unsigned i = 0;

	end_watches(q);
	while (w->active[i] != q)
		i++;
	w->active[i] = w->active[--w->n_active];
	q->run.state = QUEUE_STOPPED;
	q->run.ready = false;
	pool_report(q, QUEUE_EVENT_DRAINED);
}

static void group_end(const struct queue *of)
{
	struct queue *first = of->group, *end = of->group_end;

	for (struct queue *q = first; q < end; q++) {
		if (q->run.state != QUEUE_STOPPED)
			settle(q);
	}
	for (struct queue *q = first; q < end; q++) {
		if (q->run.state == QUEUE_DRAINING && !vq_in_flight(q->vq))
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

static void no_kicks(struct queue *q)
{
	log_limited(&q->worker->log_limit, LOG_LEVEL_WARNING, vq_name(q->vq),
		"the kick fd is no eventfd, or broken: kicks are not seen any more");
	worker_unwatch(q->worker, &q->run.kick);
}

static void on_kick(struct worker_watch *watch, uint32_t revents)
{
	struct queue *q = watch->queue;
	struct iovec iov = { .iov_base = &(uint64_t){ 0 }, .iov_len = sizeof(uint64_t) };
	ssize_t n = 1;

	worker_woken(q->worker);
	make_ready(q);
	/* Shared with the front-end, which could empty it between poll and read: hence NOWAIT. */
	if (revents & EPOLLIN && !(watch->events & EPOLLET))
		n = preadv2(watch->fd, &iov, 1, -1, RWF_NOWAIT);
	if (!(revents & EPOLLIN) || n == 0 || (n < 0 && errno != EAGAIN))
		no_kicks(q);
}

static void watch_kick(struct queue *q)
{
	struct worker_watch *watch = &q->run.kick;

	if (q->kick < 0)
		return;
	*watch = (struct worker_watch){
		.queue = q,
		.fd = q->kick,
		.events = EPOLLIN | (eventfd_is(q->kick) ? EPOLLET : 0),
		.seen = on_kick,
	};
	if (!worker_watch(q->worker, watch))
		no_kicks(q);
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
	/* A kick may have been delivered, and read, before the queue was set up. */
	make_ready(q);
}

static void drain(struct queue *q)
{
	worker_unwatch(q->worker, &q->run.kick);
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

	worker_unwatch(q->worker, &q->run.kick);
	pool_report(q, QUEUE_EVENT_BROKE);
}

static void on_device_fd(struct worker_watch *watch, uint32_t revents)
{
	struct queue *q = watch->queue;

	worker_woken(q->worker);
	group_begin(q);
	watch->cb(q->pool->device, q->vq, revents);
	group_end(q);
}

/*
 * One that is in use for fd, or one that is free: a device that changes its mind costs no memory.
 */
static struct worker_watch *find_watch(struct worker_thread *w, int fd)
{
	struct worker_watch *watch;

	for (watch = w->watches; watch; watch = watch->next) {
		if (watch->fd == fd)
			return watch;
	}
	return NULL;
}

static struct worker_watch *new_watch(struct worker_thread *w)
{
	struct worker_watch *watch = find_watch(w, -1);

	if (!watch) {
		watch = g_new(struct worker_watch, 1);
		*watch = (struct worker_watch){ .fd = -1, .next = w->watches };
		w->watches = watch;
	}
	return watch;
}

void queue_watch_device(struct queue *q, int fd, uint32_t events,
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents))
{
	struct worker_thread *w = q->worker;
	struct worker_watch *watch = find_watch(w, fd);

	if (watch && watch->queue == q && watch->events == events) {
		watch->cb = cb;
		return;
	}
	if (watch) {
		worker_unwatch(w, watch);
		w->n_watches--;
	}
	if (!events || q->run.state == QUEUE_STOPPED)
		return;
	watch = new_watch(w);
	watch->queue = q;
	watch->fd = fd;
	watch->events = events;
	watch->seen = on_device_fd;
	watch->cb = cb;
	w->n_watches++;
	if (worker_watch(w, watch))
		return;
	log_limited(&w->log_limit, LOG_LEVEL_ERROR, vq_name(q->vq), "cannot wait for fd %d: %s", fd,
		g_strerror(errno));
	watch->fd = -1;
	w->n_watches--;
}

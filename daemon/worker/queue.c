/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring on its worker, from start to drained.
 *
 * Whatever makes the device do something (a kick, one of its fds, start and stop) runs between
 * group_begin() and group_end(). The group is the queues that the device wants on one thread: a
 * callback on behalf of one may pop from and push to all of them. group_end() publishes, notes
 * where a burst was cut short, and notices that a draining ring has become idle: from then on the
 * ring is the control thread's.
 */
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "base/util.h"
#include "daemon/session/backend_impl.h"

static const struct virtio_device_ops *ops_of(const struct ring *r)
{
	return r->backend->device.ops;
}

/* Release pairs with owner.c's acquire: whatever was done to the ring is seen. */
static void tell(struct ring *r, enum ring_news news)
{
	__atomic_fetch_or(&r->news, news, __ATOMIC_RELEASE);
	eventfd_write(r->backend->news, 1);
}

static void make_ready(struct ring *r)
{
	r->run.ready = true;
	r->worker->ready = true;
}

static void group_begin(const struct ring *of)
{
	for (struct ring *r = of->run.group; r < of->run.group_end; r++) {
		if (r->run.state != RING_STOPPED)
			vq_burst_begin(r->vq);
	}
}

static void settle(struct ring *r)
{
	if (vq_burst_pause(r->vq) == VQ_MORE)
		make_ready(r);
	if (guest_mem_poisoned(r->backend->mem))
		vq_break(r->vq, "the front-end has truncated guest memory");
}

static void end_watches(struct ring *r)
{
	struct worker *w = r->worker;

	for (struct worker_watch *watch = w->watches; watch; watch = watch->next) {
		if (watch->fd < 0 || watch->ring != r)
			continue;
		worker_unwatch(w, watch);
		w->n_watches--;
	}
}

static void finish(struct ring *r)
{
	struct worker *w = r->worker;
	unsigned i = 0;

	end_watches(r);
	while (w->active[i] != r)
		i++;
	w->active[i] = w->active[--w->n_active];
	r->run.state = RING_STOPPED;
	r->run.ready = false;
	tell(r, RING_DRAINED);
}

static void group_end(const struct ring *of)
{
	struct ring *first = of->run.group, *end = of->run.group_end;

	for (struct ring *r = first; r < end; r++) {
		if (r->run.state != RING_STOPPED)
			settle(r);
	}
	for (struct ring *r = first; r < end; r++) {
		if (r->run.state == RING_DRAINING && !vq_in_flight(r->vq))
			finish(r);
	}
}

static void burst(struct ring *r)
{
	if (r->run.state != RING_RUNNING || vq_is_broken(r->vq))
		return;
	group_begin(r);
	vq_announce(r->vq);
	ops_of(r)->kick(&r->backend->device, r->vq);
	group_end(r);
}

void worker_serve(struct worker *w)
{
	if (!w->ready)
		return;
	w->ready = false;
	/* From the end: finish() moves the last one, which has had its turn, to a free place. */
	for (unsigned i = w->n_active; i-- > 0;) {
		struct ring *r = w->active[i];

		if (i >= w->n_active || !r->run.ready)
			continue;
		r->run.ready = false;
		burst(r);
	}
}

bool worker_poll_device(struct ring *r)
{
	bool any;

	group_begin(r);
	any = ops_of(r)->poll(&r->backend->device, r->vq);
	if (any)
		group_end(r);
	return any;
}

static void no_kicks(struct ring *r)
{
	log_limited(&r->worker->log_limit, LOG_LEVEL_WARNING, vq_name(r->vq),
		"the kick fd is no eventfd, or broken: kicks are not seen any more");
	worker_unwatch(r->worker, &r->run.kick);
}

static void on_kick(struct worker_watch *watch, uint32_t revents)
{
	struct ring *r = watch->ring;
	struct iovec iov = { .iov_base = &(uint64_t){ 0 }, .iov_len = sizeof(uint64_t) };
	ssize_t n = 1;

	worker_woken(r->worker);
	make_ready(r);
	/* Shared with the front-end, which could empty it between poll and read: hence NOWAIT. */
	if (revents & EPOLLIN && !(watch->events & EPOLLET))
		n = preadv2(watch->fd, &iov, 1, -1, RWF_NOWAIT);
	if (!(revents & EPOLLIN) || n == 0 || (n < 0 && errno != EAGAIN))
		no_kicks(r);
}

static void watch_kick(struct ring *r)
{
	struct worker_watch *watch = &r->run.kick;

	if (r->kick < 0)
		return;
	*watch = (struct worker_watch){
		.ring = r,
		.fd = r->kick,
		.events = EPOLLIN | (ring_is_eventfd(r->kick) ? EPOLLET : 0),
		.seen = on_kick,
	};
	if (!worker_watch(r->worker, watch))
		no_kicks(r);
}

static void start(struct ring *r)
{
	struct worker *w = r->worker;

	r->run.state = RING_RUNNING;
	r->run.call_due = false;
	w->active[w->n_active++] = r;
	watch_kick(r);
	if (ops_of(r)->queue_start) {
		group_begin(r);
		ops_of(r)->queue_start(&r->backend->device, r->vq);
		group_end(r);
	}
	/* A kick may have been delivered, and read, before the ring was set up. */
	make_ready(r);
}

static void drain(struct ring *r)
{
	worker_unwatch(r->worker, &r->run.kick);
	group_begin(r);
	r->run.state = RING_DRAINING;
	vq_drain(r->vq);
	if (ops_of(r)->queue_stop)
		ops_of(r)->queue_stop(&r->backend->device, r->vq);
	group_end(r);
}

void worker_obey_rings(struct worker *w)
{
	struct backend *b = w->backend;

	for (struct ring *r = b->rings; r < b->rings + b->device.num_queues; r++) {
		unsigned orders;

		if (r->worker != w)
			continue;
		orders = __atomic_exchange_n(&r->orders, 0, __ATOMIC_ACQUIRE);
		if (orders & RING_START)
			start(r);
		if (orders & RING_CALL)
			worker_on_call(r);
		if (orders & RING_DRAIN)
			drain(r);
	}
}

void worker_pause_begin(struct worker *w)
{
	for (unsigned i = 0; i < w->n_active; i++)
		vq_burst_begin(w->active[i]->vq);
	w->paused = true;
}

void worker_pause_end(struct worker *w)
{
	w->paused = false;
	for (unsigned i = w->n_active; i-- > 0;) {
		if (i >= w->n_active)
			continue;
		if (w->active[i]->run.call_due)
			worker_on_call(w->active[i]);
		group_end(w->active[i]);
	}
}

void worker_on_broken(void *opaque, const char *reason)
{
	struct ring *r = opaque;

	worker_unwatch(r->worker, &r->run.kick);
	tell(r, RING_BROKE);
}

/*
 * An eventfd's write() blocks when its count is full, which takes a front-end that fills it; to ask
 * first would cost each call a system call, and be no safer. So the worker may block here, until
 * the control thread wants something of it and interrupts it (owner.c); and then asks. That, too,
 * may block, where the front-end is quick enough.
 */
void worker_on_call(void *opaque)
{
	struct ring *r = opaque;
	struct worker *w = r->worker;
	int fd = __atomic_load_n(&r->call, __ATOMIC_RELAXED);
	const uint64_t one = 1;

	/* On the control thread, which must not block. */
	r->run.call_due = w->paused;
	if (fd < 0 || w->paused)
		return;
	__atomic_store_n(&w->calling, true, __ATOMIC_RELAXED);
	if (__atomic_load_n(&r->call_may_block, __ATOMIC_RELAXED))
		ring_signal(fd);
	else if (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		__atomic_store_n(&r->call_may_block, true, __ATOMIC_RELAXED);
	__atomic_store_n(&w->calling, false, __ATOMIC_RELAXED);
}

static void on_device_fd(struct worker_watch *watch, uint32_t revents)
{
	struct ring *r = watch->ring;

	worker_woken(r->worker);
	group_begin(r);
	watch->cb(&r->backend->device, r->vq, revents);
	group_end(r);
}

/* One that is in use for fd, or one that is free: a device that changes its mind costs no memory. */
static struct worker_watch *find_watch(struct worker *w, int fd)
{
	struct worker_watch *watch;

	for (watch = w->watches; watch; watch = watch->next) {
		if (watch->fd == fd)
			return watch;
	}
	return NULL;
}

static struct worker_watch *new_watch(struct worker *w)
{
	struct worker_watch *watch = find_watch(w, -1);

	if (!watch) {
		watch = g_new(struct worker_watch, 1);
		*watch = (struct worker_watch){ .fd = -1, .next = w->watches };
		w->watches = watch;
	}
	return watch;
}

void worker_watch_device(struct ring *r, int fd, uint32_t events,
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents))
{
	struct worker *w = r->worker;
	struct worker_watch *watch = find_watch(w, fd);

	if (watch && watch->ring == r && watch->events == events) {
		watch->cb = cb;
		return;
	}
	if (watch) {
		worker_unwatch(w, watch);
		w->n_watches--;
	}
	if (!events || r->run.state == RING_STOPPED)
		return;
	watch = new_watch(w);
	watch->ring = r;
	watch->fd = fd;
	watch->events = events;
	watch->seen = on_device_fd;
	watch->cb = cb;
	w->n_watches++;
	if (worker_watch(w, watch))
		return;
	log_limited(&w->log_limit, LOG_LEVEL_ERROR, vq_name(r->vq), "cannot wait for fd %d: %s", fd,
		g_strerror(errno));
	watch->fd = -1;
	w->n_watches--;
}

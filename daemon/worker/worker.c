/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's life.
 *
 *	          kick, device's fd                 nothing ready
 *	  asleep ------------------> serve <------------------> poll
 *	    ^                          | a burst for each         |
 *	    |                          | ring that is ready       | nothing came
 *	    +---------- arm <----------+--------------------------+
 *
 * A ring, and all that the device does on its behalf, belongs to one worker for the life of the
 * program; rings that the device wants on one thread have the same. So nothing on a request's way
 * takes a lock. Two workers share no data but the device's own and guest memory.
 *
 * The control thread gives orders as bits (worker.orders, ring.orders) and rings the bell; the
 * worker answers with bits (ring.news) and rings the backend's. The control thread never waits: a
 * worker may be in a device's verb for as long as the host's disk likes. Whatever the control
 * thread wants to change of a ring it stops it for (drain), with one exception: the call fd
 * (ring_set_call()). In between the ring is the worker's, memory table included; a ring that is
 * stopped is the control thread's. The exchange of the bits orders the two (release, acquire).
 *
 * For a verb of the device as a whole all workers pause: each takes the order between two bursts,
 * says so, and waits. The control thread then is everybody.
 *
 * Orders are obeyed right after the fds were looked at: what was kicked or signalled before an
 * order was given has been served, as far as possible, when it is obeyed.
 *
 * Eventfds are watched edge-triggered and never read, which saves a system call a kick: each write
 * is an edge, and nobody minds the count.
 */
#include "daemon/worker/worker_impl.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "daemon/session/backend_impl.h"

/* With fds of the device to look at, no more bursts than these between two looks. */
#define MAX_ROUNDS 8
/* A front-end that wants a ring polled gives no kick fd: a look so often, when there is no hurry. */
#define POLLED_RING_MS 1

bool worker_watch(struct worker *w, struct worker_watch *watch)
{
	struct epoll_event event = { .events = watch->events, .data.ptr = watch };

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, watch->fd, &event) == 0;
}

void worker_unwatch(struct worker *w, struct worker_watch *watch)
{
	if (watch->fd < 0)
		return;
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
	for (int i = 0; i < w->n_events; i++) {
		if (w->event[i].data.ptr == watch)
			w->event[i].data.ptr = NULL;
	}
}

static void look_at_fds(struct worker *w, int timeout)
{
	struct worker_watch *watch;

	w->n_events = epoll_wait(w->epoll, w->event, WORKER_EVENTS, timeout);
	while (w->n_events > 0) {
		/* From the end, so that those to come are the first n_events. */
		const struct epoll_event *e = &w->event[--w->n_events];

		watch = e->data.ptr;
		if (watch && watch->seen)
			watch->seen(watch, e->events);
	}
}

static void pause_worker(struct worker *w)
{
	worker_pause_begin(w);
	__atomic_add_fetch(&w->backend->paused, 1, __ATOMIC_RELEASE);
	eventfd_write(w->backend->news, 1);
	while (sem_wait(&w->go) < 0 && errno == EINTR)
		;
	worker_pause_end(w);
}

static void obey(struct worker *w)
{
	/* Acquire pairs with owner.c's release: what the order is about is seen. */
	unsigned orders = __atomic_exchange_n(&w->orders, 0, __ATOMIC_ACQUIRE);

	if (orders & WORKER_RINGS)
		worker_obey_rings(w);
	if (orders & WORKER_PAUSE)
		pause_worker(w);
	if (orders & WORKER_QUIT)
		w->quit = true;
}

static bool has_polled_ring(const struct worker *w)
{
	for (unsigned i = 0; i < w->n_active; i++) {
		const struct ring *r = w->active[i];

		if (r->run.state == RING_RUNNING && r->kick < 0 && !vq_is_broken(r->vq))
			return true;
	}
	return false;
}

/* Works until it is time to look at the fds: waiting there for so many milliseconds (-1: ever). */
static int work(struct worker *w)
{
	worker_look(w);
	for (unsigned rounds = 0;; rounds++) {
		worker_serve(w);
		if (worker_has_orders(w) || (w->n_watches && rounds >= MAX_ROUNDS))
			return 0;
		/* A ring that always has more must not keep the others from being seen. */
		if (w->ready ? worker_look(w) : worker_poll(w))
			continue;
		if (worker_arm(w))
			return has_polled_ring(w) ? POLLED_RING_MS : -1;
	}
}

void *worker_main(void *opaque)
{
	struct worker *w = opaque;
	int timeout = -1;

	while (!w->quit) {
		look_at_fds(w, timeout);
		if (worker_has_orders(w)) {
			worker_serve(w);
			obey(w);
		}
		timeout = work(w);
	}
	return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that has nothing to do: looks, asks for kicks, sleeps (poll_window.h: when which). */
#include <sched.h>
#include <time.h>

#include "base/clock.h"
#include "daemon/worker/worker_impl.h"

/* Turns of looking between two looks at the clock: a driver that polls answers within them. */
#define TURNS 64

bool worker_look(struct worker_thread *w)
{
	for (unsigned i = 0; i < w->n_active; i++) {
		struct queue *q = w->active[i];

		if (vq_has_more(q->vq))
			w->ready = q->run.ready = true;
	}
	return w->ready;
}

/* Completions of the device that no fd signals at once. */
static bool poll_device(struct worker_thread *w)
{
	bool any = false;

	if (!w->pool->ops->poll)
		return false;
	for (unsigned i = w->n_active; i-- > 0;) {
		if (i < w->n_active && vq_in_flight(w->active[i]->vq))
			any |= queue_poll_device(w->active[i]);
	}
	return any;
}

static bool look_for_a_while(struct worker_thread *w)
{
	for (unsigned i = 0; i < TURNS; i++) {
		if (worker_look(w) || poll_device(w) || worker_has_commands(w))
			return true;
		cpu_relax();
	}
	return false;
}

/* Tells whether requests are in the kernel's hands, which may want this CPU to serve them. */
static bool is_busy(const struct worker_thread *w)
{
	struct virtio_device *d = w->pool->device;

	if (!d->ops->busy)
		return false;
	for (unsigned i = 0; i < w->n_active; i++) {
		if (d->ops->busy(d, w->active[i]->vq))
			return true;
	}
	return false;
}

/* Polls the device's fds, unless it looks for itself. */
static bool look_at_fds(struct worker_thread *w)
{
	if (!w->sources.n_watches || w->pool->ops->poll || !sources_wait(&w->sources, 0))
		return false;
	sources_deliver(&w->sources);
	return true;
}

static uint64_t popped_by(const struct queue *q)
{
	return vq_stats(q->vq)->popped;
}

/* Returns the descriptors of the smallest vring, but for those that are hardly used. */
static unsigned room_of(const struct worker_thread *w, uint64_t popped)
{
	unsigned room = VQ_MAX_SIZE;

	for (unsigned i = 0; i < w->n_active; i++) {
		if (popped_by(w->active[i]) >= popped / 16)
			room = MIN(room, vq_size(w->active[i]->vq));
	}
	return room;
}

/* Sleeps for a moment if that is better than looking; returns whether there is more then. */
static bool nap(struct worker_thread *w)
{
	uint64_t popped = 0;
	uint32_t ns;

	for (unsigned i = 0; i < w->n_active; i++)
		popped += popped_by(w->active[i]);
	ns = pace_nap(&w->pace, clock_now_ns(), popped, room_of(w, popped));
	if (!ns)
		return false;
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
	return worker_look(w);
}

bool worker_poll(struct worker_thread *w)
{
	uint64_t window, start;

	w->idle_since = 0;
	if (!w->n_active || is_busy(w))
		return false;
	window = poll_window_next(&w->window);
	if (window && w->pool->ops->batch && nap(w))
		return true;
	if (window && look_for_a_while(w)) {
		poll_window_hit(&w->window, 0);
		return true;
	}
	start = clock_now_ns();
	while (window && clock_now_ns() - start < window) {
		/* The driver may be waiting for this very CPU. */
		sched_yield();
		if (look_for_a_while(w) || look_at_fds(w)) {
			poll_window_hit(&w->window, clock_now_ns() - start);
			return true;
		}
	}
	w->idle_since = start;
	return false;
}

bool worker_arm(struct worker_thread *w)
{
	for (unsigned i = 0; i < w->n_active; i++) {
		struct queue *q = w->active[i];

		if (vq_burst_end(q->vq) == VQ_MORE)
			w->ready = q->run.ready = true;
	}
	return !w->ready;
}

void worker_woken(struct worker_thread *w)
{
	if (w->idle_since)
		poll_window_slept(&w->window, clock_now_ns() - w->idle_since);
	w->idle_since = 0;
}

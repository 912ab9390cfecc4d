/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work on the device as a whole.
 *
 * If one thread owns all queues (VIRTIO_DEVICE_ONE), worker 0 runs it, between two bursts: the
 * control thread posts verbs, and the worker hands them back when they are finished. Else the
 * control thread runs it while all workers pause, or at once if no queue is active. What the device
 * as a whole waits for is delivered likewise: it is in the set of worker 0, or in one that the main
 * loop watches.
 */
#include "base/util.h"
#include "daemon/worker/worker_impl.h"

static void push(struct pool_verb **list, struct pool_verb *verb)
{
	verb->next = __atomic_load_n(list, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(
		list, &verb->next, verb, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* Takes the whole list, in the order of the pushes. */
static struct pool_verb *take(struct pool_verb **list)
{
	struct pool_verb *verb = __atomic_exchange_n(list, NULL, __ATOMIC_ACQUIRE);
	struct pool_verb *reversed = NULL, *next;

	for (; verb; verb = next) {
		next = verb->next;
		verb->next = reversed;
		reversed = verb;
	}
	return reversed;
}

static void finish(struct pool *pool, struct pool_verb *verb)
{
	verb->pending = false;
	pool->n_verbs--;
	if (verb->done)
		verb->done(verb->opaque);
}

/* Runs a verb on the control thread, while the workers pause. */

static void run_paused(struct pool *pool)
{
	struct pool_verb *verb = g_steal_pointer(&pool->verbs), *next;

	for (struct pool_verb *v = verb; v; v = v->next)
		v->run(pool->device, v->opaque);
	__atomic_store_n(&pool->paused, 0, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < pool->n_workers; i++)
		sem_post(&pool->workers[i].go);
	for (; verb; verb = next) {
		next = verb->next;
		finish(pool, verb);
	}
}

static void pause_for(struct pool *pool, struct pool_verb *verb)
{
	struct pool_verb **end = &pool->verbs;

	while (*end)
		end = &(*end)->next;
	verb->next = NULL;
	*end = verb;
	for (unsigned i = 0; pool->verbs == verb && i < pool->n_workers; i++)
		worker_command(&pool->workers[i], WORKER_COMMAND_PAUSE);
}

/* Runs, on worker 0, what was posted. */

void verbs_run_posted(struct pool *pool, struct pool_verb **list)
{
	struct pool_verb *verb = take(list), *next;

	for (; verb; verb = next) {
		next = verb->next;
		group_begin(pool->queues);
		verb->run(pool->device, verb->opaque);
		group_end(pool->queues);
		push(&pool->finished, verb);
	}
	pool_wake(pool);
}

/* Runs a verb in either way. */

void pool_run(struct pool *pool, struct pool_verb *verb)
{
	bool on_worker = pool->ops->threads == VIRTIO_DEVICE_ONE && pool->n_workers;

	if (verb->pending)
		return;
	if (!on_worker && !pool->n_active) {
		verb->run(pool->device, verb->opaque);
		return;
	}
	verb->pending = true;
	pool->n_verbs++;
	if (on_worker) {
		push(verb->late ? &pool->posted_late : &pool->posted, verb);
		worker_command(&pool->workers[0], WORKER_COMMAND_VERBS);
	} else {
		pause_for(pool, verb);
	}
	pool_update_interrupt(pool);
}

void verbs_continue(struct pool *pool)
{
	struct pool_verb *verb = take(&pool->finished), *next;

	for (; verb; verb = next) {
		next = verb->next;
		finish(pool, verb);
	}
	if (pool->verbs && __atomic_load_n(&pool->paused, __ATOMIC_ACQUIRE) == pool->n_workers)
		run_paused(pool);
}

/* What the device as a whole waits for, if the control thread runs its verbs. */

static void on_device_events(void *opaque, uint32_t revents);

static void on_device_timer(void *opaque)
{
	on_device_events(opaque, 0);
}

void verbs_update_timer(struct pool *pool)
{
	int ms = timer_bound(&pool->own_sources, -1);

	g_clear_pointer(&pool->device_timer, loop_watch_free);
	if (ms >= 0)
		pool->device_timer = loop_watch_timer(ms, on_device_timer, pool);
}

static void deliver(struct virtio_device *d, void *opaque)
{
	struct sources *s = &d->pool->own_sources;

	sources_wait(s, 0);
	sources_deliver(s);
	wakeup_deliver(s);
}

static void wait_for_more(void *opaque)
{
	struct pool *pool = opaque;

	if (!pool->device_watch)
		pool->device_watch =
			loop_watch_fd(pool->own_sources.epoll, EPOLLIN, on_device_events, pool);
	verbs_update_timer(pool);
}

static void on_device_events(void *opaque, uint32_t revents)
{
	struct pool *pool = opaque;

	pool_run(pool, &pool->device_events);
	if (!pool->device_events.pending) {
		wait_for_more(pool);
		return;
	}
	/* Neither comes again before they are delivered. */
	g_clear_pointer(&pool->device_watch, loop_watch_free);
	g_clear_pointer(&pool->device_timer, loop_watch_free);
}

void verbs_open(struct pool *pool)
{
	pool->device_events = (struct pool_verb){
		.run = deliver,
		.done = wait_for_more,
		.opaque = pool,
	};
	if (pool->device_sources == &pool->own_sources)
		wait_for_more(pool);
}

void verbs_close(struct pool *pool)
{
	g_clear_pointer(&pool->device_watch, loop_watch_free);
	g_clear_pointer(&pool->device_timer, loop_watch_free);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's loop.
 *
 *	          kick, device's fd                 nothing ready
 *	  asleep ------------------> serve <------------------> poll
 *	    ^                          | a burst for each         |
 *	    |                          | queue that is ready      | nothing came
 *	    +---------- arm <----------+--------------------------+
 *
 * Commands are obeyed right after the fds were looked at: what was kicked or signalled before a
 * command was given has been served, as far as possible, when it is obeyed.
 *
 * Eventfds are watched edge-triggered and never read, which saves a system call a kick: each write
 * is an edge, and the count does not matter.
 */
#include "daemon/worker/worker_impl.h"

#include <errno.h>

/* With fds or timers of the device to look at, no more bursts than these between two looks. */
#define MAX_ROUNDS 8
/* A front-end that wants a ring polled gives no kick fd: it is looked at so often while idle. */
#define POLLED_QUEUE_MS 1

static void pause_worker(struct worker_thread *w)
{
	worker_pause_begin(w);
	__atomic_add_fetch(&w->pool->paused, 1, __ATOMIC_RELEASE);
	pool_wake(w->pool);
	while (sem_wait(&w->go) < 0 && errno == EINTR)
		;
	worker_pause_end(w);
}

static void obey(struct worker_thread *w)
{
	unsigned commands = __atomic_exchange_n(&w->sources.commands, 0, __ATOMIC_ACQUIRE);

	if (commands & WORKER_COMMAND_VERBS)
		verbs_run_posted(w->pool, &w->pool->posted);
	if (commands & WORKER_COMMAND_QUEUES)
		worker_obey_queues(w);
	if (commands & WORKER_COMMAND_VERBS)
		verbs_run_posted(w->pool, &w->pool->posted_late);
	if (commands & WORKER_COMMAND_WAKEUPS)
		wakeup_deliver(&w->sources);
	if (commands & WORKER_COMMAND_PAUSE)
		pause_worker(w);
	if (commands & WORKER_COMMAND_QUIT)
		w->quit = true;
}

static bool has_polled_queue(const struct worker_thread *w)
{
	for (unsigned i = 0; i < w->n_active; i++) {
		const struct queue *q = w->active[i];

		if (q->run.state == QUEUE_RUNNING && q->kick < 0 && !vq_is_broken(q->vq))
			return true;
	}
	return false;
}

/* Returns whether the device waits for anything but kicks. */
static bool has_sources(const struct worker_thread *w)
{
	return w->sources.n_watches || w->sources.timers;
}

/* Works until it is time to look at the fds: waiting there for so many milliseconds (-1: ever). */
static int work(struct worker_thread *w)
{
	worker_look(w);
	for (unsigned rounds = 0;; rounds++) {
		worker_serve(w);
		if (worker_has_commands(w) || (rounds >= MAX_ROUNDS && has_sources(w)))
			return 0;
		/* A queue that always has more must not keep the others from being seen. */
		if (w->ready ? worker_look(w) : worker_poll(w))
			continue;
		if (worker_arm(w))
			return has_polled_queue(w) ? POLLED_QUEUE_MS : -1;
	}
}

/* Names the calling thread: in a sandbox it can only do so itself. */
static void name_thread(const struct worker_thread *w)
{
	char name[16];

	g_snprintf(name, sizeof(name), "worker %u", (unsigned)(w - w->pool->workers));
	pthread_setname_np(pthread_self(), name);
}

void *worker_main(void *opaque)
{
	struct worker_thread *w = opaque;
	int timeout = -1;

	name_thread(w);

	while (!w->quit) {
		sources_wait(&w->sources, timer_bound(&w->sources, timeout));
		sources_deliver(&w->sources);
		if (worker_has_commands(w)) {
			worker_serve(w);
			obey(w);
		}
		timeout = work(w);
	}
	return NULL;
}

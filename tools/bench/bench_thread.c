/* SPDX-License-Identifier: Apache-2.0 */
/* See bench_thread.h. */
#include "tools/bench/bench_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/nowait.h"

/*
 * Reads calls. Another process may have made the eventfd, which we share with the back-end,
 * non-blocking.
 */
static void read_calls(struct bench_thread *t)
{
	uint64_t value;

	while (read(t->call, &value, sizeof(value)) < 0) {
		if (errno != EAGAIN)
			return;
		fcntl(t->call, F_SETFL, fcntl(t->call, F_GETFL) & ~O_NONBLOCK);
	}
	t->queues[0]->counts->calls += value % BENCH_WAKE;
}

static bool calls_are_there(struct bench_thread *t, const struct timespec *timeout)
{
	struct pollfd fd = { .fd = t->call, .events = POLLIN };

	return ppoll(&fd, 1, timeout, NULL) > 0;
}

/* Sleeps until a call, or until a paced queue is due. */
static void sleep_until_call(struct bench_thread *t)
{
	uint64_t due = UINT64_MAX, now;
	struct timespec timeout = { 0 };

	for (unsigned i = 0; t->paced && i < t->n_queues; i++)
		due = MIN(due, bench_queue_due(t->queues[i]));
	if (due == UINT64_MAX) {
		read_calls(t);
		return;
	}
	now = clock_now_ns();
	if (due > now) {
		timeout.tv_sec = (time_t)((due - now) / 1000000000);
		timeout.tv_nsec = (long)((due - now) % 1000000000);
	}
	if (calls_are_there(t, &timeout))
		read_calls(t);
}

static void wait_for_call(struct bench_thread *t)
{
	bool more = false;

	for (unsigned i = 0; i < t->n_queues; i++)
		more = driver_ring_arm(t->queues[i]->io.ring) || more;
	if (!more)
		sleep_until_call(t);
	for (unsigned i = 0; i < t->n_queues; i++)
		driver_ring_disarm(t->queues[i]->io.ring);
}

static void tell_main(struct bench_thread *t)
{
	eventfd_write(t->control->done, 1);
}

/* Counts what is reaped from now on. Calls that were not read yet belong to the time before. */
static void count_to(struct bench_thread *t, struct bench_counts *counts)
{
	if (calls_are_there(t, &(struct timespec){ 0 }))
		read_calls(t);
	for (unsigned i = 0; i < t->n_queues; i++)
		t->queues[i]->counts = counts;
}

static void end_measuring(struct bench_thread *t)
{
	if (!t->start_ns || t->end_ns)
		return;
	t->end_ns = clock_now_ns();
	count_to(t, &t->ignored);
}

/* Shares the quota, which counts completions: what is in flight already is part of it. */
static void share_quota(struct bench_thread *t)
{
	for (unsigned i = 0; i < t->n_queues; i++) {
		struct bench_queue *q = t->queues[i];
		uint64_t share = t->quota;

		if (share != UINT64_MAX) {
			unsigned out = driver_ring_outstanding(q->io.ring);

			share = share / t->n_queues + (i < share % t->n_queues);
			share -= MIN(share, out);
		}
		q->left = share;
		bench_queue_start_pace(q);
	}
}

/* Enters a phase. False: the end. */
static bool enter_phase(struct bench_thread *t, enum bench_phase phase)
{
	t->phase = phase;
	switch (phase) {
	case BENCH_IDLE:
		break;
	case BENCH_WARMUP:
		for (unsigned i = 0; i < t->n_queues; i++) {
			t->queues[i]->left = UINT64_MAX;
			bench_queue_start_pace(t->queues[i]);
		}
		break;
	case BENCH_MEASURE:
		count_to(t, &t->measured);
		share_quota(t);
		t->start_ns = clock_now_ns();
		break;
	case BENCH_DRAIN:
		end_measuring(t);
		for (unsigned i = 0; i < t->n_queues; i++)
			t->queues[i]->left = 0;
		break;
	case BENCH_READ_BACK:
		for (unsigned i = 0; i < t->n_queues; i++) {
			t->queues[i]->reading_back = true;
			t->queues[i]->plan.interval_ns = 0;
			t->queues[i]->left = UINT64_MAX;
		}
		break;
	case BENCH_QUIT:
		return false;
	}
	return true;
}

/* Tells whether nothing is in flight, and nothing to issue. */
static bool is_finished(const struct bench_thread *t)
{
	for (unsigned i = 0; i < t->n_queues; i++) {
		if (t->queues[i]->left || driver_ring_outstanding(t->queues[i]->io.ring))
			return false;
	}
	return true;
}

static void finish_phase(struct bench_thread *t)
{
	if (t->phase == BENCH_MEASURE)
		end_measuring(t);
	__atomic_store_n(&t->finished, t->phase, __ATOMIC_RELEASE);
	tell_main(t);
	while (__atomic_load_n(&t->control->phase, __ATOMIC_ACQUIRE) == t->phase)
		read_calls(t);
}

/* Gives every queue one turn; false if one has failed. *reaped: requests of all of them. */
static bool turn_all(struct bench_thread *t, unsigned *reaped)
{
	*reaped = 0;
	for (unsigned i = 0; i < t->n_queues; i++) {
		int n = bench_queue_turn(t->queues[i]);

		if (n < 0)
			return false;
		*reaped += (unsigned)n;
	}
	if (*reaped)
		__atomic_store_n(&t->completed, t->completed + *reaped, __ATOMIC_RELAXED);
	return true;
}

static gpointer run(gpointer opaque)
{
	struct bench_thread *t = opaque;

	prctl(PR_SET_TIMERSLACK, 1000); /* ns; a paced request waits no longer than it must */
	for (;;) {
		enum bench_phase phase = __atomic_load_n(&t->control->phase, __ATOMIC_ACQUIRE);
		unsigned reaped;

		if (phase != t->phase && !enter_phase(t, phase))
			return NULL;
		if (!turn_all(t, &reaped))
			break;
		if (is_finished(t))
			finish_phase(t);
		else if (!t->polling)
			wait_for_call(t);
		else if (!reaped)
			cpu_relax();
	}
	__atomic_store_n(&t->failed, true, __ATOMIC_RELEASE);
	tell_main(t);
	return NULL;
}

void bench_thread_start(struct bench_thread *t)
{
	for (unsigned i = 0; i < t->n_queues; i++) {
		t->queues[i]->counts = &t->ignored;
		if (t->polling)
			driver_ring_disarm(t->queues[i]->io.ring);
	}
	t->thread = g_thread_new("bench", run, t);
}

void bench_thread_wake(struct bench_thread *t)
{
	static const uint64_t wake = BENCH_WAKE;

	nowait_write(t->call, &wake, sizeof(wake));
}

void bench_thread_join(struct bench_thread *t)
{
	g_clear_pointer(&t->thread, g_thread_join);
}

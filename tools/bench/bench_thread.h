/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that drives some queues through the phases of a measurement. The main thread sets the
 * phase of all threads; a thread that has nothing left to do in a phase says so and sleeps until
 * the next one.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/bench/bench_queue.h"

enum bench_phase {
	BENCH_IDLE, /* before the first */
	BENCH_WARMUP,
	BENCH_MEASURE,
	BENCH_DRAIN, /* issue nothing more, reap the rest */
	BENCH_READ_BACK, /* and check all that was written */
	BENCH_QUIT, /* at once */
};

/* Written by the main thread. */
struct bench_control {
	enum bench_phase phase; /* atomic */
	int done; /* an eventfd: a thread has nothing left to do, or failed */
};

/*
 * Added to a call eventfd by the main thread, to wake the sleeper; what the back-end added is the
 * rest.
 */
#define BENCH_WAKE (UINT64_C(1) << 32)

struct bench_thread {
	GThread *thread;
	const struct bench_control *control;
	struct bench_queue **queues;
	unsigned n_queues;
	int call; /* of all its queues; blocking */
	bool polling, paced;
	uint64_t quota; /* requests to measure; UINT64_MAX: no limit */

	/* Read by the main thread while this one runs: atomic, and on lines of their own. */
	uint64_t completed __attribute__((aligned(64)));
	enum bench_phase finished; /* the last phase in which nothing is left to do */
	bool failed;
	/* The thread's own until it has ended. */
	enum bench_phase phase __attribute__((aligned(64)));
	uint64_t start_ns, end_ns;
	struct bench_counts measured, ignored;
};

void bench_thread_start(struct bench_thread *t);
/* Wakes it if it sleeps: the phase has changed. */
void bench_thread_wake(struct bench_thread *t);
/* After BENCH_QUIT. */
void bench_thread_join(struct bench_thread *t);

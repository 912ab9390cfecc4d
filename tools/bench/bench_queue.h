/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtqueue of the load generator: a fixed number of requests, each either in flight or free,
 * which are issued again as soon as they complete. All of it belongs to one thread; nothing here
 * allocates or waits.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/bench/bench.h"
#include "tools/bench/bench_verify.h"
#include "tools/block/blkio_queue.h"

/* What the generator knows of the request of the same number in the queue. */
struct bench_slot {
	uint64_t block; /* of the queue's blocks */
	uint64_t issued_ns;
};

/* Counters of a thread; while it does not measure, they go to a copy that is not read. */
struct bench_counts {
	uint64_t requests; /* completed, without flushes */
	uint64_t errors; /* among them, or flushes */
	uint64_t kicks, calls;
	struct bench_hist latency;
};

/* What all requests of a queue have in common. */
struct bench_plan {
	uint64_t base; /* of the region, on the device */
	uint64_t stride; /* from one of the queue's blocks to the next */
	uint64_t n_blocks;
	bool random;
	uint32_t read_below; /* a random number below this (of 2^32) makes a read … */
	bool always_read; /* … or this does */
	unsigned flush_every;
	uint64_t interval_ns; /* between requests; 0: none */
};

struct bench_queue {
	struct bench_plan plan;
	struct blkio_queue io;
	struct bench_slot *slots;
	struct blkio_request **free;
	unsigned n_free;
	uint64_t random, next_block, due_ns;
	uint64_t progress_ns; /* of the last completion, or when there was none to wait for */
	uint64_t stall_ns; /* the longest time without one */
	uint64_t left; /* requests that may still be issued */
	unsigned unflushed;
	struct bench_counts *counts;
	struct bench_verify *verify; /* NULL: data does not matter */
	bool reading_back; /* all that was written, once */
	char *failure; /* nothing can go on: what the back-end did; g_free() */
	char *first_error; /* of a request; g_free() */
};

/*
 * Reaps all that is done and issues as much as may be. Returns the number of requests
 * reaped, or -1: failure says why.
 */
int bench_queue_turn(struct bench_queue *q);
/* The time at which a paced queue wants its turn even if nothing completes; UINT64_MAX: none. */
uint64_t bench_queue_due(const struct bench_queue *q);
/* Paced requests are due from now on. */
void bench_queue_start_pace(struct bench_queue *q);

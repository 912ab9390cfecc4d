/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl bench: what to measure, and what came of it. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/choice.h"
#include "tools/bench/bench_hist.h"
#include "tools/bench/bench_usage.h"
#include "tools/connect.h"

enum bench_rw { BENCH_RANDREAD, BENCH_RANDWRITE, BENCH_READ, BENCH_WRITE, BENCH_MIXED };

struct bench_options {
	char *socket; /* g_free() */
	enum bench_rw rw;
	unsigned read_percent; /* of BENCH_MIXED */
	uint32_t block_size;
	unsigned depth; /* requests in flight, for each queue */
	unsigned queues, threads;
	unsigned queue_size; /* 0: whatever holds depth requests */
	double seconds, warmup;
	uint64_t requests; /* in place of seconds; 0: no such limit */
	uint64_t rate; /* requests a second, of all queues; 0: as fast as it goes */
	enum choice packed, indirect, event_idx, inflight;
	bool polling;
	uint64_t offset, length; /* the part of the device; length 0: up to its end */
	uint64_t seed;
	unsigned flush_every; /* so many writes of a queue; 0: never */
	unsigned timeout_ms; /* without any completion */
	bool verify; /* data is checked */
	bool survive; /* a back-end that has gone is waited for */
	bool strict; /* a used length that is too large is an error */
	bool json;
	bool echo; /* of a device that is no disk: its host sends back what it gets */
};

bool bench_parse(
	char **argv, struct bench_options *o, struct connect_options *connect, GError **error);
const char *bench_rw_name(enum bench_rw rw);
/* Does it write? */
bool bench_writes(const struct bench_options *o);

struct bench_result {
	double seconds;
	uint64_t requests, errors, kicks, calls;
	struct bench_hist latency;
	struct bench_usage backend, frontend; /* CPU: of the time measured */
	bool verified; /* all that was written was read, and all that was read was right */
	unsigned reconnects;
	uint64_t stall_ns; /* the longest time that a queue waited for one of its requests */
	int backend_pid; /* 0: not known */
	unsigned queue_size;
	bool packed, indirect, event_idx, inflight; /* as negotiated */
};

/* On standard output. */
void bench_report(const struct bench_options *o, const struct bench_result *r);
/* Of a device that is no disk; what: the request (bench_trip.h). */
void bench_report_trips(
	const struct bench_options *o, const char *what, const struct bench_result *r);

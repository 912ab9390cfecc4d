/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon's method "stats" answers (daemon/session/stats.c), as numbers. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/json_read.h"

#define COUNTERS_TYPES 8
#define COUNTERS_LATENCIES 28

struct counters_type {
	char name[24];
	uint64_t requests, bytes, errors, latency_ns;
	uint64_t latency[COUNTERS_LATENCIES];
};

struct counters_queue {
	uint64_t index, requests, index_updates, kicks, calls, in_flight, breaks;
	char state[12];
	struct counters_type type[COUNTERS_TYPES];
	unsigned n_types;
};

struct counters {
	char device[24], front_end[12];
	uint64_t uptime_us, cpu_us, connections, connected_us;
	uint64_t held, held_us; /* requests that wait for the host; for how long */
	GArray *queues; /* of struct counters_queue */
	/* Of Xen guests' memory. */
	uint64_t pages_mapped, pages, maps, unmaps, copies, failures, system_calls;
};

/*
 * Reads an answer, which may come from anybody: names are cut and have no odd characters. False: it
 * is not what a device's daemon answers. counters_clear() follows in any case.
 */
bool counters_read(struct counters *c, const struct json_value *answer);
void counters_clear(struct counters *c);
/* Sums up the queues, type by type, in the order in which they come; returns how many types. */
unsigned counters_by_type(const struct counters *c, struct counters_type sum[COUNTERS_TYPES]);
/* Adds the numbers of a type to a sum. */
void counters_add(struct counters_type *sum, const struct counters_type *t);
/* Returns the ns that part (0 to 1) of the requests took at most, about; 0 if there are none. */
double counters_percentile(const struct counters_type *t, double part);
/* Returns the upper bound, in ns, of what latency[i] counts. */
double counters_bound(unsigned i);

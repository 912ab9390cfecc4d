/* SPDX-License-Identifier: Apache-2.0 */
/* virtioctl stats: what daemons have served until now. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/control/ask.h"
#include "tools/control/counters.h"
#include "tools/text.h"
#include "tools/virtioctl.h"

static bool as_json;

static void print_device(const char *path, const struct counters *c)
{
	g_autofree char *up = text_duration(c->uptime_us / G_USEC_PER_SEC);

	printf("%s: %s, front-end %s, %" PRIu64 " connection%s, up %s, CPU %.3f s\n", path,
		c->device, c->front_end, c->connections, c->connections == 1 ? "" : "s", up,
		(double)c->cpu_us / G_USEC_PER_SEC);
}

static void print_held(const struct counters *c)
{
	if (c->held)
		printf("  held: %" PRIu64 " request%s, for %.1f s, until the host can carry %s "
		       "out\n",
			c->held, c->held == 1 ? "" : "s", (double)c->held_us / G_USEC_PER_SEC,
			c->held == 1 ? "it" : "them");
}

static void print_queues(const struct counters *c)
{
	printf("  %5s %-8s %12s %10s %10s %10s %9s %6s\n", "QUEUE", "STATE", "REQUESTS", "KICKS",
		"CALLS", "UPDATES", "IN FLIGHT", "BREAKS");
	for (unsigned i = 0; i < c->queues->len; i++) {
		const struct counters_queue *q =
			&g_array_index(c->queues, struct counters_queue, i);

		printf("  %5" PRIu64 " %-8s %12" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64
		       " %9" PRIu64 " %6" PRIu64 "\n",
			q->index, q->state, q->requests, q->kicks, q->calls, q->index_updates,
			q->in_flight, q->breaks);
	}
}

static void print_types(const struct counters *c)
{
	struct counters_type sum[COUNTERS_TYPES];
	unsigned n = counters_by_type(c, sum);

	if (n)
		printf("  %-14s %12s %16s %8s %10s %10s %10s\n", "TYPE", "REQUESTS", "BYTES",
			"ERRORS", "MEAN µs", "P50 µs", "P99 µs");
	for (unsigned i = 0; i < n; i++) {
		const struct counters_type *t = &sum[i];

		printf("  %-14s %12" PRIu64 " %16" PRIu64 " %8" PRIu64 " %9.1f %9.1f %9.1f\n",
			t->name, t->requests, t->bytes, t->errors,
			t->requests ? (double)t->latency_ns / 1e3 / (double)t->requests : 0.0,
			counters_percentile(t, 0.5) / 1e3, counters_percentile(t, 0.99) / 1e3);
	}
}

static void print_xen(const struct counters *c)
{
	if (c->system_calls)
		printf("  Xen memory: %" PRIu64 " pages mapped, %" PRIu64 " in all by %" PRIu64
		       " maps (%" PRIu64 " undone), %" PRIu64 " copies, %" PRIu64
		       " failures, %" PRIu64 " system calls\n",
			c->pages_mapped, c->pages, c->maps, c->unmaps, c->copies, c->failures,
			c->system_calls);
}

static bool answered(const char *path, const struct json_value *result)
{
	struct counters c;
	bool ok;

	if (as_json)
		return ask_print_json(path, result);
	ok = counters_read(&c, result);
	if (ok) {
		print_device(path, &c);
		print_held(&c);
		print_queues(&c);
		print_types(&c);
		print_xen(&c);
	}
	counters_clear(&c);
	return ok;
}

int stats_run(int argc, char **argv)
{
	const struct option_entry options[] = {
		{ "json", .flag = &as_json, .help = "Print JSON, an object a line" },
		{ NULL },
	};
	const struct ask ask = {
		.summary = "Shows what daemons that were started with --control=SOCKET have served "
			   "until now.",
		.method = "stats",
		.options = options,
		.answered = answered,
	};

	return ask_run(&ask, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Daemons as "virtioctl top" asks them: rates are by their own clocks. */
#include <string.h>

#include "base/clock.h"
#include "tools/control/top.h"

#define PATIENCE_NS UINT64_C(1000000000)

static void lose(struct top_daemon *d, const char *state)
{
	d->last.uptime_us = 0;
	d->state = state;
	memset(d->value, 0, sizeof(d->value));
}

static void ask(struct top_daemon *d)
{
	uint64_t now = clock_now_ns();

	if (!d->round.asked) {
		d->asked_ns = now;
		if (!round_ask(&d->round))
			lose(d, "gone");
	} else if (!d->silent && now - d->asked_ns >= PATIENCE_NS) {
		d->silent = true;
		lose(d, "silent");
	}
}

/* Returns what happened since the last sample. */
static struct counters_type difference(
	const struct counters_type *now, const struct counters_type *last)
{
	struct counters_type d = *now;

	d.requests -= last->requests;
	d.bytes -= last->bytes;
	for (unsigned i = 0; i < COUNTERS_LATENCIES; i++)
		d.latency[i] -= last->latency[i];
	return d;
}

/* Sets what is shown: nothing has happened if there is no sample to compare with. */
static void show(struct top_daemon *d, const struct top_sample *now)
{
	struct counters_type t = difference(&now->sum, &d->last.sum);
	double us = (double)(now->uptime_us - d->last.uptime_us);

	if (!d->last.uptime_us || now->uptime_us <= d->last.uptime_us) {
		for (unsigned i = TOP_IOPS; i < TOP_IN_FLIGHT; i++)
			d->value[i] = 0;
		d->value[TOP_CPU] = 0;
		return;
	}
	d->value[TOP_IOPS] = (double)t.requests / us * 1e6;
	d->value[TOP_MB] = (double)t.bytes / us;
	d->value[TOP_P50] = counters_percentile(&t, 0.5) / 1e3;
	d->value[TOP_P99] = counters_percentile(&t, 0.99) / 1e3;
	d->value[TOP_CPU] = (double)(now->cpu_us - d->last.cpu_us) / us * 100;
}

static const char *state_of(const struct counters *c, uint64_t *in_flight)
{
	static const char *const states[] = { "connected", "absent", "leaving" };
	bool broken = false;

	*in_flight = 0;
	for (unsigned i = 0; i < c->queues->len; i++) {
		const struct counters_queue *q =
			&g_array_index(c->queues, struct counters_queue, i);

		*in_flight += q->in_flight;
		broken |= !strcmp(q->state, "broken");
	}
	if (broken)
		return "broken";
	if (c->held)
		return "held";
	for (unsigned i = 0; i < G_N_ELEMENTS(states); i++) {
		if (!strcmp(c->front_end, states[i]))
			return states[i];
	}
	return "unknown";
}

static void show_counters(struct top_daemon *d, const struct counters *c)
{
	struct top_sample now = { .uptime_us = c->uptime_us, .cpu_us = c->cpu_us };
	struct counters_type sum[COUNTERS_TYPES];
	unsigned n = counters_by_type(c, sum);
	uint64_t in_flight;

	for (unsigned i = 0; i < n; i++)
		counters_add(&now.sum, &sum[i]);
	memcpy(d->device, c->device, sizeof(d->device));
	d->state = state_of(c, &in_flight);
	d->value[TOP_IN_FLIGHT] = (double)in_flight;
	show(d, &now);
	d->last = now;
}

void top_take(struct top_daemon *d)
{
	g_autofree char *line = NULL;
	struct json_value result;
	enum round_result got = round_take(&d->round, &line, &result);
	struct counters c;

	if (got == ROUND_WAIT)
		return;
	d->silent = false;
	if (got == ROUND_LOST) {
		lose(d, "gone");
		return;
	}
	if (counters_read(&c, &result)) {
		show_counters(d, &c);
	} else {
		round_leave(&d->round);
		lose(d, "no device");
	}
	counters_clear(&c);
}

void top_ask(struct top_daemon *daemons, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		ask(&daemons[i]);
}

bool top_expects(const struct top_daemon *daemons, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (daemons[i].round.asked && !daemons[i].silent)
			return true;
	}
	return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of a running daemon, for its operator. */
#include <time.h>

#include "base/clock.h"
#include "daemon/session/backend_impl.h"
#include "memory/types/mem_xen.h"

/* Requests in flight that are shown of each queue. */
#define MAX_FLIGHTS 32

/* Loads a counter: the queue's worker goes on counting. */
static uint64_t load(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Returns the requests that were served. */
static uint64_t log_queue(const struct vq *q)
{
	const struct vq_stats *s = vq_stats(q);
	uint64_t published = load(&s->published);

	log_info(vq_name(q),
		"%" PRIu64 " requests served, published by %" PRIu64 " index updates, %" PRIu64
		" calls to the driver, %u in flight; broke %" PRIu64 " times",
		published, load(&s->publications), load(&s->calls), vq_in_flight(q),
		load(&s->breaks));
	return published;
}

void backend_log_stats(const struct backend *b)
{
	struct mem_xen_stats s;
	uint64_t served = 0;

	for (unsigned i = 0; i < b->device.num_queues; i++)
		served += log_queue(pool_queue_vq(b->pool, i));
	mem_xen_get_stats(&s);
	log_info(NULL,
		"Xen memory: %" PRIu64 " pages mapped, at most %" PRIu64 "; in all %" PRIu64
		" pages by %" PRIu64 " maps (%" PRIu64 " undone), %" PRIu64 " copies, %" PRIu64
		" failures, %" PRIu64 " system calls (%.3f a request)",
		s.live, s.high_water, s.pages, s.maps, s.unmaps, s.copies, s.failures, s.calls,
		served ? (double)s.calls / served : 0.0);
}

static const char *queue_state(const struct backend *b, unsigned i)
{
	static const char *const state[] = {
		[QUEUE_STOPPED] = "stopped",
		[QUEUE_RUNNING] = "running",
		[QUEUE_DRAINING] = "stopping",
	};

	return b->vrings[i].dead ? "broken" : state[pool_queue_state(b->pool, i)];
}

static const char *front_end_state(const struct backend *b)
{
	static const char *const state[] = {
		[BACKEND_IDLE] = "absent",
		[BACKEND_SERVING] = "connected",
		[BACKEND_CLOSING] = "leaving",
	};

	return state[b->state];
}

static const char *type_name(const struct backend *b, unsigned type)
{
	const struct vq_type *types = b->device.ops->request_types;

	return types ? types[type].name : "request";
}

static void json_type(struct json *j, const char *name, const struct vq_type_stats *s)
{
	unsigned n = VQ_LATENCIES;

	json_open_object(j, NULL);
	json_string(j, "type", name);
	json_uint(j, "requests", load(&s->requests));
	json_uint(j, "bytes", load(&s->bytes));
	json_uint(j, "errors", load(&s->errors));
	json_uint(j, "latency_ns", load(&s->latency_ns));
	json_open_array(j, "latency");
	while (n > 0 && !load(&s->latency[n - 1]))
		n--;
	for (unsigned i = 0; i < n; i++)
		json_uint(j, NULL, load(&s->latency[i]));
	json_close_array(j);
	json_close_object(j);
}

static void json_queue(struct json *j, const struct backend *b, unsigned i)
{
	const struct vq *q = pool_queue_vq(b->pool, i);
	const struct vq_stats *s = vq_stats(q);

	json_open_object(j, NULL);
	json_uint(j, "queue", i);
	json_uint(j, "requests", load(&s->published));
	json_uint(j, "index_updates", load(&s->publications));
	json_uint(j, "kicks", pool_queue_total_kicks(b->pool, i));
	json_uint(j, "calls", load(&s->calls));
	json_uint(j, "in_flight", vq_in_flight(q));
	json_uint(j, "breaks", load(&s->breaks));
	json_string(j, "state", queue_state(b, i));
	json_open_array(j, "types");
	for (unsigned t = 0; t < VQ_MAX_TYPES; t++) {
		if (load(&s->type[t].requests))
			json_type(j, type_name(b, t), &s->type[t]);
	}
	json_close_array(j);
	json_close_object(j);
}

static void json_xen(struct json *j)
{
	struct mem_xen_stats s;

	mem_xen_get_stats(&s);
	json_open_object(j, "xen");
	json_uint(j, "pages_mapped", s.live);
	json_uint(j, "pages_mapped_most", s.high_water);
	json_uint(j, "pages", s.pages);
	json_uint(j, "maps", s.maps);
	json_uint(j, "unmaps", s.unmaps);
	json_uint(j, "copies", s.copies);
	json_uint(j, "failures", s.failures);
	json_uint(j, "system_calls", s.calls);
	json_close_object(j);
}

/* Returns the CPU time that the process has taken, in µs. */
static uint64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * G_USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

void backend_json_stats(const struct backend *b, struct json *j)
{
	int64_t now = g_get_monotonic_time(), held_since;
	unsigned held = pool_held(b->pool, &held_since);

	json_string(j, "device", b->device.ops->name);
	json_uint(j, "uptime_us", now - b->started_at);
	json_uint(j, "cpu_us", cpu_us());
	json_string(j, "front_end", front_end_state(b));
	json_uint(j, "connections", b->connections);
	json_uint(j, "connected_us", b->state == BACKEND_IDLE ? 0 : now - b->connected_at);
	json_uint(j, "held", held);
	json_uint(j, "held_us", held ? MAX(now - held_since, 0) : 0);
	json_open_array(j, "queues");
	for (unsigned i = 0; i < b->device.num_queues; i++)
		json_queue(j, b, i);
	json_close_array(j);
	json_xen(j);
}

static void json_flights(struct json *j, const struct backend *b, unsigned i)
{
	const struct vq *q = pool_queue_vq(b->pool, i);
	struct vq_flight flights[MAX_FLIGHTS];
	unsigned n = vq_oldest(q, flights, MAX_FLIGHTS);
	uint64_t now = clock_now_ns();

	if (!n)
		return;
	json_open_object(j, NULL);
	json_uint(j, "queue", i);
	json_uint(j, "in_flight", vq_in_flight(q));
	json_open_array(j, "oldest");
	for (unsigned f = 0; f < n; f++) {
		json_open_object(j, NULL);
		json_uint(j, "id", flights[f].id);
		json_string(j, "type", type_name(b, flights[f].type));
		/* The worker may have read the clock since we did. */
		json_uint(j, "us", now > flights[f].since ? (now - flights[f].since) / 1000 : 0);
		json_close_object(j);
	}
	json_close_array(j);
	json_close_object(j);
}

void backend_json_inflight(const struct backend *b, struct json *j)
{
	json_string(j, "device", b->device.ops->name);
	json_open_array(j, "queues");
	for (unsigned i = 0; i < b->device.num_queues; i++)
		json_flights(j, b, i);
	json_close_array(j);
}

void backend_json_status(const struct backend *b, struct json *j)
{
	json_uint(j, "device_id", b->device.ops->probe.device_id);
	json_string(j, "front_end", front_end_state(b));
	json_hex64(j, "features", b->has_features ? b->features : 0);
	json_uint(j, "device_status", b->status);
	json_bool(j, "needs_reset", b->needs_reset);
	json_open_array(j, "queues");
	for (unsigned i = 0; i < b->device.num_queues; i++)
		json_string(j, NULL, queue_state(b, i));
	json_close_array(j);
}

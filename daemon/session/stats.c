/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of a running daemon, for its operator. */
#include "daemon/session/backend_impl.h"
#include "memory/types/mem_xen.h"

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

static void json_queue(struct json *j, const struct vq *q)
{
	const struct vq_stats *s = vq_stats(q);

	json_open_object(j, NULL);
	json_uint(j, "queue", vq_index(q));
	json_uint(j, "requests", load(&s->published));
	json_uint(j, "index_updates", load(&s->publications));
	json_uint(j, "calls", load(&s->calls));
	json_uint(j, "in_flight", vq_in_flight(q));
	json_uint(j, "breaks", load(&s->breaks));
	json_close_object(j);
}

void backend_json_stats(const struct backend *b, struct json *j)
{
	struct mem_xen_stats s;

	json_open_array(j, "queues");
	for (unsigned i = 0; i < b->device.num_queues; i++)
		json_queue(j, pool_queue_vq(b->pool, i));
	json_close_array(j);
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

void backend_json_status(const struct backend *b, struct json *j)
{
	static const char *const front_end[] = {
		[BACKEND_IDLE] = "absent",
		[BACKEND_SERVING] = "connected",
		[BACKEND_CLOSING] = "leaving",
	};
	static const char *const state[] = {
		[QUEUE_STOPPED] = "stopped",
		[QUEUE_RUNNING] = "running",
		[QUEUE_DRAINING] = "stopping",
	};

	json_uint(j, "device_id", b->device.ops->probe.device_id);
	json_string(j, "front_end", front_end[b->state]);
	json_hex64(j, "features", b->has_features ? b->features : 0);
	json_uint(j, "device_status", b->status);
	json_bool(j, "needs_reset", b->needs_reset);
	json_open_array(j, "queues");
	for (unsigned i = 0; i < b->device.num_queues; i++)
		json_string(j, NULL,
			b->vrings[i].dead ? "broken" : state[pool_queue_state(b->pool, i)]);
	json_close_array(j);
}

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

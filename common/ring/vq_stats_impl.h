/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics of requests. As vq_impl.h, this is the engine's own. The owner of the queue alone
 * writes, by relaxed stores, so that counting takes neither a lock nor a locked instruction.
 */
#pragma once

#include "base/clock.h"
#include "ring/vq_impl.h"

/* The lowest bits of vq.since are the type. */
#define VQ_TYPE_MASK UINT64_C(7)
G_STATIC_ASSERT(VQ_MAX_TYPES == VQ_TYPE_MASK + 1);

/* Makes room for what is in flight: the queue starts. */
void vq_stats_start(struct vq *q);
/* Counts n requests that have been published. */
void vq_stats_published(struct vq *q, struct vq_req *const *reqs, unsigned n);

static inline void vq_read_clock(struct vq *q)
{
	q->now = clock_now_ns();
	q->clocked = true;
}

/* Shows other threads since when the request has been in flight, and its type. */
static inline void vq_stats_show(struct vq *q, const struct vq_req *r, uint64_t since)
{
	__atomic_store_n(&q->since[r->id & q->since_mask], since, __ATOMIC_RELAXED);
}

/* Notes that the request is in flight from now on. */
static inline void vq_stats_popped(struct vq *q, struct vq_req *r)
{
	r->since = q->now;
	vq_stats_show(q, r, q->now & ~VQ_TYPE_MASK);
}

/* Notes that the request is not in flight any more. */
static inline void vq_stats_gone(struct vq *q, const struct vq_req *r)
{
	vq_stats_show(q, r, 0);
}

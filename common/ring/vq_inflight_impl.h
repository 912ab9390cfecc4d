/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that write the two layouts of the in-flight area (virtio/inflight.h) share. */
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "ring/vq_impl.h"
#include "virtio/inflight.h"
#include "virtio/ring_layout.h"

/* A test names a function here that looks at what an owner leaves if it dies at this point. */
#ifdef VQ_AREA_WRITTEN
void VQ_AREA_WRITTEN(void);
#else
#define VQ_AREA_WRITTEN() ((void)0)
#endif

#define vq_area_load(member) __atomic_load_n(&(member), __ATOMIC_RELAXED)
#define vq_area_store(member, value)                                  \
	do {                                                          \
		__atomic_store_n(&(member), value, __ATOMIC_RELAXED); \
		VQ_AREA_WRITTEN();                                    \
	} while (0)

/* Orders stores: what is above is done before what is below (vq_inflight.c). */
static inline void vq_area_order(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	VQ_AREA_WRITTEN();
}

/* Stops recording, with a warning: the area makes no sense. */
void vq_track_drop(struct vq *q, const char *why);
/* Warns that what a previous owner left makes no sense; the caller begins anew. */
void vq_track_unfit(struct vq *q, const char *why);
/*
 * Records nothing until the queue starts again: requests were lost that the area does not know, so
 * where to go on would not follow from it.
 */
void vq_track_forgo(struct vq *q);
/* Sorts the list of what is in flight and makes it q->retry, which owns it. */
void vq_track_retry(struct vq *q, struct vq_retry *list, unsigned n);

/* What the formats do for it. */

/* Fills r from its head on; 0 or -1. */
int vq_split_walk(struct vq *q, struct vq_req *r);

/* A copy of a descriptor of the vring; its id is next. */
struct vq_desc vq_packed_desc_at(const struct vq *q, unsigned i);
/* Returns true if what was available at this position is not completed yet. */
bool vq_packed_is_available(uint16_t flags, uint16_t position);
/* Adds descriptor number n of a list, which is i: 1, another follows; 0, it was the last; -1. */
int vq_packed_add(
	struct vq *q, struct vq_req *r, struct vq_sum *s, unsigned i, struct vq_desc d, unsigned n);

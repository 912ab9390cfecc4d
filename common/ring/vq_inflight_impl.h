/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two layouts of the in-flight area (vhost-user.rst, "Queue region", version 1), and what the
 * files that write them share. Values are in the host's byte order.
 */
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "ring/vq_impl.h"

#define VQ_AREA_VERSION 1

struct vq_split_entry { /* of the request with this head */
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next; /* the one that was completed before it */
	uint64_t counter;
};

struct vq_area_split {
	uint64_t features;
	uint16_t version; /* 0: nothing is in it yet */
	uint16_t desc_num;
	uint16_t last_batch_head; /* the one completed last */
	uint16_t used_idx; /* the ring's, once what it publishes is not in flight any more */
	struct vq_split_entry entry[];
};

/* A copy of a descriptor: by the ring's order they could not be told once they are overwritten. */
struct vq_packed_entry {
	uint8_t inflight; /* of the first of a list, as are last, num and counter */
	uint8_t padding;
	uint16_t next; /* of the list, or of the free ones */
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

/* Where used descriptors go; replaced as a whole, so that no half of it is ever seen. */
union vq_area_used {
	struct {
		uint16_t idx, old_idx;
		uint8_t wrap, old_wrap;
	};
	uint64_t all;
};

struct vq_area_packed {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t free_head, old_free_head; /* what is old holds until all of a step is done */
	union vq_area_used used;
	uint8_t padding[8];
	struct vq_packed_entry entry[];
};

G_STATIC_ASSERT(sizeof(struct vq_split_entry) == 16 && sizeof(struct vq_area_split) == 16);
G_STATIC_ASSERT(sizeof(struct vq_packed_entry) == 32 && sizeof(struct vq_area_packed) == 32);
G_STATIC_ASSERT(
	offsetof(struct vq_area_split, version) == offsetof(struct vq_area_packed, version));

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

/* What is above is done before what is below: see vq_inflight.c. */
static inline void vq_area_order(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	VQ_AREA_WRITTEN();
}

/* The area makes no sense: nothing is recorded any more. */
void vq_track_drop(struct vq *q, const char *why);
/* What a previous owner left makes no sense: a warning; to be followed by a new beginning. */
void vq_track_unfit(struct vq *q, const char *why);
/* Takes the list of what is in flight, or warns if it is not to be run again. */
void vq_track_again(struct vq *q, struct vq_again *list, unsigned n, bool rerun);

/* What the formats do for it. */

/* Fills r from its head on; 0 or -1. */
int vq_split_walk(struct vq *q, struct vq_req *r);

#define VQ_PACKED_WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

/* A copy of a descriptor of the ring; its id is next. */
struct vq_desc vq_packed_desc_at(const struct vq *q, unsigned i);
/* Has nobody completed what was available at this position? */
bool vq_packed_is_available(uint16_t flags, uint16_t position);
/* Adds descriptor number n of a list, which is i: 1, another follows; 0, it was the last; -1. */
int vq_packed_add(
	struct vq *q, struct vq_req *r, struct vq_sum *s, unsigned i, struct vq_desc d, unsigned n);

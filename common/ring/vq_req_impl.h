/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each request goes through, on its way from descriptors to ranges and iovecs. As vq_impl.h,
 * this is the engine's own.
 */
#pragma once

#include <linux/virtio_ring.h>

#include "ring/vq_impl.h"

/* Sets q->bad; returns -1. */
int vq_bad(struct vq *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sets q->bad to what is wrong with a descriptor; returns -1. */
int vq_req_refuse(
	struct vq *q, const struct vq_req *r, unsigned i, bool in_table, bool after_writable);
/* Makes room for more ranges. */
void vq_req_grow_range(struct vq *q, struct vq_req *r);
/* Notes the indirect table that descriptor i names. 0 or -1. */
int vq_req_add_table(struct vq *q, struct vq_req *r, unsigned i, struct vq_desc d);
/* Returns a copy of entry i of the borrowed table, if that straddles regions. */
struct vq_desc vq_req_load_far(const struct vq_req *r, unsigned i);
/* Puts a new one on the free list. */
void vq_req_alloc(struct vq *q);
/* Frees all requests, none of which may be in use. */
void vq_pool_clear(struct vq *q);
/* Frees the memory of a request that is on no list: vq_req_free() beyond VQ_POOL_KEEP. */
void vq_req_destroy(struct vq *q, struct vq_req *r);
/* Makes room for max iovecs; what was in it is lost. */
void vq_req_grow_iov(struct vq *q, struct vq_req *r, unsigned max);

/* One load, wherever it is: tables lie where the driver likes. */
typedef uint64_t vq_word __attribute__((aligned(1), may_alias));

/* Returns a copy of a descriptor in shared memory, made once. */
static inline struct vq_desc vq_desc_load(const void *p)
{
	const volatile vq_word *word = p;
	uint64_t addr = le64toh(word[0]), rest = le64toh(word[1]);

	return (struct vq_desc){
		.addr = addr,
		.len = rest,
		.flags = rest >> 32,
		.next = rest >> 48,
	};
}

static inline size_t vq_memory_bytes(const struct vq *q)
{
	return __atomic_load_n(&q->memory->bytes, __ATOMIC_RELAXED);
}

static inline bool vq_pool_has_room(const struct vq *q)
{
	return (vq_memory_bytes(q) < VQ_POOL_MAX && !q->wants_memory) || !q->reqs_used;
}

/* Returns an empty request, still on the free list: vq_req_use() takes it from there. */
static inline struct vq_req *vq_req_next(struct vq *q)
{
	struct vq_req *r;

	if (!q->free)
		vq_req_alloc(q);
	r = q->free;
	r->table.len = 0;
	r->retry = r->detached = r->done = r->joined = r->failed = false;
	r->type = 0;
	r->mapping.status = 0;
	return r;
}

static inline void vq_req_use(struct vq *q, struct vq_req *r)
{
	q->free = r->next;
	q->reqs_used++;
	q->desc_used += r->n_desc;
}

/* Frees a request that holds no memory and is on no list. */
static inline void vq_req_free(struct vq *q, struct vq_req *r)
{
	q->reqs_used--;
	q->desc_used -= r->n_desc;
	if (G_UNLIKELY(vq_memory_bytes(q) > VQ_POOL_KEEP)) {
		vq_req_destroy(q, r);
		return;
	}
	r->next = q->free;
	q->free = r;
}

/* Adds what descriptor i of the vring, or entry i of the indirect table, describes. 0 or -1. */
static inline int vq_req_add(struct vq *q, struct vq_req *r, struct vq_sum *s, unsigned i,
	struct vq_desc d, bool in_table)
{
	bool write = d.flags & VRING_DESC_F_WRITE;
	struct mem_range *range;

	/*
	 * virtio 1.2 §2.7.4.2: readable ones first; a table's entries continue the chain before it.
	 * §2.7.5.2: no more than 2^32 bytes in all; a used length has 32 bits.
	 */
	if (G_UNLIKELY(write < s->writable || s->len + d.len > UINT32_MAX))
		return vq_req_refuse(q, r, i, in_table, write < s->writable);
	s->writable = write;
	if (G_UNLIKELY(!d.len))
		return 0;
	if (G_UNLIKELY(s->n == r->max_range))
		vq_req_grow_range(q, r);
	range = &r->range[s->n++];
	range->addr = d.addr;
	range->len = d.len;
	range->write = write;
	s->len += d.len;
	if (!write) {
		s->out_len = s->len;
		s->n_out = s->n;
	}
	return 0;
}

/* Returns a copy of entry i of the borrowed table. */
static inline struct vq_desc vq_req_load_table(const struct vq_req *r, unsigned i)
{
	if (r->mapping.n_iov > 1)
		return vq_req_load_far(r, i);
	return vq_desc_load((const struct vq_desc *)r->mapping.iov->iov_base + i);
}

/*
 * Returns how many bytes, from the first writable one on, hold all that the device wrote. If it cut
 * off a tail and did not join it again, that is no prefix: all of them then.
 */
static inline size_t vq_req_written(const struct vq_req *r)
{
	const struct iov_cursor *in = &r->chain.in;
	size_t in_len = r->sum.len - r->sum.out_len;

	return in->done + in->left == in_len ? in->done : in_len;
}

/* Sets the cursors to the beginning. */
static inline void vq_req_rewind(struct vq_req *r)
{
	const struct mem_mapping *mapping = &r->mapping;

	r->chain.out = (struct iov_cursor){
		.iov = mapping->iov,
		.n_iov = mapping->n_iov_out,
		.left = r->sum.out_len,
	};
	r->chain.in = (struct iov_cursor){
		.iov = mapping->iov + mapping->n_iov_out,
		.n_iov = mapping->n_iov - mapping->n_iov_out,
		.left = r->sum.len - r->sum.out_len,
	};
}

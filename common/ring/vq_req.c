/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: the pool they come from, and how descriptors become their ranges.
 */
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdio.h>

#include "ring/vq_req_impl.h"

int vq_bad(struct vq *q, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(q->bad, sizeof(q->bad), format, ap);
	va_end(ap);
	return -1;
}

/* Counts the pool: requests keep their arrays, so that a steady load allocates nothing. */

/* Counts what requests take more, or less, from now on. */
static void count(struct vq *q, ssize_t bytes)
{
	q->pool_bytes += bytes;
	__atomic_fetch_add(&q->memory->bytes, bytes, __ATOMIC_RELAXED);
}

/* Returns the bytes of the arrays that are not part of the request. */
static size_t arrays_size(const struct vq_req *r)
{
	size_t bytes = 0;

	if (r->range != r->range_inline)
		bytes += r->max_range * sizeof(*r->range);
	if (r->mapping.iov != r->iov_inline)
		bytes += r->mapping.max_iov * sizeof(*r->mapping.iov);
	return bytes;
}

void vq_req_alloc(struct vq *q)
{
	struct vq_req *r = g_new0(struct vq_req, 1);

	r->chain.q = q;
	r->range = r->range_inline;
	r->max_range = VQ_REQ_INLINE;
	r->mapping.iov = r->iov_inline;
	r->mapping.max_iov = VQ_REQ_INLINE;
	count(q, sizeof(*r));
	r->next = q->free;
	q->free = r;
}

void vq_req_destroy(struct vq *q, struct vq_req *r)
{
	count(q, -(ssize_t)(sizeof(*r) + arrays_size(r)));
	if (r->range != r->range_inline)
		g_free(r->range);
	if (r->mapping.iov != r->iov_inline)
		g_free(r->mapping.iov);
	g_free(r);
}

void vq_pool_clear(struct vq *q)
{
	while (q->free) {
		struct vq_req *r = q->free;

		q->free = r->next;
		vq_req_destroy(q, r);
	}
}

void vq_req_grow_range(struct vq *q, struct vq_req *r)
{
	size_t old = r->max_range * sizeof(*r->range);

	if (r->range == r->range_inline) {
		r->range = g_malloc(2 * old);
		memcpy(r->range, r->range_inline, old);
		count(q, 2 * old);
	} else {
		r->range = g_realloc(r->range, 2 * old);
		count(q, old);
	}
	r->max_range *= 2;
}

void vq_req_grow_iov(struct vq *q, struct vq_req *r, unsigned max)
{
	size_t before = arrays_size(r);

	if (r->mapping.iov != r->iov_inline)
		g_free(r->mapping.iov);
	r->mapping.iov = g_new(struct iovec, max);
	r->mapping.max_iov = max;
	count(q, arrays_size(r) - before);
}

/* Descriptors into ranges. */

int vq_req_refuse(
	struct vq *q, const struct vq_req *r, unsigned i, bool in_table, bool after_writable)
{
	const char *why = after_writable ? "readable after a writable one"
					 : "with it the request is longer than 4 GiB";

	if (in_table)
		return vq_bad(q, "descriptor %u, indirect entry %u: %s", r->table_desc, i, why);
	return vq_bad(q, "descriptor %u: %s", i, why);
}

int vq_req_add_table(struct vq *q, struct vq_req *r, unsigned i, struct vq_desc d)
{
	uint32_t entries = d.len / sizeof(struct vring_desc);

	if (!q->indirect)
		return vq_bad(q, "descriptor %u: indirect, which was not negotiated", i);
	if (d.flags & VRING_DESC_F_NEXT)
		return vq_bad(q, "descriptor %u: indirect and not the last of its chain", i);
	if (!entries || d.len % sizeof(struct vring_desc))
		return vq_bad(q, "descriptor %u: indirect table of %u bytes", i, d.len);
	/*
	 * §2.7.5.3.1 would have no more than the vring's size; Linux has, when the vring is small
	 * and the requests large.
	 */
	if (entries > VQ_MAX_SIZE)
		return vq_bad(q, "descriptor %u: indirect table of %u entries", i, entries);
	r->table = (struct mem_range){ .addr = d.addr, .len = d.len };
	r->table_desc = i;
	return 0;
}

struct vq_desc vq_req_load_far(const struct vq_req *r, unsigned i)
{
	size_t offset = (size_t)i * sizeof(struct vq_desc);
	const struct iovec *v = r->mapping.iov;
	uint8_t entry[sizeof(struct vq_desc)];

	for (size_t n = 0; n < sizeof(entry); v++) {
		size_t part = 0;

		if (offset < v->iov_len) {
			part = MIN(sizeof(entry) - n, v->iov_len - offset);
			memcpy(entry + n, (const uint8_t *)v->iov_base + offset, part);
			offset = 0;
		} else {
			offset -= v->iov_len;
		}
		n += part;
	}
	return vq_desc_load(entry);
}

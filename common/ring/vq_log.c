/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a queue writes into guest memory, marked in the dirty log while there is one: buffers by the
 * guest addresses of their descriptors; the used ring, or the device area of a packed vring, by the
 * address that the front-end gave for it; the descriptors of a packed vring by those of their
 * memory region. Always after the write, and the buffers before they are published.
 */
#include "memory/dirty_log.h"
#include "ring/vq_req_impl.h"

void vq_log_start(struct vq *q, const struct vq_setup *setup)
{
	q->log = guest_mem_log(q->borrower.mem);
	q->logs_ring = q->log && setup->logs_ring;
	q->log_addr = setup->log_addr;
}

static bool is_packed(const struct vq *q)
{
	return q->ops == &vq_packed_ops;
}

void vq_log_ring(const struct vq *q)
{
	const struct vq_packed *p = &q->packed;

	if (!q->logs_ring)
		return;
	if (is_packed(q)) {
		dirty_log_mark(q->log, p->desc.guest_addr, p->desc.len);
		dirty_log_mark(q->log, q->log_addr, p->device.len);
	} else {
		dirty_log_mark(q->log, q->log_addr, q->split.used.len);
	}
}

static void mark_writable(const struct vq *q, const struct vq_req *r, size_t bytes)
{
	for (unsigned i = r->sum.n_out; i < r->sum.n && bytes; i++) {
		size_t here = MIN(bytes, r->range[i].len);

		dirty_log_mark(q->log, r->range[i].addr, here);
		bytes -= here;
	}
}

void vq_log_buffers(const struct vq *q, const struct vq_req *r)
{
	mark_writable(q, r, SIZE_MAX);
}

void vq_log_written(const struct vq *q, struct vq_req *const *reqs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		/* An earlier run of it may have written more; so may what broke the queue. */
		bool unknown = q->broken || reqs[i]->retry;

		mark_writable(q, reqs[i], unknown ? SIZE_MAX : vq_req_written(reqs[i]));
	}
}

static void mark_split(const struct vq *q, unsigned n)
{
	const uint64_t entry = sizeof(struct vring_used_elem);
	const struct vq_split *s = &q->split;
	uint64_t ring = q->log_addr + offsetof(struct vring_used, ring);
	unsigned first = (s->used_idx - n) & s->mask, here = MIN(n, q->size - first);

	dirty_log_mark(q->log, ring + first * entry, here * entry);
	dirty_log_mark(q->log, ring, (n - here) * entry);
	dirty_log_mark(q->log, q->log_addr + offsetof(struct vring_used, idx), sizeof(uint16_t));
}

/* Marks from the first of them to the last: those skipped between them are few. */
static void mark_packed(const struct vq *q, struct vq_req *const *reqs, unsigned n)
{
	const uint64_t desc = sizeof(struct vring_packed_desc);
	const struct vq_packed *p = &q->packed;
	unsigned total = 0, here;

	for (unsigned i = 0; i < n; i++)
		total += reqs[i]->n_desc;
	here = MIN(total, q->size - p->first);
	dirty_log_mark(q->log, p->desc.guest_addr + p->first * desc, here * desc);
	dirty_log_mark(q->log, p->desc.guest_addr, (total - here) * desc);
}

void vq_log_used(const struct vq *q, struct vq_req *const *reqs, unsigned n)
{
	if (n && q->logs_ring && is_packed(q))
		mark_packed(q, reqs, n);
	else if (n && q->logs_ring)
		mark_split(q, n);
	dirty_log_signal(q->log);
}

void vq_log_notify(const struct vq *q)
{
	uint64_t event = q->log_addr + offsetof(struct vring_used, ring) +
		q->size * sizeof(struct vring_used_elem);

	if (!q->logs_ring)
		return;
	if (is_packed(q))
		dirty_log_mark(q->log, q->log_addr, sizeof(struct vring_packed_desc_event));
	else if (q->event_idx)
		dirty_log_mark(q->log, event, sizeof(uint16_t));
	else
		dirty_log_mark(q->log, q->log_addr, sizeof(uint16_t));
	dirty_log_signal(q->log);
}

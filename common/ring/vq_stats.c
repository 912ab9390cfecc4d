/* SPDX-License-Identifier: Apache-2.0 */
/* See vq_stats_impl.h. */
#include "ring/vq_stats_impl.h"

const struct vq_stats *vq_stats(const struct vq *q)
{
	return &q->stats;
}

void vq_set_types(struct vq *q, const struct vq_type *types)
{
	for (unsigned i = 0; types && types[i].name; i++) {
		g_assert(i < VQ_MAX_TYPES);
		q->overhead[i] = types[i].overhead;
	}
}

void vq_set_type(struct vq_chain *c, unsigned type)
{
	struct vq_req *r = vq_req_of(c);

	r->type = type & VQ_TYPE_MASK;
	vq_stats_show(c->q, r, (r->since & ~VQ_TYPE_MASK) | r->type);
}

void vq_set_failed(struct vq_chain *c)
{
	vq_req_of(c)->failed = true;
}

void vq_stats_start(struct vq *q)
{
	q->since_mask = (1u << g_bit_storage(q->size - 1)) - 1;
	q->since = g_new0(uint64_t, q->since_mask + 1);
	q->clocked = false;
}

/* Returns the index of the counter for a latency. */
static unsigned bucket_of(uint64_t ns)
{
	uint64_t units = ns >> VQ_LATENCY_SHIFT;
	unsigned bits = units ? 64 - __builtin_clzll(units) : 0;

	return MIN(bits, VQ_LATENCIES - 1);
}

void vq_stats_published(struct vq *q, struct vq_req *const *reqs, unsigned n)
{
	vq_read_clock(q);
	for (unsigned i = 0; i < n; i++) {
		const struct vq_req *r = reqs[i];
		struct vq_type_stats *s = &q->stats.type[r->type];
		uint64_t bytes = r->chain.out.done + r->chain.in.done;
		uint64_t ns = q->now - r->since;

		vq_count(s->requests, 1);
		if (G_UNLIKELY(r->failed))
			vq_count(s->errors, 1);
		else
			vq_count(s->bytes, bytes - MIN(bytes, q->overhead[r->type]));
		vq_count(s->latency_ns, ns);
		vq_count(s->latency[bucket_of(ns)], 1);
	}
}

/* Puts a request in its place among the n oldest ones. */
static void insert(struct vq_flight *to, unsigned n, struct vq_flight f)
{
	while (n > 0 && to[n - 1].since > f.since) {
		to[n] = to[n - 1];
		n--;
	}
	to[n] = f;
}

unsigned vq_oldest(const struct vq *q, struct vq_flight *to, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; q->started && i <= q->since_mask; i++) {
		uint64_t since = __atomic_load_n(&q->since[i], __ATOMIC_RELAXED);
		struct vq_flight f = { since & ~VQ_TYPE_MASK, since & VQ_TYPE_MASK, i };

		if (!since || (n == max && f.since >= to[n - 1].since))
			continue;
		n = MIN(n + 1, max);
		insert(to, n - 1, f);
	}
	return n;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that are left unanswered when a queue stops (vq_keep()), and come first in its next run.
 *
 * What remembers them:
 *	in-flight area			their entries there stay marked
 *	none, split and in order	the vring itself: those from the used index to the base
 *	none, other			this process: copies of their ranges, valid for a start
 *					at the base that vq_stop() returned
 *
 * In order, requests that are completed but wait for one that is left are left with it.
 */
#include <inttypes.h>

#include "ring/vq_req_impl.h"
#include "ring/vq_stats_impl.h"

void vq_retry_clear(struct vq *q)
{
	for (unsigned i = 0; q->retry && i < q->n_retry; i++)
		g_free(q->retry[i].saved);
	g_clear_pointer(&q->retry, g_free);
	q->n_retry = q->next_retry = 0;
}

void vq_retry_start(struct vq *q, const struct vq_setup *setup)
{
	if (!q->retry)
		return;
	/* Another base or size is another driver's, or the same one's after a reset. */
	if (setup->base == q->stop_base && setup->size == q->size && setup->features == q->features)
		return;
	vq_retry_clear(q);
}

static bool is_saved(const struct vq *q)
{
	return !q->broken && !q->track && !(q->in_order && q->ops == &vq_split_ops);
}

static struct vq_saved *save(const struct vq_req *r)
{
	size_t ranges = r->sum.n * sizeof(r->range[0]);
	struct vq_saved *s = g_malloc(sizeof(*s) + ranges);

	*s = (struct vq_saved){
		.id = r->id,
		.head = r->head,
		.n_desc = r->n_desc,
		.sum = r->sum,
	};
	memcpy(s->range, r->range, ranges);
	return s;
}

/* Returns the descriptors of what is saved into r; its memory is looked up as at first. */
static int restore(struct vq *q, struct vq_req *r, const struct vq_saved *s)
{
	while (r->max_range < s->sum.n)
		vq_req_grow_range(q, r);
	memcpy(r->range, s->range, s->sum.n * sizeof(s->range[0]));
	r->id = s->id;
	r->head = s->head;
	r->n_desc = s->n_desc;
	r->sum = s->sum;
	return 1;
}

int vq_retry_by_order(const void *a, const void *b)
{
	const struct vq_retry *x = a, *y = b;

	return x->counter < y->counter ? -1 : x->counter > y->counter;
}

/* Gives back the memory of a batch and frees its requests. */
static void release(struct vq *q, struct vq_req *const *batch, unsigned n)
{
	vq_give_back(q, batch, n);
	for (unsigned i = 0; i < n; i++)
		vq_req_free(q, batch[i]);
}

void vq_retry_stop(struct vq *q, uint32_t base)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct vq_retry));
	unsigned rest = q->n_retry - q->next_retry, n = 0;
	struct vq_req *batch[VQ_BATCH], *r;
	bool saved = is_saved(q);

	q->left = !q->broken && (rest || !TAILQ_EMPTY(&q->flight));
	while ((r = TAILQ_FIRST(&q->flight))) {
		const struct vq_retry entry = { r->order, saved ? save(r) : NULL, 0 };

		TAILQ_REMOVE(&q->flight, r, link);
		r->mapping.written = 0;
		if (q->log)
			vq_log_buffers(q, r);
		batch[n++] = r;
		if (saved)
			g_array_append_val(list, entry);
		if (n == VQ_BATCH) {
			release(q, batch, n);
			n = 0;
		}
	}
	release(q, batch, n);
	if (list->len > 0) /* the data of an empty array is NULL, which qsort() must not get */
		qsort(list->data, list->len, sizeof(struct vq_retry), vq_retry_by_order);
	/* What was not fetched yet is behind what was. */
	for (unsigned i = q->next_retry; saved && q->retry && i < q->n_retry; i++)
		if (q->retry[i].saved) {
			g_array_append_val(list, q->retry[i]);
			q->retry[i].saved = NULL;
		}
	vq_retry_clear(q);
	q->stop_base = base;
	q->n_retry = list->len;
	if (q->n_retry)
		q->retry = (void *)g_array_free(g_steal_pointer(&list), FALSE);
}

int vq_retry_fetch(struct vq *q, struct vq_req *r, bool look)
{
	const struct vq_retry *next = q->retry ? &q->retry[q->next_retry] : NULL;
	int found;

	if (!next) {
		found = q->ops->fetch(q, r, look);
	} else if (next->saved) {
		found = restore(q, r, next->saved);
	} else if (q->track) {
		r->entry = next->entry;
		found = q->track->fetch_retry(q, r);
	} else {
		found = vq_bad(q, "the in-flight area is damaged");
	}
	if (found > 0) {
		r->retry = true;
		q->next_retry++;
	}
	return found;
}

void vq_retry_leave(struct vq *q, struct vq_req *r)
{
	if (!q->in_order)
		TAILQ_INSERT_TAIL(&q->flight, r, link);
}

void vq_keep(struct vq_chain *c)
{
	struct vq *q = c->q;

	g_assert(!q->taking);
	vq_count(q->in_flight, -1);
	vq_count(q->stats.popped, -1);
	vq_stats_gone(q, vq_req_of(c));
	vq_retry_leave(q, vq_req_of(c));
}

bool vq_is_retry(const struct vq_chain *c)
{
	return container_of(c, const struct vq_req, chain)->retry;
}

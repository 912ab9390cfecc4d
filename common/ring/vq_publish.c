/* SPDX-License-Identifier: Apache-2.0 */
/* Completed requests: in order if need be, their memory given back, published by the batch. */
#include "base/trace.h"
#include "ring/vq_req_impl.h"
#include "ring/vq_stats_impl.h"

G_STATIC_ASSERT(VQ_PUBLISH_REQS <= VQ_PUBLISH_MAPPED && VQ_PUBLISH_MAPPED <= VQ_BATCH);

/*
 * Returns how much must reach the guest where memory is bounced. Of a request that is not
 * completed, nothing: what was not written are bytes of ours.
 */
static size_t written(const struct vq_req *r)
{
	return r->chain.q->broken ? 0 : vq_req_written(r);
}

/*
 * Gives back the memory of what is completed. How many of these may be published: what the device
 * wrote may not have got there; neither that request, then, nor what comes after it.
 */
static unsigned give_back_done(struct vq *q)
{
	unsigned n = 0;

	if (!q->borrower.mappings_out)
		return q->n_done;
	vq_give_back(q, q->done, q->n_done);
	while (n < q->n_done && q->done[n]->mapping.status >= 0)
		n++;
	/* Nor a part of a frame. */
	while (n > 0 && n < q->n_done && q->done[n]->joined)
		n--;
	return n;
}

void vq_publish(struct vq *q)
{
	bool live, lost;
	unsigned n;

	if (!q->n_done)
		return;
	/* Memory first: once published, the driver may use it again. */
	n = give_back_done(q);
	if (G_UNLIKELY(q->log))
		vq_log_written(q, q->done, q->n_done);
	lost = n < q->n_done;
	live = !q->broken && !vq_break_if_poisoned(q);
	if (live) {
		q->ops->put_used(q, q->done, n);
		if (q->track)
			q->track->give(q, q->done, n);
		q->ops->publish(q);
		if (q->track)
			q->track->given(q, q->done, n);
		if (G_UNLIKELY(q->log))
			vq_log_used(q, q->done, n);
		vq_count(q->stats.publications, 1);
		vq_count(q->stats.published, n);
		vq_stats_published(q, q->done, n);
	}
	for (unsigned i = 0; i < q->n_done; i++) {
		vq_stats_gone(q, q->done[i]);
		vq_req_free(q, q->done[i]);
	}
	q->n_done = 0;
	q->done_bytes = 0;
	if (live && q->ops->wants_call(q)) {
		q->owes_call = false;
		vq_count(q->stats.calls, 1);
		q->hooks->call(q->opaque);
	}
	if (live && lost)
		vq_break_now(q, "a request's memory cannot be written");
}

static void complete(struct vq *q, struct vq_req *r)
{
	TRACE3(push, q->index, r, r->chain.in.done);
	if (q->in_order)
		TAILQ_REMOVE(&q->flight, r, link);
	if (r->mapping.n_range)
		r->mapping.written = written(r);
	q->done_bytes += r->chain.out.done + r->chain.in.done;
	q->done[q->n_done++] = r;
}

static void publish_if_due(struct vq *q)
{
	unsigned reqs =
		q->borrower.mapped ? MAX(VQ_PUBLISH_MAPPED, q->publish_reqs) : q->publish_reqs;

	if (q->n_done >= reqs || q->done_bytes >= VQ_PUBLISH_BYTES)
		vq_publish(q);
}

/*
 * Returns how many requests at the head of the flight list can be published now: the least number,
 * at the end of which no frame is cut in two; 0: none, one that is in flight comes before.
 */
static unsigned whole_frames(const struct vq *q)
{
	const struct vq_req *r;
	uint64_t end = 0;
	unsigned n = 0;

	TAILQ_FOREACH(r, &q->flight, link)
	{
		if (!r->done)
			return 0;
		n++;
		end = MAX(end, r->frame_end);
		if (r->order >= end)
			return n;
	}
	return 0;
}

/* Completes with VIRTIO_F_IN_ORDER: those that wait for an earlier one go with it (§2.7.9). */
static void complete_in_order(struct vq *q)
{
	unsigned n;

	while ((n = whole_frames(q))) {
		for (unsigned i = 0; i < n; i++) {
			struct vq_req *r = TAILQ_FIRST(&q->flight);

			r->joined = i > 0;
			complete(q, r);
		}
		publish_if_due(q);
	}
}

void vq_push(struct vq_chain *c)
{
	struct vq_req *r;
	struct vq *q;

	if (!c)
		return;
	q = c->q;
	r = vq_req_of(c);
	r->done = true;
	vq_count(q->in_flight, -1);
	if (!q->in_order || q->broken) {
		complete(q, r);
		publish_if_due(q);
		return;
	}
	r->frame_end = r->order;
	complete_in_order(q);
}

void vq_push_all(struct vq_chain *const *c, unsigned n)
{
	struct vq *q;
	uint64_t end = 0;

	if (!n)
		return;
	q = c[0]->q;
	vq_count(q->in_flight, -n);
	for (unsigned i = 0; i < n; i++) {
		struct vq_req *r = vq_req_of(c[i]);

		r->done = true;
		r->joined = i > 0;
		end = MAX(end, r->order);
		if (!q->in_order || q->broken)
			complete(q, r);
	}
	if (!q->in_order || q->broken) {
		publish_if_due(q);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		vq_req_of(c[i])->frame_end = end;
	complete_in_order(q);
}

void vq_discard(struct vq_chain *c)
{
	const struct vq_req *r = vq_req_of(c);

	for (unsigned i = r->sum.n_out; i < r->sum.n; i++)
		guest_mem_discard(c->q->borrower.mem, r->range[i].addr, r->range[i].len);
}

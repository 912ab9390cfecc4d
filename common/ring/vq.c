/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtqueue engine: what is the same for every ring format. vq_impl.h has the picture.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdio.h>

#include "ring/vq_impl.h"

G_STATIC_ASSERT(VQ_PUBLISH_REQS <= VQ_PUBLISH_LENT && VQ_PUBLISH_LENT <= VQ_BATCH);
G_STATIC_ASSERT(offsetof(struct vq_req, chain) == 0);

static struct vq_req *to_req(struct vq_chain *c)
{
	return container_of(c, struct vq_req, chain);
}

struct vq *vq_new(unsigned index, struct guest_mem *mem, const struct vq_hooks *hooks, void *opaque)
{
	struct vq *q = g_new0(struct vq, 1);

	q->index = index;
	snprintf(q->name, sizeof(q->name), "queue %u", index);
	q->hooks = hooks;
	q->opaque = opaque;
	q->burst_us = VQ_BURST_US;
	q->borrower.mem = mem;
	TAILQ_INIT(&q->free);
	TAILQ_INIT(&q->ready);
	TAILQ_INIT(&q->flight);
	return q;
}

void *vq_opaque(const struct vq *q)
{
	return q->opaque;
}

void vq_free(struct vq *q)
{
	g_assert(!q || !q->started);
	g_free(q);
}

static bool negotiated(const struct vq_setup *setup, unsigned bit)
{
	return setup->features >> bit & 1;
}

static bool start(struct vq *q, const struct vq_setup *setup, GError **error)
{
	if (!setup->size || setup->size > VQ_MAX_SIZE) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"ring size %u is not between 1 and %u", setup->size, VQ_MAX_SIZE);
		return false;
	}
	q->ops = negotiated(setup, VIRTIO_F_RING_PACKED) ? &vq_packed_ops : &vq_split_ops;
	q->size = setup->size;
	q->features = setup->features;
	q->event_idx = negotiated(setup, VIRTIO_RING_F_EVENT_IDX);
	q->indirect = negotiated(setup, VIRTIO_RING_F_INDIRECT_DESC);
	vq_track_start(q, setup);
	/* Then the used index tells what is missing, if it is a split ring's. */
	q->in_order = negotiated(setup, VIRTIO_F_IN_ORDER) ||
		(setup->rerun && !q->track && q->ops == &vq_split_ops);
	return q->ops->start(q, setup, error);
}

bool vq_start(struct vq *q, const struct vq_setup *setup, GError **error)
{
	g_assert(!q->started);
	if (!start(q, setup, error)) {
		g_prefix_error(error, "%s: ", q->name);
		return false;
	}
	q->started = true;
	q->taking = true;
	q->broken = false;
	q->drained = false;
	q->stalled = false;
	q->wants_memory = false;
	q->burst_over = false;
	q->owes_call = !q->fresh;
	q->notify = VQ_NOTIFY_UNKNOWN;
	q->budget = VQ_BURST;
	q->order = 0;
	return true;
}

bool vq_is_started(const struct vq *q)
{
	return q->started;
}

bool vq_is_fresh(const struct vq *q)
{
	return q->fresh;
}

bool vq_is_broken(const struct vq *q)
{
	return q->broken;
}

static void break_now(struct vq *q, const char *reason)
{
	q->broken = true;
	q->taking = false;
	vq_count(q->stats.breaks, 1);
	log_limited(&q->log_limit, LOG_LEVEL_WARNING, q->name, "broken: %s", reason);
	vq_unfetch_ready(q);
	q->hooks->broken(q->opaque, reason);
}

void vq_break(struct vq *q, const char *format, ...)
{
	char reason[sizeof(q->bad)];
	va_list ap;

	if (q->broken || !q->started)
		return;
	va_start(ap, format);
	vsnprintf(reason, sizeof(reason), format, ap);
	va_end(ap);
	/* What was completed until now was good. */
	vq_publish(q);
	if (!q->broken)
		break_now(q, reason);
}

/* True if the queue is broken because memory went away under it. */
static bool break_if_poisoned(struct vq *q)
{
	if (!guest_mem_poisoned(q->borrower.mem))
		return false;
	if (!q->broken)
		break_now(q, "the front-end has truncated guest memory");
	return true;
}

/* Fills the empty ready list; false: there is nothing to pop. */
static bool refill(struct vq *q)
{
	int n = vq_fetch(q);

	if (n > 0) {
		q->drained = false;
		if (q->notify != VQ_NOTIFY_OFF) {
			q->ops->disarm(q);
			q->notify = VQ_NOTIFY_OFF;
		}
		return true;
	}
	/* Zero pages make odd rings, or empty ones: name the cause. */
	if (break_if_poisoned(q))
		return false;
	if (n == 0)
		q->drained = !q->stalled;
	else
		vq_break(q, "%s", q->bad);
	return false;
}

/* The clock is looked at now and then: short bursts never do. */
static bool burst_is_over(struct vq *q)
{
	int64_t now;

	if (!q->budget || q->budget == VQ_BURST)
		return !q->budget;
	if (q->budget % VQ_PUBLISH_REQS && q->unclocked < VQ_PUBLISH_BYTES)
		return false;
	now = g_get_monotonic_time();
	q->unclocked = 0;
	if (!q->burst_start)
		q->burst_start = now;
	return now - q->burst_start >= q->burst_us;
}

struct vq_chain *vq_pop(struct vq *q)
{
	struct vq_req *r;

	if (!q->taking)
		return NULL;
	if (burst_is_over(q)) {
		q->burst_over = true;
		return NULL;
	}
	if (break_if_poisoned(q))
		return NULL;
	if (TAILQ_EMPTY(&q->ready) && !refill(q))
		return NULL;
	r = TAILQ_FIRST(&q->ready);
	TAILQ_REMOVE(&q->ready, r, link);
	TAILQ_INSERT_TAIL(&q->flight, r, link);
	r->order = q->order++;
	if (q->track && !r->again)
		q->track->take(q, r);
	vq_count(q->in_flight, 1);
	q->budget--;
	q->unclocked += r->out_len + r->in_len;
	vq_count(q->stats.popped, 1);
	return &r->chain;
}

void vq_unpop(struct vq_chain *c)
{
	struct vq_req *r = to_req(c);
	struct vq *q = c->q;

	g_assert(r->order == q->order - 1 && !r->done);
	q->order--;
	vq_count(q->in_flight, -1);
	vq_count(q->stats.popped, -1);
	TAILQ_REMOVE(&q->flight, r, link);
	if (q->track && !r->again)
		q->track->untake(q, r);
	if (!q->taking) {
		vq_unfetch_one(q, r);
		return;
	}
	q->budget++;
	vq_req_rewind(r);
	TAILQ_INSERT_HEAD(&q->ready, r, link);
}

/*
 * How much must reach the guest where memory is bounced. If the device cut off a tail and did not
 * join it again, what it wrote is no prefix: all of it then. Of a request that is not completed,
 * nothing: what was not written are bytes of ours.
 */
static size_t written(const struct vq_req *r)
{
	const struct iov_cursor *in = &r->chain.in;

	if (r->chain.q->broken)
		return 0;
	return in->done + in->left == r->in_len ? in->done : r->in_len;
}

/* How many of those that are completed may be published; their used entries are written. */
static unsigned put_done(struct vq *q)
{
	unsigned n = 0;

	/* What the device wrote may not have got there: neither this nor what comes after it. */
	for (; n < q->n_done && q->done[n]->lot.status >= 0; n++)
		q->ops->put_used(q, q->done[n], q->done[n]->chain.in.done);
	return n;
}

void vq_publish(struct vq *q)
{
	bool live, lost = false;

	if (!q->n_done)
		return;
	/* Memory first: once published, the driver may use it again. */
	vq_give_back(q, q->done, q->n_done);
	live = !q->broken && !break_if_poisoned(q);
	if (live) {
		unsigned n = put_done(q);

		lost = n < q->n_done;
		if (q->track)
			q->track->give(q, q->done, n);
		q->ops->publish(q);
		if (q->track)
			q->track->given(q, q->done, n);
		vq_count(q->stats.publications, 1);
		vq_count(q->stats.published, n);
	}
	for (unsigned i = 0; i < q->n_done; i++)
		vq_req_free(q, q->done[i]);
	q->n_done = 0;
	q->done_bytes = 0;
	if (live && q->ops->wants_call(q)) {
		q->owes_call = false;
		vq_count(q->stats.calls, 1);
		q->hooks->call(q->opaque);
	}
	if (live && lost)
		break_now(q, "a request's memory cannot be written");
}

/* Of a request that was pushed and whose turn it is. */
static void complete(struct vq *q, struct vq_req *r)
{
	TAILQ_REMOVE(&q->flight, r, link);
	r->lot.written = written(r);
	q->done_bytes += r->chain.out.done + r->chain.in.done;
	q->done[q->n_done++] = r;
	if (q->n_done >= (q->borrower.lent ? VQ_PUBLISH_LENT : VQ_PUBLISH_REQS) ||
		q->done_bytes >= VQ_PUBLISH_BYTES)
		vq_publish(q);
}

void vq_push(struct vq_chain *c)
{
	struct vq_req *r;
	struct vq *q;

	if (!c)
		return;
	q = c->q;
	r = to_req(c);
	r->done = true;
	vq_count(q->in_flight, -1);
	if (!q->in_order || q->broken) {
		complete(q, r);
		return;
	}
	/* VIRTIO_F_IN_ORDER: those that wait for an earlier one go with it (§2.7.9). */
	while ((r = TAILQ_FIRST(&q->flight)) && r->done)
		complete(q, r);
}

void vq_drain(struct vq *q)
{
	q->taking = false;
	vq_unfetch_ready(q);
}

uint32_t vq_stop(struct vq *q)
{
	struct vq_req *r;
	uint32_t base;

	g_assert(q->started && !q->in_flight);
	vq_drain(q);
	/* Those whose turn did not come because the queue broke before. */
	while ((r = TAILQ_FIRST(&q->flight)))
		complete(q, r);
	vq_publish(q);
	base = q->ops->base(q);
	q->ops->stop(q);
	vq_track_stop(q);
	vq_pool_clear(q);
	q->started = false;
	return base;
}

unsigned vq_index(const struct vq *q)
{
	return q->index;
}

const char *vq_name(const struct vq *q)
{
	return q->name;
}

bool vq_can_pin(const struct vq *q)
{
	return guest_mem_can_pin(q->borrower.mem);
}

uint64_t vq_features(const struct vq *q)
{
	return q->features;
}

unsigned vq_in_flight(const struct vq *q)
{
	return __atomic_load_n(&q->in_flight, __ATOMIC_RELAXED);
}

void vq_set_data(struct vq *q, void *data)
{
	q->data = data;
}

void *vq_data(const struct vq *q)
{
	return q->data;
}

const struct vq_stats *vq_stats(const struct vq *q)
{
	return &q->stats;
}

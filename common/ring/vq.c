/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtqueue engine: what is the same for every vring format. vq_impl.h has the picture.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/trace.h"
#include "ring/vq_req_impl.h"
#include "ring/vq_stats_impl.h"

G_STATIC_ASSERT(offsetof(struct vq_req, chain) == 0);

struct vq *vq_new(unsigned index, struct guest_mem *mem, const struct vq_hooks *hooks, void *opaque)
{
	struct vq *q = g_aligned_alloc0(1, sizeof(*q), CACHE_LINE);

	q->index = index;
	snprintf(q->name, sizeof(q->name), "queue %u", index);
	q->hooks = hooks;
	q->opaque = opaque;
	q->burst_us = VQ_BURST_US;
	q->borrower.mem = mem;
	q->poison = guest_mem_poison(mem);
	q->memory = &q->own_memory;
	q->ready_end = &q->ready;
	TAILQ_INIT(&q->flight);
	return q;
}

void vq_share_memory(struct vq *q, struct vq_memory *memory)
{
	g_assert(!q->pool_bytes);
	q->memory = memory;
}

void *vq_opaque(const struct vq *q)
{
	return q->opaque;
}

void vq_free(struct vq *q)
{
	if (!q)
		return;
	g_assert(!q->started);
	vq_retry_clear(q);
	g_aligned_free(q);
}

static bool negotiated(const struct vq_setup *setup, unsigned bit)
{
	return setup->features >> bit & 1;
}

static bool start(struct vq *q, const struct vq_setup *setup, GError **error)
{
	if (!setup->size || setup->size > VQ_MAX_SIZE) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"vring size %u is not between 1 and %u", setup->size, VQ_MAX_SIZE);
		return false;
	}
	vq_retry_start(q, setup);
	q->ops = negotiated(setup, VIRTIO_F_RING_PACKED) ? &vq_packed_ops : &vq_split_ops;
	q->size = setup->size;
	q->features = setup->features;
	q->event_idx = negotiated(setup, VIRTIO_RING_F_EVENT_IDX);
	q->indirect = negotiated(setup, VIRTIO_RING_F_INDIRECT_DESC);
	q->publish_reqs = setup->batch ? MIN(setup->batch, VQ_BATCH) : VQ_PUBLISH_REQS;
	vq_log_start(q, setup);
	vq_track_start(q, setup);
	/* Then the used index tells what is missing, if it is a split vring's. */
	q->in_order = negotiated(setup, VIRTIO_F_IN_ORDER) ||
		(!setup->any_order && !q->track && q->ops == &vq_split_ops);
	if (q->ops->start(q, setup, error))
		return true;
	/* What the area lists is read again at the next attempt. */
	if (q->track)
		vq_retry_clear(q);
	return false;
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
	q->window = (struct mem_window){ .host = NULL };
	q->done = g_new(struct vq_req *, q->size);
	vq_stats_start(q);
	if (q->log)
		vq_log_ring(q);
	return true;
}

bool vq_is_started(const struct vq *q)
{
	return q->started;
}

unsigned vq_size(const struct vq *q)
{
	return q->size;
}

bool vq_is_fresh(const struct vq *q)
{
	return q->fresh;
}

bool vq_is_resumed(const struct vq *q)
{
	return !q->fresh;
}

bool vq_is_broken(const struct vq *q)
{
	return q->broken;
}

void vq_break_now(struct vq *q, const char *reason)
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
		vq_break_now(q, reason);
}

bool vq_break_poisoned(struct vq *q)
{
	if (!q->broken)
		vq_break_now(q, "the front-end has truncated guest memory");
	return true;
}

/* Fills the empty ready list; false: there is nothing to pop. */
static bool refill(struct vq *q)
{
	int n = vq_fetch(q);

	if (n > 0) {
		if (!q->clocked)
			vq_read_clock(q);
		q->drained = false;
		if (q->notify != VQ_NOTIFY_OFF) {
			q->ops->disarm(q);
			q->notify = VQ_NOTIFY_OFF;
			if (G_UNLIKELY(q->log))
				vq_log_notify(q);
		}
		return true;
	}
	/* Zero pages make odd vrings, or empty ones: name the cause. */
	if (vq_break_if_poisoned(q))
		return false;
	if (n == 0)
		q->drained = !q->stalled;
	else
		vq_break(q, "%s", q->bad);
	return false;
}

/* Returns the time: a tick is exact enough, and much cheaper to know than the time. */
static int64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* Tells whether it is over. The clock is looked at now and then: short bursts never do. */
static bool burst_is_over(struct vq *q)
{
	int64_t now;

	if (!q->budget || q->budget == VQ_BURST)
		return !q->budget;
	if (q->budget % VQ_PUBLISH_REQS && q->unclocked < VQ_PUBLISH_BYTES)
		return false;
	now = clock_us();
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
	if (vq_break_if_poisoned(q))
		return NULL;
	if (!q->ready && !refill(q))
		return NULL;
	r = q->ready;
	q->ready = r->next;
	if (!q->ready)
		q->ready_end = &q->ready;
	/* A detached one has kept its place in the order, and in the area. */
	if (G_LIKELY(!r->detached)) {
		if (q->in_order)
			TAILQ_INSERT_TAIL(&q->flight, r, link);
		r->order = q->order++;
		if (q->track && !r->retry)
			q->track->take(q, r);
	}
	vq_stats_popped(q, r);
	vq_count(q->in_flight, 1);
	q->budget--;
	q->unclocked += r->sum.len;
	vq_count(q->stats.popped, 1);
	TRACE3(pop, q->index, r, r->sum.len);
	return &r->chain;
}

void vq_unpop(struct vq_chain *c)
{
	struct vq_req *r = vq_req_of(c);
	struct vq *q = c->q;

	vq_count(q->in_flight, -1);
	vq_count(q->stats.popped, -1);
	vq_stats_gone(q, r);
	if (r->order == q->order - 1 && !r->detached) {
		q->order--;
		if (q->in_order)
			TAILQ_REMOVE(&q->flight, r, link);
		if (q->track && !r->retry)
			q->track->untake(q, r);
	} else {
		r->detached = true;
	}
	if (!q->taking) {
		vq_unfetch_one(q, r);
		return;
	}
	q->budget++;
	vq_req_rewind(r);
	r->next = q->ready;
	q->ready = r;
	if (!r->next)
		q->ready_end = &r->next;
}

void vq_drain(struct vq *q)
{
	q->taking = false;
	vq_unfetch_ready(q);
}

uint32_t vq_stop(struct vq *q)
{
	uint32_t base;

	g_assert(q->started && !q->in_flight);
	vq_drain(q);
	vq_publish(q);
	base = q->ops->base(q);
	vq_retry_stop(q, base);
	q->ops->stop(q);
	vq_track_stop(q);
	vq_pool_clear(q);
	g_clear_pointer(&q->done, g_free);
	g_clear_pointer(&q->since, g_free);
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

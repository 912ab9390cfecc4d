/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers: a pairing heap for each thread, whose nodes are the timers themselves. The first one
 * bounds the time for which the thread sleeps; while none is armed, that is all they cost.
 */
#include "daemon/worker/worker_impl.h"

/* More than so many at a time would keep the thread from its queues. */
#define MAX_EXPIRED 64

/* Joins two heaps; neither is NULL. The caller sets the link of the result. */
static struct virtio_timer *meld(struct virtio_timer *a, struct virtio_timer *b)
{
	struct virtio_timer *root = a->core.at <= b->core.at ? a : b, *child = root == a ? b : a;

	child->core.next = root->core.child;
	if (child->core.next)
		child->core.next->core.link = &child->core.next;
	child->core.link = &root->core.child;
	root->core.child = child;
	root->core.next = NULL;
	return root;
}

/* Joins a list of heaps: by twos, and then all of these. */
static struct virtio_timer *meld_all(struct virtio_timer *first)
{
	struct virtio_timer *pairs = NULL, *root = NULL;

	while (first) {
		struct virtio_timer *a = first, *b = a->core.next;

		first = b ? b->core.next : NULL;
		a = b ? meld(a, b) : a;
		a->core.next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct virtio_timer *next = pairs->core.next;

		pairs->core.next = NULL;
		root = root ? meld(root, pairs) : pairs;
		pairs = next;
	}
	return root;
}

static void add_heap(struct sources *s, struct virtio_timer *heap)
{
	if (!heap)
		return;
	s->timers = s->timers ? meld(s->timers, heap) : heap;
	s->timers->core.link = &s->timers;
}

static void disarm(struct sources *s, struct virtio_timer *t)
{
	*t->core.link = t->core.next;
	if (t->core.next)
		t->core.next->core.link = t->core.link;
	add_heap(s, meld_all(t->core.child));
	t->core.owner = NULL;
}

int timer_bound(const struct sources *s, int timeout)
{
	int64_t left;

	if (!s->timers)
		return timeout;
	left = s->timers->core.at - g_get_monotonic_time();
	left = left > 0 ? (left + 999) / 1000 : 0;
	left = MIN(left, G_MAXINT);
	return timeout < 0 ? left : MIN(left, timeout);
}

void timer_deliver(struct sources *s)
{
	int64_t now = g_get_monotonic_time();

	for (unsigned n = 0; n < MAX_EXPIRED && s->timers && s->timers->core.at <= now; n++) {
		struct virtio_timer *t = s->timers;
		struct vq *q = t->core.q;

		disarm(s, t);
		if (!sources_begin(s, &q))
			continue;
		t->expired(s->pool->device, q, t);
		sources_end(s, q);
	}
}

void timer_drop(struct sources *s, const struct queue *of)
{
	struct virtio_timer *kept = NULL;

	while (s->timers) {
		struct virtio_timer *t = s->timers;

		disarm(s, t);
		if (t->core.q && queue_of(t->core.q)->group == of->group)
			continue;
		t->core.next = kept;
		kept = t;
	}
	while (kept) {
		struct virtio_timer *t = kept;

		kept = t->core.next;
		t->core.owner = s;
		t->core.child = t->core.next = NULL;
		add_heap(s, t);
	}
}

void virtio_timer(struct virtio_device *d, struct vq *q, struct virtio_timer *t, int64_t at)
{
	struct sources *s = sources_of(d, q);

	if (t->core.owner)
		disarm(t->core.owner, t);
	if (at >= 0 && (!q || group_active(queue_of(q)))) {
		t->core.owner = s;
		t->core.q = q;
		t->core.at = at;
		t->core.child = t->core.next = NULL;
		add_heap(s, t);
	}
	if (s == &s->pool->own_sources)
		verbs_update_timer(s->pool);
}

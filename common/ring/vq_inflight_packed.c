/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-flight area of a packed vring. Used descriptors overwrite those of other requests, so what
 * is in flight is copied here: a request is a list of entries, and the others are on a free list,
 * which ends with an index that is none.
 *
 *	take		counter, inflight = 1, copies, last, num of the entries at free_head
 *			free_head = what follows; old_free_head = free_head
 *	publish		each of the batch goes before free_head; the used position
 *			the vring's flags
 *			inflight = 0 for each; old_free_head, old used position = the new ones
 *
 * So if the used positions differ, a batch was about to be published, and whether it was says the
 * vring at the old one: then what is new holds, otherwise what is old. An entry at the head of the
 * free list that is marked as in flight was not taken entirely.
 */
#include "ring/vq_inflight_impl.h"
#include "ring/vq_req_impl.h"

static void set_used(struct virtio_inflight_packed *a, uint16_t old, uint16_t new)
{
	const union virtio_inflight_used used = {
		.idx = new & ~VIRTIO_PACKED_WRAP,
		.wrap = !!(new &VIRTIO_PACKED_WRAP),
		.old_idx = old & ~VIRTIO_PACKED_WRAP,
		.old_wrap = !!(old & VIRTIO_PACKED_WRAP),
	};

	vq_area_store(a->used.all, used.all);
}

static uint16_t old_used(const struct virtio_inflight_packed *a)
{
	const union virtio_inflight_used used = { .all = vq_area_load(a->used.all) };

	return used.old_idx | (used.old_wrap ? VIRTIO_PACKED_WRAP : 0);
}

static uint16_t new_used(const struct virtio_inflight_packed *a)
{
	const union virtio_inflight_used used = { .all = vq_area_load(a->used.all) };

	return used.idx | (used.wrap ? VIRTIO_PACKED_WRAP : 0);
}

static struct virtio_inflight_packed_entry *entries(const struct vq *q)
{
	return ((struct virtio_inflight_packed *)q->area)->entry;
}

/* Copies the request's descriptors from the vring into the entries from the first free one on. */
static bool record(struct vq *q, struct vq_req *r)
{
	struct virtio_inflight_packed_entry *e = entries(q);
	uint16_t at = r->entry;

	for (unsigned n = 0; n < r->n_desc; n++) {
		struct vq_desc d = vq_packed_desc_at(q, (r->head + n) % q->size);

		if (at >= q->size)
			return false;
		vq_area_store(e[at].id, d.next);
		vq_area_store(e[at].flags, d.flags);
		vq_area_store(e[at].len, d.len);
		vq_area_store(e[at].addr, d.addr);
		r->last = at;
		at = vq_area_load(e[at].next);
	}
	vq_area_store(e[r->entry].last, r->last);
	vq_area_store(e[r->entry].num, r->n_desc);
	return true;
}

static void packed_take(struct vq *q, struct vq_req *r)
{
	struct virtio_inflight_packed *a = q->area;
	struct virtio_inflight_packed_entry *e;
	uint16_t next;

	r->entry = vq_area_load(a->free_head);
	if (r->entry < q->size) {
		e = &entries(q)[r->entry];
		vq_area_store(e->counter, q->counter++);
		vq_area_store(e->inflight, 1);
	}
	if (r->entry >= q->size || !record(q, r)) {
		vq_track_drop(q, "its free list is too short");
		return;
	}
	next = vq_area_load(entries(q)[r->last].next);
	vq_area_order();
	vq_area_store(a->free_head, next);
	vq_area_order();
	vq_area_store(a->old_free_head, next);
}

static void packed_untake(struct vq *q, const struct vq_req *r)
{
	struct virtio_inflight_packed *a = q->area;

	vq_area_store(entries(q)[r->last].next, vq_area_load(a->free_head));
	vq_area_order();
	vq_area_store(a->free_head, r->entry);
	vq_area_order();
	vq_area_store(a->old_free_head, r->entry);
	vq_area_order();
	vq_area_store(entries(q)[r->entry].inflight, 0);
}

static void packed_give(struct vq *q, struct vq_req *const *reqs, unsigned n)
{
	struct virtio_inflight_packed *a = q->area;
	uint16_t free_head = vq_area_load(a->free_head);

	for (unsigned i = 0; i < n; i++) {
		vq_area_store(entries(q)[reqs[i]->last].next, free_head);
		free_head = reqs[i]->entry;
	}
	vq_area_order();
	vq_area_store(a->free_head, free_head);
	vq_area_order();
	set_used(a, old_used(a), q->packed.used);
	vq_area_order();
}

static void commit(struct virtio_inflight_packed *a, uint16_t used)
{
	vq_area_store(a->old_free_head, vq_area_load(a->free_head));
	vq_area_order();
	set_used(a, used, used);
}

static void packed_given(struct vq *q, struct vq_req *const *reqs, unsigned n)
{
	vq_area_order();
	for (unsigned i = 0; i < n; i++)
		vq_area_store(entries(q)[reqs[i]->entry].inflight, 0);
	vq_area_order();
	commit(q->area, q->packed.used);
}

static int packed_fetch_retry(struct vq *q, struct vq_req *r)
{
	const struct virtio_inflight_packed_entry *e = entries(q);
	unsigned num = vq_area_load(e[r->entry].num);
	struct vq_sum sum = { 0 };
	uint16_t at = r->entry;

	r->head = at;
	for (unsigned n = 1;; n++) {
		struct vq_desc d;
		int more;

		if (at >= q->size || n > num)
			return vq_bad(q, "in-flight entry %u: its list is damaged", r->entry);
		d = (struct vq_desc){
			.addr = vq_area_load(e[at].addr),
			.len = vq_area_load(e[at].len),
			.flags = vq_area_load(e[at].flags),
			.next = vq_area_load(e[at].id),
		};
		r->last = at;
		more = vq_packed_add(q, r, &sum, at, d, n);
		r->sum = sum;
		if (more <= 0)
			return more < 0 ? -1 : 1;
		at = vq_area_load(e[at].next);
	}
}

static void init(struct vq *q, uint16_t used)
{
	struct virtio_inflight_packed *a = q->area;

	vq_area_store(a->version, 0);
	vq_area_order();
	for (unsigned i = 0; i < q->size; i++)
		a->entry[i] = (struct virtio_inflight_packed_entry){ .next = i + 1 };
	a->features = 0;
	a->desc_num = q->size;
	a->free_head = a->old_free_head = 0;
	set_used(a, used, used);
	vq_area_order();
	vq_area_store(a->version, VIRTIO_INFLIGHT_VERSION);
}

/* Finishes it: a batch was published, but perhaps still is in flight as far as the area says. */
static bool finish_batch(struct vq *q, uint16_t used)
{
	struct virtio_inflight_packed *a = q->area;
	uint16_t at = vq_area_load(a->free_head), end = vq_area_load(a->old_free_head);

	for (unsigned n = 0; at != end; n++) {
		if (n == q->size || at >= q->size)
			return false;
		vq_area_store(entries(q)[at].inflight, 0);
		at = vq_area_load(entries(q)[at].next);
	}
	vq_area_order();
	commit(a, used);
	return true;
}

/* Ends what a previous owner was at; *used: the position after that. */
static const char *settle(struct vq *q, uint16_t *used)
{
	struct virtio_inflight_packed *a = q->area;
	uint16_t new = new_used(a), old = old_used(a), head;

	if (vq_area_load(a->version) != VIRTIO_INFLIGHT_VERSION ||
		vq_area_load(a->desc_num) != q->size)
		return "it is not of this vring";
	if ((old & ~VIRTIO_PACKED_WRAP) >= q->size || (new & ~VIRTIO_PACKED_WRAP) >= q->size)
		return "its used index is outside the vring";
	if (new != old &&
		!vq_packed_is_available(
			vq_packed_desc_at(q, old & ~VIRTIO_PACKED_WRAP).flags, old)) {
		if (!finish_batch(q, new))
			return "its free list is damaged";
		*used = new;
	} else {
		vq_area_store(a->free_head, vq_area_load(a->old_free_head));
		vq_area_order();
		set_used(a, old, old);
		*used = old;
	}
	head = vq_area_load(a->free_head);
	if (head < q->size)
		vq_area_store(entries(q)[head].inflight, 0);
	return NULL;
}

int vq_track_recover_packed(struct vq *q, uint16_t base_used, uint16_t *used)
{
	struct virtio_inflight_packed *a = q->area;
	g_autofree struct vq_retry *list = g_new(struct vq_retry, q->size + 1);
	unsigned n = 0, taken = 0;
	uint16_t position;
	const char *wrong;

	if (!vq_area_load(a->version)) {
		init(q, base_used);
		return -1;
	}
	wrong = settle(q, &position);
	for (unsigned i = 0; i < q->size && !wrong; i++) {
		uint16_t num = vq_area_load(a->entry[i].num);

		if (!vq_area_load(a->entry[i].inflight))
			continue;
		list[n++] = (struct vq_retry){
			.counter = vq_area_load(a->entry[i].counter),
			.entry = i,
		};
		taken += num;
		if (!num || taken > q->size)
			wrong = "more is in flight than the vring holds";
	}
	if (wrong) {
		vq_track_unfit(q, wrong);
		init(q, base_used);
		return -1;
	}
	*used = position;
	vq_track_retry(q, g_steal_pointer(&list), n);
	return taken;
}

const struct vq_track vq_track_packed = {
	.take = packed_take,
	.untake = packed_untake,
	.give = packed_give,
	.given = packed_given,
	.fetch_retry = packed_fetch_retry,
};

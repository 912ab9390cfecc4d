/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-flight area of a split vring: an entry for each descriptor, used by requests that begin
 * with it.
 *
 *	take		counter; inflight = 1
 *	publish		next = last_batch_head, last_batch_head = this, for each of the batch
 *			the vring's used index
 *			inflight = 0 for each; used_idx = the vring's
 *
 * So if used_idx is not the vring's, the batch that the two differ by was published, and is found
 * along next.
 */
#include "ring/vq_inflight_impl.h"
#include "ring/vq_req_impl.h"

static void split_take(struct vq *q, struct vq_req *r)
{
	struct virtio_inflight_split *a = q->area;
	struct virtio_inflight_split_entry *e = &a->entry[r->head];

	vq_area_store(e->counter, q->counter++);
	vq_area_order();
	vq_area_store(e->inflight, 1);
}

static void split_untake(struct vq *q, const struct vq_req *r)
{
	struct virtio_inflight_split *a = q->area;

	vq_area_store(a->entry[r->head].inflight, 0);
}

static void split_give(struct vq *q, struct vq_req *const *reqs, unsigned n)
{
	struct virtio_inflight_split *a = q->area;
	uint16_t head = vq_area_load(a->last_batch_head);

	for (unsigned i = 0; i < n; i++) {
		vq_area_store(a->entry[reqs[i]->head].next, head);
		head = reqs[i]->head;
		vq_area_order();
		vq_area_store(a->last_batch_head, head);
	}
	vq_area_order();
}

static void split_given(struct vq *q, struct vq_req *const *reqs, unsigned n)
{
	struct virtio_inflight_split *a = q->area;

	vq_area_order();
	for (unsigned i = 0; i < n; i++)
		vq_area_store(a->entry[reqs[i]->head].inflight, 0);
	vq_area_order();
	vq_area_store(a->used_idx, q->split.used_idx);
}

static int split_fetch_retry(struct vq *q, struct vq_req *r)
{
	r->id = r->head = r->entry;
	return vq_split_walk(q, r) < 0 ? -1 : 1;
}

static void init(struct vq *q, uint16_t used_idx)
{
	struct virtio_inflight_split *a = q->area;

	vq_area_store(a->version, 0);
	vq_area_order();
	memset(a->entry, 0, q->size * sizeof(a->entry[0]));
	a->features = 0;
	a->desc_num = q->size;
	a->last_batch_head = 0;
	a->used_idx = used_idx;
	vq_area_order();
	vq_area_store(a->version, VIRTIO_INFLIGHT_VERSION);
}

/* Finishes it: a batch was published, but perhaps still is in flight as far as the area says. */
static const char *finish_batch(struct vq *q, unsigned entries, uint16_t used_idx)
{
	struct virtio_inflight_split *a = q->area;
	uint16_t n = used_idx - vq_area_load(a->used_idx), head = vq_area_load(a->last_batch_head);

	if (n > entries)
		return "it is not of this vring";
	for (; n; n--) {
		if (head >= entries)
			return "it names a descriptor outside the vring";
		vq_area_store(a->entry[head].inflight, 0);
		head = vq_area_load(a->entry[head].next);
	}
	vq_area_order();
	vq_area_store(a->used_idx, used_idx);
	return NULL;
}

int vq_track_recover_split(struct vq *q, uint16_t used_idx, uint16_t avail_idx)
{
	struct virtio_inflight_split *a = q->area;
	g_autofree struct vq_retry *list = NULL;
	unsigned n = 0, entries = MIN(vq_area_load(a->desc_num), q->size);
	const char *wrong = NULL;

	if (!vq_area_load(a->version)) {
		init(q, used_idx);
		return -1;
	}
	wrong = vq_area_load(a->version) != VIRTIO_INFLIGHT_VERSION
		? "its version is not known"
		: finish_batch(q, entries, used_idx);
	list = g_new(struct vq_retry, entries + 1);
	for (unsigned i = 0; i < entries && !wrong; i++)
		if (vq_area_load(a->entry[i].inflight))
			list[n++] = (struct vq_retry){
				.counter = vq_area_load(a->entry[i].counter),
				.entry = i,
			};
	if (!wrong && (uint16_t)(avail_idx - used_idx) < n)
		wrong = "more is in flight than was available";
	if (wrong) {
		vq_track_unfit(q, wrong);
		init(q, used_idx);
		return -1;
	}
	vq_area_store(a->desc_num, q->size);
	vq_track_retry(q, g_steal_pointer(&list), n);
	return n;
}

const struct vq_track vq_track_split = {
	.take = split_take,
	.untake = split_untake,
	.give = split_give,
	.given = split_given,
	.fetch_retry = split_fetch_retry,
};

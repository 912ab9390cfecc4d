/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-flight area, what is the same for both layouts: its size, whether a queue has one, and the
 * list of requests that a previous owner took and never completed.
 *
 * An owner can die between any two instructions, and the next one reads the area after that. So
 * what counts is the order of instructions, not what other CPUs see in between: compiler barriers
 * (vq_area_order()) keep it. Both layouts record a request before the device sees it, and forget it
 * after the driver does; a batch that is being published is told apart by an index that the area
 * and the ring (or the area, twice) hold.
 *
 * The area is as hostile as the ring: what it says is copied, and bounded, before it is used. What
 * cannot be is dropped, with a warning.
 */
#include "virtio/inflight.h"

#include <stdlib.h>

#include "ring/vq_inflight_impl.h"
#include "ring/vq_req_impl.h"

size_t vq_inflight_size(uint16_t size, bool packed)
{
	size_t bytes = packed
		? sizeof(struct vq_area_packed) + size * sizeof(struct vq_packed_entry)
		: sizeof(struct vq_area_split) + size * sizeof(struct vq_split_entry);

	return align_up(bytes, 64);
}

void vq_track_start(struct vq *q, const struct vq_setup *setup)
{
	bool packed = setup->features >> VIRTIO_F_RING_PACKED & 1;
	size_t need = vq_inflight_size(setup->size, packed);

	q->track = NULL;
	q->counter = 0;
	if (!setup->inflight)
		return;
	if (setup->inflight_len < need || (uintptr_t)setup->inflight % sizeof(uint64_t)) {
		log_limited(&q->log_limit, LOG_LEVEL_WARNING, q->name,
			"requests in flight are not recorded: the ring of %u needs %zu bytes of "
			"the "
			"in-flight area, which has %zu",
			setup->size, need, setup->inflight_len);
		return;
	}
	q->area = setup->inflight;
	q->track = packed ? &vq_track_packed : &vq_track_split;
}

void vq_track_drop(struct vq *q, const char *why)
{
	struct vq_area_split *a = q->area;

	log_limited(&q->log_limit, LOG_LEVEL_WARNING, q->name,
		"the in-flight area is damaged (%s): requests are not recorded any more", why);
	vq_area_store(a->version, 0);
	q->track = NULL;
}

void vq_track_unfit(struct vq *q, const char *why)
{
	log_limited(&q->log_limit, LOG_LEVEL_WARNING, q->name,
		"the in-flight area does not go with the ring (%s): what it says is left alone",
		why);
}

void vq_track_stop(struct vq *q)
{
	struct vq_area_split *a = q->area;

	/* Until the driver resets it, nobody can go on with a broken queue: it ends here. */
	if (q->track && q->broken)
		vq_area_store(a->version, 0);
	q->track = NULL;
	g_clear_pointer(&q->again, g_free);
	q->n_again = q->next_again = 0;
}

static int by_counter(const void *a, const void *b)
{
	const struct vq_again *x = a, *y = b;

	return x->counter < y->counter ? -1 : x->counter > y->counter;
}

void vq_track_again(struct vq *q, struct vq_again *list, unsigned n, bool rerun)
{
	if (!n) {
		g_free(list);
		return;
	}
	qsort(list, n, sizeof(*list), by_counter);
	q->counter = list[n - 1].counter + 1;
	if (rerun) {
		log_limited(&q->log_limit, LOG_LEVEL_INFO, q->name,
			"%u requests that were in flight are run again", n);
		q->again = list;
		q->n_again = n;
	} else {
		log_limited(&q->log_limit, LOG_LEVEL_WARNING, q->name,
			"%u requests were taken and never completed", n);
		g_free(list);
	}
}

int vq_fetch_again(struct vq *q, struct vq_req *r)
{
	int found;

	if (!q->track)
		return vq_bad(q, "the in-flight area is damaged");
	r->again = true;
	r->entry = q->again[q->next_again].entry;
	found = q->track->fetch_again(q, r);
	if (found > 0)
		q->next_again++;
	return found;
}

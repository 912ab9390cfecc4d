/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-flight area, what is the same for both layouts: whether a queue has one, and the
 * list of requests that a previous owner took and never completed.
 *
 * An owner can die between any two instructions, and the next one reads the area after that. So
 * what counts is the order of instructions, not what other CPUs see in between: compiler barriers
 * (vq_area_order()) keep it. Both layouts record a request before the device sees it, and forget it
 * after the driver does; a batch that is being published is told apart by an index that the area
 * and the vring (or the area, twice) hold.
 *
 * The area is as hostile as the vring: what it says is copied, and bounded, before it is used. What
 * cannot be is dropped, with a warning.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "ring/vq_inflight_impl.h"
#include "ring/vq_req_impl.h"

/*
 * Tells whether the requests that the last stop left in the area belong to a driver that has
 * begun anew since: the start is at the beginning and the stop was not.
 */
static bool is_reset_since_stop(const struct vq *q, const struct vq_setup *setup, bool packed)
{
	uint32_t initial = virtio_initial_base(packed);

	return q->left && setup->base == initial && setup->base != q->stop_base;
}

void vq_track_start(struct vq *q, const struct vq_setup *setup)
{
	bool packed = setup->features >> VIRTIO_F_RING_PACKED & 1;
	uint64_t need = virtio_inflight_bytes(setup->size, packed);

	q->track = NULL;
	q->counter = 0;
	/* What was kept without an area is not in it: this run goes without, too. */
	if (!setup->inflight || q->retry)
		return;
	if (setup->inflight_len < need || (uintptr_t)setup->inflight % sizeof(uint64_t)) {
		log_limited(&q->log_limit, LOG_LEVEL_WARNING, q->name,
			"requests in flight are not recorded: the vring of %u needs %" PRIu64
			" bytes of the in-flight area, its part has %zu",
			setup->size, need, setup->inflight_len);
		return;
	}
	q->area = setup->inflight;
	q->track = packed ? &vq_track_packed : &vq_track_split;
	if (is_reset_since_stop(q, setup, packed))
		vq_area_store(((struct virtio_inflight_split *)q->area)->version, 0);
}

void vq_track_drop(struct vq *q, const char *why)
{
	struct virtio_inflight_split *a = q->area;

	log_limited(&q->log_limit, LOG_LEVEL_WARNING, q->name,
		"the in-flight area is damaged (%s): requests are not recorded any more", why);
	vq_area_store(a->version, 0);
	q->track = NULL;
}

void vq_track_unfit(struct vq *q, const char *why)
{
	log_limited(&q->log_limit, LOG_LEVEL_WARNING, q->name,
		"the in-flight area does not go with the vring (%s): its contents are ignored",
		why);
}

void vq_track_stop(struct vq *q)
{
	struct virtio_inflight_split *a = q->area;

	/* Until the driver resets it, a broken queue cannot go on: it ends here. */
	if (q->track && q->broken)
		vq_area_store(a->version, 0);
	q->track = NULL;
}

void vq_track_forgo(struct vq *q)
{
	struct virtio_inflight_split *a = q->area;

	if (!q->track)
		return;
	vq_area_store(a->version, 0);
	q->track = NULL;
}

void vq_track_retry(struct vq *q, struct vq_retry *list, unsigned n)
{
	vq_retry_clear(q);
	q->retry = list;
	q->n_retry = n;
	if (!n)
		return;
	qsort(list, n, sizeof(*list), vq_retry_by_order);
	q->counter = list[n - 1].counter + 1;
	log_limited(&q->log_limit, LOG_LEVEL_INFO, q->name,
		"%u requests that were in flight are run again", n);
}

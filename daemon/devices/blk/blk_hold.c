/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_hold.h. */
#include "daemon/devices/blk/blk_hold.h"

#include <errno.h>
#include <inttypes.h>

#include "daemon/devices/blk/blk_request.h"

static bool is_wanted(const struct blk *b, const struct blk_req *r, int result)
{
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
	case VIRTIO_BLK_T_WRITE_ZEROES:
	case VIRTIO_BLK_T_FLUSH:
		break;
	default: /* a discard is a hint */
		return false;
	}
	if (result == -EOPNOTSUPP)
		return false;
	switch (b->policy[r->type != VIRTIO_BLK_T_IN]) {
	case BLK_REPORT:
		return false;
	case BLK_STOP:
		return true;
	case BLK_ENOSPC:
		return result == -ENOSPC || result == -EDQUOT;
	}
	return false;
}

/* Tells the operator of the first one. */
static void announce(struct blk_queue *bq, const struct blk_req *r, int result)
{
	struct virtio_device *d = bq->blk->d;
	struct json *event = virtio_event_begin(d, "held");

	blk_report(bq, r, result, "; the guest waits, as it is tried again until it succeeds");
	if (!event)
		return;
	json_string(event, "error", g_strerror(-result));
	virtio_event_end(d, event);
}

bool blk_hold(struct blk_queue *bq, struct blk_req *r, int result)
{
	struct blk *b = bq->blk;

	if (!is_wanted(b, r, result))
		return false;
	if (!r->held) {
		r->held = true;
		if (virtio_count_held(b->d, 1) == 0)
			announce(bq, r, result);
	}
	blk_hold_more(bq, r);
	return true;
}

void blk_hold_more(struct blk_queue *bq, struct blk_req *r)
{
	if (bq->stopping) {
		blk_request_leave(bq, r);
		return;
	}
	blk_requests_add(&bq->held, r);
	if (!bq->retry_timer.core.owner)
		virtio_timer(bq->blk->d, bq->q, &bq->retry_timer,
			g_get_monotonic_time() + BLK_HOLD_RETRY_US);
}

void blk_hold_end(struct blk_queue *bq, struct blk_req *r)
{
	struct blk *b = bq->blk;
	struct json *event;

	r->held = false;
	if (virtio_count_held(b->d, -1) > 1 || bq->stopping)
		return;
	log_limited(&bq->limit, LOG_LEVEL_INFO, vq_name(bq->q),
		"'%s': what the guest waited for has succeeded", b->file.path);
	event = virtio_event_begin(b->d, "resumed");
	if (event)
		virtio_event_end(b->d, event);
}

void blk_hold_wake(struct blk *b)
{
	for (unsigned i = 0; i < b->num_queues; i++) {
		if (b->queue[i]->begun)
			virtio_wakeup_signal(&b->queue[i]->wakeup);
	}
}

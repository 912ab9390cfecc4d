/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_serve.h. */
#include "daemon/devices/blk/blk_serve.h"

#include "daemon/devices/blk/blk_hold.h"
#include "daemon/devices/blk/blk_request.h"

/* Tells whether more can be begun: what is left waits until something has ended. */
static bool has_room(const struct blk_queue *bq)
{
	return bq->ops < BLK_MAX_OPS;
}

/* Goes on with a request after an attempt to begin it; false: there was no room for it. */
static bool has_begun(struct blk_queue *bq, struct blk_req *r, int result)
{
	if (result == BLK_FULL)
		return false;
	if (result != BLK_PENDING)
		blk_done(bq, r, result);
	return true;
}

/* Begins one request; false: no more for now. */
static bool take(struct blk_queue *bq)
{
	struct vq_chain *c = vq_pop(bq->q);
	struct blk_req *r;

	if (!c)
		return false;
	r = blk_request_new(bq, c);
	if (!blk_request_parse(r)) {
		blk_request_free(bq, r);
		vq_push(c);
		return false;
	}
	if (bq->blk->limits.any && !blk_limit_pass(bq, r))
		return true;
	if (has_begun(bq, r, blk_request_begin(bq, r)))
		return true;
	blk_limit_undo(bq, r);
	blk_request_free(bq, r);
	vq_unpop(c);
	return false;
}

/* Begins those of which the limits allow some now. */
static void take_limited(struct blk_queue *bq)
{
	struct blk_req *r;

	while (has_room(bq) && (r = blk_limit_next(bq))) {
		if (!has_begun(bq, r, blk_request_begin(bq, r))) {
			blk_limit_put_back(bq, r);
			return;
		}
	}
}

void blk_serve(struct blk_queue *bq)
{
	if (bq->engine->reap)
		bq->engine->reap(bq);
	do {
		if (bq->limited[0].first || bq->limited[1].first)
			take_limited(bq);
		while (bq->used < BLK_MAX_REQUESTS && has_room(bq) && take(bq))
			continue;
		blk_begin_sync(bq);
	} while (bq->engine->flush && bq->engine->flush(bq));
}

/* Tries again what is held. */
static void retry(struct blk_queue *bq)
{
	struct blk_requests all = bq->held;
	struct blk_req *r;

	bq->held = (struct blk_requests){ 0 };
	while ((r = blk_requests_take(&all))) {
		if (!has_room(bq) || !has_begun(bq, r, blk_request_again(bq, r)))
			blk_hold_more(bq, r);
	}
	blk_serve(bq);
}

static void on_limit(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	blk_serve(container_of(t, struct blk_queue, limit_timer));
}

static void on_retry(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	retry(container_of(t, struct blk_queue, retry_timer));
}

static void on_wakeup(struct virtio_device *d, struct vq *q, struct virtio_wakeup *w)
{
	retry(container_of(w, struct blk_queue, wakeup));
}

void blk_serve_start(struct blk_queue *bq)
{
	bq->stopping = false;
	bq->limit_timer.expired = on_limit;
	bq->retry_timer.expired = on_retry;
	bq->wakeup.run = on_wakeup;
	virtio_wakeup_init(bq->blk->d, bq->q, &bq->wakeup);
}

static void leave(struct blk_queue *bq, struct blk_requests *list)
{
	struct blk_req *r;

	while ((r = blk_requests_take(list)))
		blk_request_leave(bq, r);
}

void blk_serve_stop(struct blk_queue *bq)
{
	bq->stopping = true;
	blk_serve(bq);
	for (unsigned i = 0; i < G_N_ELEMENTS(bq->limited); i++)
		leave(bq, &bq->limited[i]);
	leave(bq, &bq->held);
	if (!bq->used)
		blk_bounce_trim(&bq->bounce);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a request of virtiod-blk is and does, on its queue's owner. */
#pragma once

#include "daemon/devices/blk/blk_engine.h"

/* blk_type.c: the types that statistics tell apart. */
extern const struct vq_type blk_request_types[];
unsigned blk_request_type(uint32_t type);

/* For engines: a request that was BLK_PENDING has ended. */
void blk_done(struct blk_queue *bq, struct blk_req *r, int result);
/* For engines: a sync that was BLK_PENDING has ended. */
void blk_sync_done(struct blk_queue *bq, int result);

/* Logs what the host failed to do, and what follows from it. */
void blk_report(struct blk_queue *bq, const struct blk_req *r, int result, const char *consequence);

/* For blk_serve.c: from a free request to blk_done(). */

/* Returns a free one, of which there is one while bq->used < BLK_MAX_REQUESTS. */
static inline struct blk_req *blk_request_new(struct blk_queue *bq, struct vq_chain *c)
{
	struct blk_req *r = bq->free;

	if (r) {
		bq->free = r->next;
	} else {
		r = &bq->requests[bq->made++];
		*r = (struct blk_req){ 0 };
	}
	r->c = c;
	r->unsynced = false;
	bq->used++;
	return r;
}

static inline void blk_request_free(struct blk_queue *bq, struct blk_req *r)
{
	r->next = bq->free;
	bq->free = r;
	bq->used--;
}

/* Leaves it to the queue's next run. */
void blk_request_leave(struct blk_queue *bq, struct blk_req *r);
/* Takes its header; false: there is none, which broke the queue. */
bool blk_request_parse(struct blk_req *r);
/* Returns 0, -errno or another result; but for BLK_PENDING and BLK_FULL, blk_done() follows. */
int blk_request_begin(struct blk_queue *bq, struct blk_req *r);
/* Likewise, of one that is held: what is left of it. */
int blk_request_again(struct blk_queue *bq, struct blk_req *r);
/* Begins a sync for what waits for one, unless one is in flight. */
void blk_begin_sync(struct blk_queue *bq);

/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_limit.h. */
#include "daemon/devices/blk/blk_limit.h"

#include "base/option.h"
#include "daemon/devices/blk/blk_engine.h"

struct blk_limit_options blk_limit_options;

static void set_rates(struct blk_limits *l, const uint64_t rate[BLK_LIMITED])
{
	l->any = false;
	for (unsigned i = 0; i < BLK_LIMITED; i++) {
		double burst = l->burst_s * (double)rate[i];

		/* What was taken too much of the old bucket is forgotten with it. */
		bucket_set(&l->bucket[i], rate[i], MAX((uint64_t)burst, 1));
		l->any |= rate[i] > 0;
	}
}

bool blk_limit_open(struct blk *b, GError **error)
{
	if (blk_limit_options.burst_s > BUCKET_MAX_BURST_S)
		return option_bad(error, "invalid --limit-burst=%g: at most %d seconds",
			blk_limit_options.burst_s, BUCKET_MAX_BURST_S);
	b->limits.burst_s = blk_limit_options.burst_s;
	set_rates(&b->limits, blk_limit_options.rate);
	return true;
}

void blk_limit_set(struct blk *b, const struct virtio_arg *args)
{
	uint64_t rate[BLK_LIMITED];

	for (unsigned i = 0; i < BLK_LIMITED; i++)
		rate[i] = args[i].given ? (uint64_t)args[i].number : b->limits.bucket[i].rate;
	if (args[BLK_LIMITED].given)
		b->limits.burst_s = (double)args[BLK_LIMITED].number / 1000;
	set_rates(&b->limits, rate);
}

void blk_limit_show(const struct blk *b, struct json *to)
{
	static const struct virtio_param params[] = { BLK_LIMIT_PARAMS };

	for (unsigned i = 0; i < BLK_LIMITED; i++)
		json_uint(to, params[i].name, b->limits.bucket[i].rate);
	json_uint(to, params[BLK_LIMITED].name, (uint64_t)(b->limits.burst_s * 1000 + 0.5));
}

static bool is_read(const struct blk_req *r)
{
	return r->type == VIRTIO_BLK_T_IN;
}

/* What a request takes tokens of, and how many. */
struct blk_share {
	struct bucket *bucket;
	uint64_t tokens;
};
#define SHARES 4

static void share_out(struct blk_limits *l, struct blk_req *r, struct blk_share share[SHARES])
{
	bool read = is_read(r);
	uint64_t bytes = read || blk_is_write(r) ? iov_left(blk_data(r)) : 0;

	share[0] = (struct blk_share){ &l->bucket[BLK_IOPS_TOTAL], 1 };
	share[1] = (struct blk_share){ &l->bucket[read ? BLK_IOPS_READ : BLK_IOPS_WRITE], 1 };
	share[2] = (struct blk_share){ &l->bucket[BLK_BPS_TOTAL], bytes };
	share[3] = (struct blk_share){ &l->bucket[read ? BLK_BPS_READ : BLK_BPS_WRITE], bytes };
}

/* Arms the timer, which serves the queue, unless it comes earlier for others. */
static void ask_again(struct blk_queue *bq, uint64_t at)
{
	int64_t us = (int64_t)(at / 1000) + 1;

	if (!bq->limit_timer.core.owner || us < bq->limit_timer.core.at)
		virtio_timer(bq->blk->d, bq->q, &bq->limit_timer, us);
}

/* Counts the request if the limits allow it. */
static bool allow(struct blk_queue *bq, struct blk_req *r)
{
	struct blk_share share[SHARES];
	uint64_t now = bucket_now(), at = 0;

	share_out(&bq->blk->limits, r, share);
	for (unsigned i = 0; i < SHARES; i++)
		at = MAX(at, bucket_wait(share[i].bucket, now));
	if (at) {
		ask_again(bq, at);
		return false;
	}
	for (unsigned i = 0; i < SHARES; i++)
		bucket_take(share[i].bucket, share[i].tokens, now);
	return true;
}

bool blk_limit_pass(struct blk_queue *bq, struct blk_req *r)
{
	struct blk_requests *others = &bq->limited[!is_read(r)];

	if (r->type == VIRTIO_BLK_T_FLUSH || r->type == VIRTIO_BLK_T_GET_ID)
		return true;
	if (!others->first && allow(bq, r))
		return true;
	blk_requests_add(others, r);
	return false;
}

struct blk_req *blk_limit_next(struct blk_queue *bq)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(bq->limited); i++) {
		struct blk_req *r = bq->limited[i].first;

		if (r && allow(bq, r))
			return blk_requests_take(&bq->limited[i]);
	}
	return NULL;
}

void blk_limit_undo(struct blk_queue *bq, struct blk_req *r)
{
	struct blk_share share[SHARES];

	share_out(&bq->blk->limits, r, share);
	for (unsigned i = 0; i < SHARES; i++)
		bucket_give_back(share[i].bucket, share[i].tokens);
}

void blk_limit_put_back(struct blk_queue *bq, struct blk_req *r)
{
	struct blk_requests *list = &bq->limited[!is_read(r)];

	blk_limit_undo(bq, r);
	if (!list->first)
		list->last = &r->next;
	r->next = list->first;
	list->first = r;
	list->n++;
}

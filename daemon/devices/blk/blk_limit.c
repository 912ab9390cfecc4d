/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_limit.h. */
#include "daemon/devices/blk/blk_limit.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/kept_file.h"
#include "base/option.h"
#include "base/util.h"
#include "daemon/devices/blk/blk_engine.h"

#define US_PER_S UINT64_C(1000000)
/* How long a disk of a group may not know that another one has changed the limits. */
#define GROUP_LOOKS_US 50000
/* "limits", in a form that this program's other versions and the other byte order do not have. */
#define MAGIC UINT64_C(0x0173746d6c6d696c)

struct blk_limit_options blk_limit_options;

static double burst_s(const struct blk_limit_state *l)
{
	uint64_t us = __atomic_load_n(&l->burst_us, __ATOMIC_RELAXED);

	return (double)MIN(us, BUCKET_MAX_BURST_S * US_PER_S) / (double)US_PER_S;
}

static void set_burst(struct blk_limit_state *l, double seconds)
{
	__atomic_store_n(&l->burst_us, (uint64_t)(seconds * (double)US_PER_S), __ATOMIC_RELAXED);
}

static void set_rate(struct blk_limit_state *l, unsigned i, uint64_t rate)
{
	double burst = burst_s(l) * (double)rate;

	/* What was taken too much of the old bucket is forgotten with it. */
	bucket_set(&l->bucket[i], rate, MAX((uint64_t)burst, 1));
}

static bool join(struct blk_limits *l, const char *path, GError **error)
{
	off_t size;
	autofd fd = kept_file_open(path, &size, error);
	uint64_t magic = 0;

	if (fd < 0)
		return false;
	/* Two that find it empty at a time do the same. */
	if (size == 0 && ftruncate(fd, sizeof(*l->state)) < 0)
		return error_errno(error, errno, "cannot enlarge the file '%s'", path);
	if (size != 0 && size != sizeof(*l->state))
		return option_bad(error, "invalid --limit-group=%s: no group of limits", path);
	/* Without the fd nobody who takes over this process makes the file smaller again. */
	l->state = mmap(NULL, sizeof(*l->state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (l->state == MAP_FAILED) {
		l->state = NULL;
		return error_errno(error, errno, "cannot map the file '%s'", path);
	}
	if (!__atomic_compare_exchange_n(
		    &l->state->magic, &magic, MAGIC, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) &&
		magic != MAGIC)
		return option_bad(error, "invalid --limit-group=%s: no group of limits", path);
	return true;
}

bool blk_limit_open(struct blk *b, GError **error)
{
	const struct blk_limit_options *o = &blk_limit_options;
	struct blk_limits *l = &b->limits;
	bool any = false;

	if (o->burst_s > BUCKET_MAX_BURST_S)
		return option_bad(error, "invalid --limit-burst=%g: at most %d seconds", o->burst_s,
			BUCKET_MAX_BURST_S);
	if (o->group && !join(l, o->group, error))
		return false;
	if (!l->state)
		l->state = &l->own;
	for (unsigned i = 0; i < BLK_LIMITED; i++)
		any |= o->rate[i] > 0;
	if (any || !o->group)
		set_burst(l->state, o->burst_s);
	for (unsigned i = 0; i < BLK_LIMITED; i++)
		if (o->rate[i])
			set_rate(l->state, i, o->rate[i]);
	/* Another disk of the group may change them at any time. */
	l->any = any || o->group;
	return true;
}

void blk_limit_close(struct blk *b)
{
	struct blk_limits *l = &b->limits;

	if (l->state && l->state != &l->own)
		munmap(l->state, sizeof(*l->state));
	l->state = NULL;
	g_clear_pointer(&blk_limit_options.group, g_free);
}

void blk_limit_set(struct blk *b, const struct virtio_arg *args)
{
	struct blk_limits *l = &b->limits;

	if (args[BLK_LIMITED].given)
		set_burst(l->state, (double)args[BLK_LIMITED].number / 1000);
	l->any = l->state != &l->own;
	for (unsigned i = 0; i < BLK_LIMITED; i++) {
		uint64_t rate = args[i].given ? (uint64_t)args[i].number
					      : bucket_rate(&l->state->bucket[i]);

		set_rate(l->state, i, rate);
		l->any |= rate > 0;
	}
}

void blk_limit_show(const struct blk *b, struct json *to)
{
	static const struct virtio_param params[] = { BLK_LIMIT_PARAMS };
	const struct blk_limit_state *l = b->limits.state;

	for (unsigned i = 0; i < BLK_LIMITED; i++)
		json_uint(to, params[i].name, bucket_rate(&l->bucket[i]));
	json_uint(to, params[BLK_LIMITED].name, (uint64_t)(burst_s(l) * 1000 + 0.5));
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

static void share_out(struct blk_limit_state *l, struct blk_req *r, struct blk_share share[SHARES])
{
	bool read = is_read(r);
	uint64_t bytes = read || blk_is_write(r) ? iov_left(blk_data(r)) : 0;

	share[0] = (struct blk_share){ &l->bucket[BLK_IOPS_TOTAL], 1 };
	share[1] = (struct blk_share){ &l->bucket[read ? BLK_IOPS_READ : BLK_IOPS_WRITE], 1 };
	share[2] = (struct blk_share){ &l->bucket[BLK_BPS_TOTAL], bytes };
	share[3] = (struct blk_share){ &l->bucket[read ? BLK_BPS_READ : BLK_BPS_WRITE], bytes };
}

/* Arms the timer, which serves the queue, unless it comes earlier for others. */
static void ask_again(struct blk_queue *bq, uint64_t at, uint64_t now)
{
	const struct blk_limits *l = &bq->blk->limits;
	int64_t us = (int64_t)(at / 1000) + 1;

	if (l->state != &l->own)
		us = MIN(us, (int64_t)(now / 1000) + GROUP_LOOKS_US);
	if (!bq->limit_timer.core.owner || us < bq->limit_timer.core.at)
		virtio_timer(bq->blk->d, bq->q, &bq->limit_timer, us);
}

/* Counts the request if the limits allow it. */
static bool allow(struct blk_queue *bq, struct blk_req *r)
{
	struct blk_share share[SHARES];
	uint64_t now = bucket_now(), at = 0;

	share_out(bq->blk->limits.state, r, share);
	for (unsigned i = 0; i < SHARES; i++)
		at = MAX(at, bucket_wait(share[i].bucket, now));
	if (at) {
		ask_again(bq, at, now);
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

	share_out(bq->blk->limits.state, r, share);
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

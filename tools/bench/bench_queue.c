/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hot path of the load generator. It must cost little beside the back-end: addresses, lengths
 * and headers stand ready, the clock is read once for all that was reaped at a time, and there is
 * one decision about a kick for all that was issued. A latency is the time from there to there, as
 * a driver sees it.
 */
#include "tools/bench/bench_queue.h"

#include <inttypes.h>

#include "base/clock.h"

/* Returns the next number of splitmix64. */
static uint64_t random_next(struct bench_queue *q)
{
	uint64_t z = q->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t choose_block(struct bench_queue *q)
{
	uint64_t block = q->next_block;

	if (q->plan.random)
		return random_next(q) % q->plan.n_blocks;
	q->next_block = block + 1 < q->plan.n_blocks ? block + 1 : 0;
	return block;
}

static uint32_t choose_type(struct bench_queue *q)
{
	bool read = q->plan.always_read ||
		(q->plan.read_below && (uint32_t)random_next(q) < q->plan.read_below);

	if (read)
		return VIRTIO_BLK_T_IN;
	if (q->plan.flush_every && q->unflushed >= q->plan.flush_every) {
		q->unflushed = 0;
		return VIRTIO_BLK_T_FLUSH;
	}
	q->unflushed++;
	return VIRTIO_BLK_T_OUT;
}

static struct bench_slot *slot_of(const struct bench_queue *q, const struct blkio_request *r)
{
	return &q->slots[r - q->io.requests];
}

/*
 * Chooses the block, and the data if that matters; may make a write of a read. False: nothing to
 * do now.
 */
static bool choose_data(struct bench_queue *q, struct blkio_request *r)
{
	struct bench_slot *s = slot_of(q, r);
	struct bench_verify *v = q->verify;

	if (q->reading_back) {
		r->type = VIRTIO_BLK_T_IN;
		if (bench_verify_next(v, &s->block))
			return true;
		q->left = 0;
		return false;
	}
	s->block = choose_block(q);
	if (!v)
		return true;
	if (!bench_verify_take(v, &s->block))
		return false;
	if (!bench_verify_is_known(v, s->block))
		r->type = VIRTIO_BLK_T_OUT;
	return true;
}

static bool prepare(struct bench_queue *q, struct blkio_request *r)
{
	const struct bench_slot *s = slot_of(q, r);

	r->type = choose_type(q);
	r->offset = 0; /* of a flush: virtio 1.2 §5.2.6.1 */
	if (r->type == VIRTIO_BLK_T_FLUSH)
		return true;
	if (!choose_data(q, r))
		return false;
	r->offset = q->plan.base + s->block * q->plan.stride;
	if (q->verify && r->type == VIRTIO_BLK_T_OUT)
		bench_verify_fill(q->verify, s->block, r->offset, r->data);
	return true;
}

static void issue(struct bench_queue *q, uint64_t now)
{
	bool any = false;

	while (q->n_free && q->left) {
		struct blkio_request *r = q->free[q->n_free - 1];

		if ((q->plan.interval_ns && now < q->due_ns) || !prepare(q, r))
			break;
		q->due_ns += q->plan.interval_ns;
		slot_of(q, r)->issued_ns = now;
		/* There is room: the queue was made for as many requests. */
		blkio_queue_add(&q->io, r, NULL);
		q->n_free--;
		q->left -= r->type != VIRTIO_BLK_T_FLUSH;
		any = true;
	}
	if (any && blkio_queue_publish(&q->io))
		q->counts->kicks++;
}

static void note_error(struct bench_queue *q, const struct blkio_request *r, uint8_t status)
{
	const char *why = blkio_status_name(status);

	q->counts->errors++;
	if (!q->first_error)
		q->first_error = g_strdup_printf("%s at %" PRIu64 ": %s (status %u)",
			blkio_type_name(r->type), r->offset, why ? why : "no such status", status);
}

static void verify(struct bench_queue *q, const struct blkio_request *r, bool ok)
{
	const struct bench_slot *s = slot_of(q, r);

	if (r->type == VIRTIO_BLK_T_OUT) {
		bench_verify_written(q->verify, s->block, ok);
		return;
	}
	if (ok && !q->failure)
		q->failure = bench_verify_check(q->verify, s->block, r->offset, r->data);
	bench_verify_release(q->verify, s->block);
}

static void account(struct bench_queue *q, unsigned n, uint64_t now)
{
	for (unsigned i = q->n_free - n; i < q->n_free; i++) {
		const struct blkio_request *r = q->free[i];
		uint8_t status = blkio_request_status(r);

		if (status != VIRTIO_BLK_S_OK)
			note_error(q, r, status);
		if (r->type == VIRTIO_BLK_T_FLUSH)
			continue;
		if (q->verify)
			verify(q, r, status == VIRTIO_BLK_S_OK);
		bench_hist_add(&q->counts->latency, now - slot_of(q, r)->issued_ns);
		q->counts->requests++;
	}
}

int bench_queue_turn(struct bench_queue *q)
{
	g_autoptr(GError) error = NULL;
	unsigned before = q->n_free, n;
	struct blkio_request *r;
	uint64_t now;

	while ((r = blkio_queue_reap(&q->io, &error)))
		q->free[q->n_free++] = r;
	if (error) {
		q->failure = g_strdup(error->message);
		return -1;
	}
	n = q->n_free - before;
	if (q->n_free == 0 || (n == 0 && q->left == 0))
		return 0;
	now = clock_now_ns();
	account(q, n, now);
	if (n) {
		q->stall_ns = MAX(q->stall_ns, now - q->progress_ns);
		q->progress_ns = now;
	} else if (q->n_free == q->io.layout.depth) {
		q->progress_ns = now;
	}
	if (q->failure)
		return -1;
	issue(q, now);
	return (int)n;
}

uint64_t bench_queue_due(const struct bench_queue *q)
{
	return q->plan.interval_ns && q->n_free && q->left ? q->due_ns : UINT64_MAX;
}

void bench_queue_start_pace(struct bench_queue *q)
{
	q->due_ns = clock_now_ns();
}

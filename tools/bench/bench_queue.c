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
#include "base/eventfd.h"
#include "base/util.h"

/* splitmix64 */
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

static void add(struct bench_queue *q, struct bench_slot *s)
{
	unsigned n = s->type == VIRTIO_BLK_T_FLUSH ? 0 : q->plan.n_segments;
	unsigned n_out = s->type == VIRTIO_BLK_T_OUT ? 1 + n : 1;
	struct driver_buf flush[2];
	const struct driver_buf *bufs = s->bufs;

	blk_wire_set(s->wire, s->type, s->offset);
	if (n == 0) {
		flush[0] = bufs[0];
		flush[1] = bufs[q->plan.n_segments + 1];
		bufs = flush;
	}
	/* There is room: the ring was made for as many requests as there are slots. */
	driver_ring_add(q->ring, bufs, n_out, n + 2 - n_out, s);
}

/* The block, and the data if that matters; may make a write of a read. False: nothing to do now. */
static bool choose_data(struct bench_queue *q, struct bench_slot *s)
{
	struct bench_verify *v = q->verify;

	if (q->reading_back) {
		s->type = VIRTIO_BLK_T_IN;
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
		s->type = VIRTIO_BLK_T_OUT;
	return true;
}

static bool prepare(struct bench_queue *q, struct bench_slot *s)
{
	s->type = choose_type(q);
	s->offset = 0; /* of a flush: virtio 1.2 §5.2.6.1 */
	if (s->type == VIRTIO_BLK_T_FLUSH)
		return true;
	if (!choose_data(q, s))
		return false;
	s->offset = q->plan.base + s->block * q->plan.stride;
	if (q->verify && s->type == VIRTIO_BLK_T_OUT)
		bench_verify_fill(q->verify, s->block, s->offset, s->data);
	return true;
}

static void issue(struct bench_queue *q, uint64_t now)
{
	bool any = false;

	while (q->n_free && q->left) {
		struct bench_slot *s = q->free[q->n_free - 1];

		if ((q->plan.interval_ns && now < q->due_ns) || !prepare(q, s))
			break;
		q->due_ns += q->plan.interval_ns;
		s->issued_ns = now;
		add(q, s);
		q->n_free--;
		q->left -= s->type != VIRTIO_BLK_T_FLUSH;
		any = true;
	}
	if (any && driver_ring_publish(q->ring)) {
		eventfd_signal_fast(q->kick, &q->kick_full);
		q->counts->kicks++;
	}
}

static void note_error(struct bench_queue *q, const struct bench_slot *s, uint8_t status)
{
	const char *why = blk_status_name(status);

	q->counts->errors++;
	if (!q->first_error)
		q->first_error = g_strdup_printf("%s at %" PRIu64 ": %s (status %u)",
			blk_type_name(s->type), s->offset, why ? why : "no such status", status);
}

static void verify(struct bench_queue *q, const struct bench_slot *s, bool ok)
{
	if (s->type == VIRTIO_BLK_T_OUT) {
		bench_verify_written(q->verify, s->block, ok);
		return;
	}
	if (ok && !q->failure)
		q->failure = bench_verify_check(q->verify, s->block, s->offset, s->data);
	bench_verify_release(q->verify, s->block);
}

static void account(struct bench_queue *q, unsigned n, uint64_t now)
{
	for (unsigned i = q->n_free - n; i < q->n_free; i++) {
		struct bench_slot *s = q->free[i];
		uint8_t status = __atomic_load_n(&s->wire->status, __ATOMIC_RELAXED);

		if (status != VIRTIO_BLK_S_OK)
			note_error(q, s, status);
		if (s->type == VIRTIO_BLK_T_FLUSH)
			continue;
		if (q->verify)
			verify(q, s, status == VIRTIO_BLK_S_OK);
		bench_hist_add(&q->counts->latency, now - s->issued_ns);
		q->counts->requests++;
	}
}

int bench_queue_turn(struct bench_queue *q)
{
	unsigned before = q->n_free, n;
	uint64_t now;
	void *token;
	uint32_t len;
	int rc;

	while ((rc = driver_ring_reap(q->ring, &token, &len)) > 0)
		q->free[q->n_free++] = token;
	if (rc < 0) {
		q->failure = blk_reap_error(q->ring, rc);
		return -1;
	}
	n = q->n_free - before;
	if (q->n_free == 0 || (n == 0 && q->left == 0))
		return 0;
	now = clock_now_ns();
	account(q, n, now);
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

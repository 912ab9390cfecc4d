/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engines on io_uring: everything by it (direct I/O, block devices), or only what the page
 * cache cannot give at once (RWF_NOWAIT).
 *
 * An operation that the kernel ends with EAGAIN or EINTR, or does not accept, is done by blocking
 * calls instead, which is rare and always completes it.
 */
#include <errno.h>

#include "daemon/device.h"
#include "daemon/devices/blk/blk_io.h"
#include "daemon/devices/blk/blk_request.h"
#include "daemon/devices/blk/blk_serve.h"
#include "daemon/uring.h"

/* The ring's files. */
enum { FILE_OWN, FILE_CACHED };

/* Every request in flight is one operation but for one that discards, and there is the sync. */
#define MAX_IN_FLIGHT (BLK_MAX_OPS + BLK_MAX_DISCARD_SEGMENTS + 1)

/* How zeroes are written: from the best to what always works. */
enum { ZERO_BY_HOLE, ZERO_BY_RANGE, ZERO_BY_WRITING };

static bool uring_queue_open(struct blk_queue *bq, GError **error)
{
	static const enum virtio_uring_op ops[] = { VIRTIO_URING_READ, VIRTIO_URING_WRITE,
		VIRTIO_URING_SYNC, VIRTIO_URING_ALLOCATE, VIRTIO_URING_END };
	const int files[] = { [FILE_OWN] = bq->fd, [FILE_CACHED] = bq->blk->file.fd };

	bq->engine_data = virtio_uring_new(
		&(struct virtio_uring_setup){
			.files = files,
			.n_files = G_N_ELEMENTS(files),
			.ops = ops,
			.max = MAX_IN_FLIGHT,
		},
		error);
	return bq->engine_data;
}

static void uring_queue_close(struct blk_queue *bq)
{
	virtio_uring_free(g_steal_pointer(&bq->engine_data));
}

/*
 * Serves completions. Fetching an event signals the fd again: reading it first would cause a
 * useless wake-up.
 */
static void on_events(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct blk_queue *bq = container_of(w, struct blk_queue, events);

	do {
		blk_serve(bq);
		virtio_uring_awake(bq->engine_data);
	} while (virtio_uring_is_ready(bq->engine_data));
}

/* Gives the ring to this thread. */
static void uring_queue_start(struct blk_queue *bq)
{
	int result = bq->begun ? 0 : virtio_uring_enable(bq->engine_data);

	if (result < 0) {
		log_warning(vq_name(bq->q), "does without io_uring: %s", g_strerror(-result));
		uring_queue_close(bq);
		bq->engine = &blk_engine_sync;
		return;
	}
	bq->events.fd = virtio_uring_fd(bq->engine_data);
	bq->events.ready = on_events;
	virtio_watch(bq->blk->d, bq->q, &bq->events, EPOLLIN);
}

static int begin_step(struct blk_queue *bq, struct blk_req *r)
{
	struct iovec iov[BLK_STEP_IOV];
	struct blk_step step;
	int result = blk_io_step(bq, r, iov, &step);

	if (result < 0)
		return result == -EAGAIN ? BLK_FULL : result;
	virtio_uring_transfer(bq->engine_data, blk_is_write(r),
		step.cached ? FILE_CACHED : FILE_OWN, step.iov, step.n, r->offset, r);
	bq->ops++;
	return BLK_PENDING;
}

static int step_ended(struct blk_queue *bq, struct blk_req *r, int result)
{
	if (result == -EAGAIN || result == -EINTR)
		return blk_io_transfer(bq, r);
	if (result > 0) {
		blk_io_stepped(r, result);
		if (iov_left(blk_data(r)) > 0)
			return begin_step(bq, r);
		result = 0;
	} else if (result == 0) {
		result = -ENODATA;
	}
	blk_io_release(bq, r);
	return result;
}

static int uring_discard(
	struct blk_queue *bq, struct blk_req *r, const struct blk_range *range, unsigned n)
{
	/* That takes an ioctl(), which io_uring learnt late, and is no more than a hint. */
	if (bq->blk->file.is_device)
		return blk_io_discard(bq, r, range, n);
	for (unsigned i = 0; i < n; i++)
		virtio_uring_allocate(
			bq->engine_data, FILE_OWN, BLK_IO_HOLE, range[i].offset, range[i].len, r);
	r->ops = n;
	r->result = 0;
	bq->ops += n;
	return BLK_PENDING;
}

static int discard_ended(struct blk_req *r, int result)
{
	/* Nothing is lost if a hint is. */
	if (result == -EAGAIN || result == -EINTR)
		result = 0;
	if (r->result == 0)
		r->result = blk_io_unsupported(result);
	return --r->ops ? BLK_PENDING : r->result;
}

static int begin_zeroing(struct blk_queue *bq, struct blk_req *r)
{
	struct iovec iov[BLK_STEP_IOV];
	struct blk_step step;

	if (r->stage == ZERO_BY_WRITING) {
		blk_io_zeroes(bq, &r->range, iov, &step);
		virtio_uring_transfer(bq->engine_data, true, step.cached ? FILE_CACHED : FILE_OWN,
			iov, step.n, r->range.offset, r);
	} else {
		virtio_uring_allocate(bq->engine_data, FILE_OWN,
			r->stage == ZERO_BY_HOLE ? BLK_IO_HOLE : BLK_IO_ZERO, r->range.offset,
			r->range.len, r);
	}
	bq->ops++;
	return BLK_PENDING;
}

static int uring_write_zeroes(
	struct blk_queue *bq, struct blk_req *r, const struct blk_range *range)
{
	r->range = *range;
	r->stage = blk_io_may_punch(bq, range) ? ZERO_BY_HOLE : ZERO_BY_RANGE;
	return begin_zeroing(bq, r);
}

static int zeroing_ended(struct blk_queue *bq, struct blk_req *r, int result)
{
	if (result == -EAGAIN || result == -EINTR)
		return blk_io_write_zeroes(bq, r, &r->range);
	if (r->stage == ZERO_BY_WRITING) {
		if (result <= 0)
			return result ? result : -EIO;
		r->range.offset += result;
		r->range.len -= result;
		return r->range.len ? begin_zeroing(bq, r) : 0;
	}
	if (result == 0)
		return 0;
	r->stage++;
	return begin_zeroing(bq, r);
}

static int uring_sync(struct blk_queue *bq)
{
	virtio_uring_sync(bq->engine_data, FILE_OWN, NULL);
	bq->ops++;
	return BLK_PENDING;
}

static int request_ended(struct blk_queue *bq, struct blk_req *r, int result)
{
	switch (r->type) {
	case VIRTIO_BLK_T_DISCARD:
		return discard_ended(r, result);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return zeroing_ended(bq, r, result);
	}
	return step_ended(bq, r, result);
}

static void event_ended(struct blk_queue *bq, const struct virtio_uring_event *e)
{
	int result = e->result;

	bq->ops--;
	if (!e->tag) {
		if (result == -EAGAIN || result == -EINTR)
			result = blk_io_sync(bq);
		blk_sync_done(bq, result);
		return;
	}
	result = request_ended(bq, e->tag, result);
	if (result != BLK_PENDING)
		blk_done(bq, e->tag, result);
}

static bool reap(struct blk_queue *bq, bool fetch)
{
	struct virtio_uring_event event[32];
	bool any = false;
	unsigned n;

	do {
		n = virtio_uring_reap(bq->engine_data, fetch, event, G_N_ELEMENTS(event));
		for (unsigned i = 0; i < n; i++)
			event_ended(bq, &event[i]);
		any |= n > 0;
	} while (n == G_N_ELEMENTS(event));
	return any;
}

static bool uring_reap(struct blk_queue *bq)
{
	return reap(bq, true);
}

static bool uring_flush(struct blk_queue *bq)
{
	virtio_uring_submit(bq->engine_data);
	return reap(bq, false);
}

const struct blk_engine blk_engine_uring = {
	.name = "uring",
	.queue_open = uring_queue_open,
	.queue_close = uring_queue_close,
	.queue_start = uring_queue_start,
	.transfer = begin_step,
	.discard = uring_discard,
	.write_zeroes = uring_write_zeroes,
	.sync = uring_sync,
	.flush = uring_flush,
	.reap = uring_reap,
};

/*
 * Transfers what is in the page cache; all else, and the rest of what is there in part, goes to
 * the ring.
 */
static int nowait_transfer(struct blk_queue *bq, struct blk_req *r)
{
	struct iovec iov[BLK_STEP_IOV];
	bool write = blk_is_write(r);
	struct blk_step step;
	ssize_t n;

	if (bq->no_nowait[write])
		return begin_step(bq, r);
	blk_io_step(bq, r, iov, &step);
	n = write ? pwritev2(bq->fd, iov, step.n, r->offset, RWF_NOWAIT)
		  : preadv2(bq->fd, iov, step.n, r->offset, RWF_NOWAIT);
	if (n == (ssize_t)iov_left(blk_data(r))) {
		iov_finish(blk_data(r));
		return 0;
	}
	if (n > 0)
		blk_io_stepped(r, n);
	else if (n == 0)
		return -ENODATA;
	else if (errno == EOPNOTSUPP)
		bq->no_nowait[write] = true;
	else if (errno != EAGAIN && errno != EINTR)
		return -errno;
	return begin_step(bq, r);
}

const struct blk_engine blk_engine_nowait = {
	.name = "nowait",
	.queue_open = uring_queue_open,
	.queue_close = uring_queue_close,
	.queue_start = uring_queue_start,
	.transfer = nowait_transfer,
	.discard = uring_discard,
	.write_zeroes = uring_write_zeroes,
	.sync = uring_sync,
	.flush = uring_flush,
	.reap = uring_reap,
};

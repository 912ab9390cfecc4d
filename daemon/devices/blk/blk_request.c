/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk's requests (virtio 1.2 §5.2.6).
 *
 * A request is a header of 16 bytes, data, and a status byte that comes last, in descriptors of
 * any layout (§2.7.4): header and data to write are in `out`, data read in `in`, and the status is
 * cut off the end of `in`.
 *
 * Stability. A flush, and in writethrough mode a write, is complete when a sync has ended that
 * began after it. Such requests are gathered (`unsynced`) until the burst ends, and share one sync;
 * those that come while it is in flight (`syncing`) share the next. A flush need not wait for
 * writes in flight: it covers what was complete before it was made (§5.2.6.2).
 */
#include "daemon/devices/blk/blk_request.h"

#include "daemon/devices/blk/blk_guard.h"
#include "daemon/devices/blk/blk_hold.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>

/* Requests that wait for one sync, while none is in flight. */
#define MAX_UNSYNCED 64

static uint8_t status_of(int result)
{
	if (result == 0)
		return VIRTIO_BLK_S_OK;
	return result == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

static void complete(struct blk_queue *bq, struct blk_req *r, int result)
{
	struct vq_chain *c = r->c;

	if (result != 0)
		vq_set_failed(c);
	/*
	 * What a failed read left open: the status is to follow an unbroken run of written bytes.
	 */
	if (iov_left(&c->in) > 0)
		iov_push_zeroes(&c->in, iov_left(&c->in));
	iov_put_last(&c->in, r->status, status_of(result));
	if (r->held)
		blk_hold_end(bq, r);
	blk_request_free(bq, r);
	if (bq->stopping && !bq->used)
		blk_bounce_trim(&bq->bounce);
	vq_push(c);
}

void blk_request_leave(struct blk_queue *bq, struct blk_req *r)
{
	struct vq_chain *c = r->c;

	if (r->held)
		blk_hold_end(bq, r);
	blk_request_free(bq, r);
	vq_keep(c);
}

/* Answers a request that a driver must not make, and logs it. */
static int refuse(struct blk_queue *bq, const struct blk_req *r, const char *why)
{
	log_limited(&bq->limit, LOG_LEVEL_WARNING, vq_name(bq->q),
		"request of type %" PRIu32 " at sector %" PRIu64 " refused: %s", r->type, r->sector,
		why);
	return BLK_REFUSED;
}

static const char *verb_of(const struct blk_req *r)
{
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
		return "read";
	case VIRTIO_BLK_T_OUT:
		return "write";
	case VIRTIO_BLK_T_DISCARD:
		return "discard from";
	case VIRTIO_BLK_T_FLUSH:
		return "flush";
	}
	return "write zeroes to";
}

void blk_report(struct blk_queue *bq, const struct blk_req *r, int result, const char *consequence)
{
	if (result != -EOPNOTSUPP)
		log_limited(&bq->limit, LOG_LEVEL_ERROR, vq_name(bq->q),
			"cannot %s '%s' at offset %" PRIu64 ": %s%s", verb_of(r),
			bq->blk->file.path, r->start,
			result == -ENODATA ? "the file ends there" : g_strerror(-result),
			consequence);
}

static bool in_range(const struct blk *b, uint64_t sector, uint64_t sectors)
{
	return sector <= b->sectors && sectors <= b->sectors - sector;
}

/* Warns of a driver that gives its disk the beginning of another format: --format=auto. */
static void check_format(struct blk_queue *bq, struct blk_req *r)
{
	struct iov_cursor ahead = *blk_data(r);
	uint8_t head[BLK_GUARD_HEAD];
	const char *format = blk_guard_format(head, iov_pull(&ahead, head, sizeof(head)));

	if (format)
		log_limited(&bq->limit, LOG_LEVEL_WARNING, vq_name(bq->q),
			"the guest makes '%s' begin as %s does: it will be refused at the next "
			"start unless --format=raw is given",
			bq->blk->file.path, format);
}

static int transfer(struct blk_queue *bq, struct blk_req *r)
{
	size_t left = iov_left(blk_data(r));

	if (blk_is_write(r) && bq->blk->file.read_only)
		return refuse(bq, r, "the disk is read-only");
	/* Not of the block size: that is a hint, the protocol's unit is the sector (§5.2.4). */
	if (left % BLK_SECTOR)
		return refuse(bq, r, "its length is not a multiple of 512");
	if (!in_range(bq->blk, r->sector, left / BLK_SECTOR))
		return refuse(bq, r, "it ends beyond the disk");
	if (!left)
		return 0;
	r->start = r->offset = r->sector * BLK_SECTOR;
	if (!r->sector && blk_is_write(r) && bq->blk->warns_of_format)
		check_format(bq, r);
	return bq->engine->transfer(bq, r);
}

/*
 * Checks a segment. Unknown flags, and unmap in a discard, are "unsupported", not errors
 * (§5.2.6.2).
 */
static int check_segment(struct blk_queue *bq, const struct blk_req *r,
	const struct virtio_blk_discard_write_zeroes *s)
{
	bool zero = r->type == VIRTIO_BLK_T_WRITE_ZEROES;

	if (le32toh(s->flags) & ~(zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0u))
		return -EOPNOTSUPP;
	if (le32toh(s->num_sectors) > (zero ? BLK_MAX_ZERO_SECTORS : BLK_MAX_DISCARD_SECTORS))
		return refuse(bq, r, "a segment is too long");
	if (!in_range(bq->blk, le64toh(s->sector), le32toh(s->num_sectors)))
		return refuse(bq, r, "a segment ends beyond the disk");
	return 0;
}

/* Takes a list of segments, all of them checked: *n of them are not empty. 0, or a result. */
static int take_segments(
	struct blk_queue *bq, struct blk_req *r, struct blk_range *range, unsigned *n)
{
	struct virtio_blk_discard_write_zeroes s;
	size_t len = iov_left(&r->c->out), count = len / sizeof(s);
	bool zero = r->type == VIRTIO_BLK_T_WRITE_ZEROES;
	int result;

	*n = 0;
	if (bq->blk->file.read_only)
		return refuse(bq, r, "the disk is read-only");
	if (count == 0 || len % sizeof(s))
		return refuse(bq, r, "its segment list has an odd size");
	if (count > (zero ? BLK_MAX_ZERO_SEGMENTS : BLK_MAX_DISCARD_SEGMENTS))
		return refuse(bq, r, "it has too many segments");
	for (size_t i = 0; i < count; i++) {
		iov_pull(&r->c->out, &s, sizeof(s));
		result = check_segment(bq, r, &s);
		if (result != 0)
			return result;
		range[*n] = (struct blk_range){
			.offset = le64toh(s.sector) * BLK_SECTOR,
			.len = (uint64_t)le32toh(s.num_sectors) * BLK_SECTOR,
			.unmap = le32toh(s.flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
		};
		*n += range[*n].len > 0;
	}
	return 0;
}

static int segments(struct blk_queue *bq, struct blk_req *r)
{
	struct blk_range range[BLK_MAX_DISCARD_SEGMENTS + 1];
	unsigned n;
	int result = take_segments(bq, r, range, &n);

	if (result != 0 || n == 0)
		return result;
	r->start = range[0].offset;
	if (r->type == VIRTIO_BLK_T_DISCARD)
		return bq->engine->discard(bq, r, range, n);
	r->range = range[0];
	return bq->engine->write_zeroes(bq, r, &r->range);
}

int blk_request_begin(struct blk_queue *bq, struct blk_req *r)
{
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return transfer(bq, r);
	case VIRTIO_BLK_T_FLUSH:
		return 0;
	case VIRTIO_BLK_T_GET_ID:
		iov_push(&r->c->in, bq->blk->serial, sizeof(bq->blk->serial));
		return 0;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return segments(bq, r);
	}
	return -EOPNOTSUPP;
}

/*
 * Tells whether it is writethrough (§5.2.6.2): a completed write may wait for a flush only if
 * the driver knows of flushes, and has not chosen writethrough.
 */
static bool is_writethrough(const struct blk_queue *bq)
{
	uint64_t features = vq_features(bq->q);

	if (!(features >> VIRTIO_BLK_F_FLUSH & 1))
		return true;
	return features >> VIRTIO_BLK_F_CONFIG_WCE & 1 &&
		!__atomic_load_n(&bq->blk->wce, __ATOMIC_RELAXED);
}

static bool wants_sync(const struct blk_queue *bq, const struct blk_req *r)
{
	switch (r->type) {
	case VIRTIO_BLK_T_FLUSH:
		return !bq->blk->file.read_only;
	case VIRTIO_BLK_T_OUT:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return is_writethrough(bq);
	}
	return false;
}

int blk_request_again(struct blk_queue *bq, struct blk_req *r)
{
	if (r->unsynced)
		return 0;
	if (r->type == VIRTIO_BLK_T_WRITE_ZEROES)
		return bq->engine->write_zeroes(bq, r, &r->range);
	return bq->engine->transfer(bq, r);
}

void blk_begin_sync(struct blk_queue *bq)
{
	int result;

	if (!bq->unsynced.first || bq->syncing.first)
		return;
	bq->syncing = bq->unsynced;
	bq->unsynced = (struct blk_requests){ 0 };
	result = bq->engine->sync(bq);
	if (result != BLK_PENDING)
		blk_sync_done(bq, result);
}

/*
 * Returns true if a sync that has failed may succeed later: if the kernel, which forgets what it
 * could not write, held nothing of ours, and the disk itself tells.
 */
static bool may_sync_again(const struct blk *b)
{
	return b->file.is_device && b->file.direct &&
		!__atomic_load_n(&b->wrote_cached, __ATOMIC_RELAXED);
}

/*
 * Returns the result of all that waits for it. After a failure every sync fails, on all queues: a
 * later fdatasync() would claim success for lost data.
 */
static int sync_result(struct blk_queue *bq, int result)
{
	int none = 0;

	if (result < 0)
		__atomic_compare_exchange_n(&bq->blk->sync_error, &none, result, false,
			__ATOMIC_RELAXED, __ATOMIC_RELAXED);
	result = __atomic_load_n(&bq->blk->sync_error, __ATOMIC_RELAXED);
	if (result < 0)
		log_limited(&bq->limit, LOG_LEVEL_ERROR, vq_name(bq->q), "cannot flush '%s': %s",
			bq->blk->file.path, g_strerror(-result));
	return result;
}

/* Completes what waits for the sync, or holds it. */
void blk_sync_done(struct blk_queue *bq, int result)
{
	struct blk_req *r = bq->syncing.first, *next;
	bool again = result < 0 && may_sync_again(bq->blk);

	if (!again)
		result = sync_result(bq, result);
	bq->syncing = (struct blk_requests){ 0 };
	for (; r; r = next) {
		next = r->next;
		if (again && blk_hold(bq, r, result))
			continue;
		if (again)
			blk_report(bq, r, result, "");
		complete(bq, r, result);
	}
}

static void add_unsynced(struct blk_queue *bq, struct blk_req *r)
{
	r->unsynced = true;
	blk_requests_add(&bq->unsynced, r);
	if (bq->unsynced.n >= MAX_UNSYNCED)
		blk_begin_sync(bq);
}

void blk_done(struct blk_queue *bq, struct blk_req *r, int result)
{
	if (result < 0 && blk_hold(bq, r, result))
		return;
	if (result < 0)
		blk_report(bq, r, result, "");
	if (result == 0 && r->type != VIRTIO_BLK_T_IN && wants_sync(bq, r))
		add_unsynced(bq, r);
	else
		complete(bq, r, result);
}

bool blk_request_parse(struct blk_req *r)
{
	struct vq_chain *c = r->c;
	struct virtio_blk_outhdr header;
	size_t len;

	r->status = iov_split_last(&c->in);
	if (!r->status) {
		vq_break(c->q, "request has no room for the status byte");
		return false;
	}
	len = iov_pull(&c->out, &header, sizeof(header));
	if (len < sizeof(header)) {
		vq_break(c->q, "request header is %zu bytes long", len);
		return false;
	}
	r->type = le32toh(header.type);
	r->sector = le64toh(header.sector);
	vq_set_type(c, blk_request_type(r->type));
	return true;
}

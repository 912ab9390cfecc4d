/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk's requests (virtio 1.2 §5.2.6).
 *
 * A request is a header of 16 bytes, data, and a status byte that comes last, in descriptors of
 * any layout (§2.7.4): header and data to write are in `out`, data read in `in`, and the status is
 * cut off the end of `in`.
 *
 * Writethrough: the writes of a burst are done, made stable together by one fdatasync(), and only
 * then completed, and with them what came after: after a crash the number of completed requests
 * says which ones are to be run again, and that is right only if they are completed in order.
 */
#include "daemon/devices/blk_request.h"

#include <endian.h>
#include <errno.h>
#include <glib.h>
#include <inttypes.h>

/* Requests that wait for one fdatasync(). */
#define MAX_UNSTABLE 64

struct blk_request {
	struct vq_chain *c;
	struct iov_cursor status;
	uint32_t type;
	uint64_t sector;
	int result; /* 0 or -errno */
	bool unstable; /* it is a write that was done, and needs fdatasync() */
};

static void blk_complete(struct blk_request *r, uint8_t status)
{
	/* What a failed read left open: the status is to follow an unbroken run of written bytes. */
	iov_push_zeroes(&r->c->in, iov_left(&r->c->in));
	iov_push(&r->status, &status, sizeof(status));
	iov_join_tail(&r->c->in, &r->status);
	vq_push(g_steal_pointer(&r->c));
}

/* The driver asked for what it must not: an answer for it, a line for the operator. */
static int blk_refuse(struct blk *b, const struct blk_request *r, const char *why)
{
	log_limited(&b->limit[vq_index(r->c->q)], LOG_LEVEL_WARNING, vq_name(r->c->q),
		"request of type %" PRIu32 " at sector %" PRIu64 " refused: %s", r->type, r->sector,
		why);
	return -EINVAL;
}

/* Passes the result of an operation on the file through. */
static int blk_report(struct blk *b, struct vq *q, const char *what, uint64_t offset, int result)
{
	if (result < 0 && result != -EOPNOTSUPP)
		log_limited(&b->limit[vq_index(q)], LOG_LEVEL_ERROR, vq_name(q),
			"%s '%s' at offset %" PRIu64 ": %s", what, b->file.path, offset,
			result == -ENODATA ? "the file ends there" : g_strerror(-result));
	return result;
}

static bool blk_in_range(const struct blk *b, uint64_t sector, uint64_t sectors)
{
	return sector <= b->sectors && sectors <= b->sectors - sector;
}

static int blk_transfer(struct blk *b, struct blk_request *r)
{
	bool write = r->type == VIRTIO_BLK_T_OUT;
	struct iov_cursor *c = write ? &r->c->out : &r->c->in;
	uint64_t offset = r->sector * BLK_SECTOR;

	if (write && b->file.read_only)
		return blk_refuse(b, r, "the disk is read-only");
	/* Not of the block size: that is a hint, the protocol's unit is the sector (§5.2.4). */
	if (iov_left(c) % BLK_SECTOR)
		return blk_refuse(b, r, "its length is not a multiple of 512");
	if (!blk_in_range(b, r->sector, iov_left(c) / BLK_SECTOR))
		return blk_refuse(b, r, "it ends beyond the disk");
	if (write)
		return blk_report(
			b, r->c->q, "cannot write", offset, blk_file_write(&b->file, c, offset));
	return blk_report(b, r->c->q, "cannot read", offset, blk_file_read(&b->file, c, offset));
}

/* §5.2.6.2: unknown flags, and unmap in a discard, are "unsupported", not errors. */
static int blk_check_segment(
	struct blk *b, const struct blk_request *r, const struct virtio_blk_discard_write_zeroes *s)
{
	bool zero = r->type == VIRTIO_BLK_T_WRITE_ZEROES;

	if (le32toh(s->flags) & ~(zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0u))
		return -EOPNOTSUPP;
	if (le32toh(s->num_sectors) > (zero ? BLK_MAX_ZERO_SECTORS : BLK_MAX_DISCARD_SECTORS))
		return blk_refuse(b, r, "a segment is too long");
	if (!blk_in_range(b, le64toh(s->sector), le32toh(s->num_sectors)))
		return blk_refuse(b, r, "a segment ends beyond the disk");
	return 0;
}

static int blk_segment(
	struct blk *b, const struct blk_request *r, const struct virtio_blk_discard_write_zeroes *s)
{
	uint64_t offset = le64toh(s->sector) * BLK_SECTOR;
	uint64_t len = (uint64_t)le32toh(s->num_sectors) * BLK_SECTOR;
	bool unmap = le32toh(s->flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	if (len == 0)
		return 0;
	if (r->type == VIRTIO_BLK_T_DISCARD)
		return blk_report(b, r->c->q, "cannot discard from", offset,
			blk_file_discard(&b->file, offset, len));
	return blk_report(b, r->c->q, "cannot write zeroes to", offset,
		blk_file_write_zeroes(&b->file, offset, len, unmap));
}

/* DISCARD and WRITE_ZEROES: a list of segments, all of them checked before the first is done. */
static int blk_segments(struct blk *b, struct blk_request *r)
{
	struct virtio_blk_discard_write_zeroes s[BLK_MAX_DISCARD_SEGMENTS];
	size_t len = iov_left(&r->c->out), n = len / sizeof(s[0]);
	bool zero = r->type == VIRTIO_BLK_T_WRITE_ZEROES;
	int result = 0;

	if (b->file.read_only)
		return blk_refuse(b, r, "the disk is read-only");
	if (n == 0 || len % sizeof(s[0]))
		return blk_refuse(b, r, "its segment list has an odd size");
	if (n > (zero ? BLK_MAX_ZERO_SEGMENTS : BLK_MAX_DISCARD_SEGMENTS))
		return blk_refuse(b, r, "it has too many segments");
	iov_pull(&r->c->out, s, len);
	for (size_t i = 0; i < n && result == 0; i++)
		result = blk_check_segment(b, r, &s[i]);
	for (size_t i = 0; i < n && result == 0; i++)
		result = blk_segment(b, r, &s[i]);
	return result;
}

static int blk_flush(struct blk *b, struct vq *q)
{
	return b->file.read_only ? 0 : blk_report(b, q, "cannot flush", 0, blk_file_sync(&b->file));
}

static int blk_do(struct blk *b, struct blk_request *r)
{
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return blk_transfer(b, r);
	case VIRTIO_BLK_T_FLUSH:
		return blk_flush(b, r->c->q);
	case VIRTIO_BLK_T_GET_ID:
		iov_push(&r->c->in, b->serial, sizeof(b->serial));
		return 0;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return blk_segments(b, r);
	}
	return -EOPNOTSUPP;
}

static uint8_t blk_status(int result)
{
	if (result == 0)
		return VIRTIO_BLK_S_OK;
	return result == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

/* Takes the next request apart; false: there is none, or it broke the queue. */
static bool blk_next(struct vq *q, struct blk_request *r)
{
	g_autoptr(vq_chain) c = vq_pop(q);
	struct virtio_blk_outhdr header;
	size_t len;

	if (!c)
		return false;
	if (!iov_split_tail(&c->in, 1, &r->status)) {
		vq_break(q, "request has no room for the status byte");
		return false;
	}
	len = iov_pull(&c->out, &header, sizeof(header));
	if (len < sizeof(header)) {
		vq_break(q, "request header is %zu bytes long", len);
		return false;
	}
	r->type = le32toh(header.type);
	r->sector = le64toh(header.sector);
	r->c = g_steal_pointer(&c);
	return true;
}

static void blk_complete_stable(struct blk *b, struct vq *q, struct blk_request *r, unsigned n)
{
	int sync = n ? blk_flush(b, q) : 0;

	for (unsigned i = 0; i < n; i++)
		blk_complete(&r[i], blk_status(r[i].unstable ? sync : r[i].result));
}

void blk_serve(struct blk *b, struct vq *q, bool writeback)
{
	struct blk_request unstable[MAX_UNSTABLE], r;
	unsigned n = 0;

	while (blk_next(q, &r)) {
		r.result = blk_do(b, &r);
		r.unstable = r.result == 0 && !writeback &&
			(r.type == VIRTIO_BLK_T_OUT || r.type == VIRTIO_BLK_T_WRITE_ZEROES);
		if (n == 0 && !r.unstable) {
			blk_complete(&r, blk_status(r.result));
			continue;
		}
		unstable[n++] = r;
		if (n == MAX_UNSTABLE) {
			blk_complete_stable(b, q, unstable, n);
			n = 0;
		}
	}
	blk_complete_stable(b, q, unstable, n);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See blk_io.h.
 *
 * Direct I/O. The kernel moves whole blocks between the disk and pinned memory. Memory that cannot
 * be pinned, or is not aligned, is replaced by a bounce buffer. A request that does not begin and
 * end on blocks goes through the page cache, which knows how to change a part of a block while
 * others change the rest; drivers that keep to the block size have none of these.
 */
#include "daemon/devices/blk/blk_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

/* Never written: it takes no memory but the kernel's page of zeroes. */
static uint8_t zero_pages[65536] __attribute__((aligned(4096)));

/* Tells whether all that is left of it is aligned, so that the first step decides for all. */
static bool is_aligned(const struct blk_file *f, const struct iov_cursor *c)
{
	const struct iovec *iov = c->iov;
	size_t left = c->left, offset = c->offset, len;
	uintptr_t bits = 0;

	for (; left > 0; left -= len, offset = 0, iov++) {
		len = MIN(iov->iov_len - offset, left);
		if (len > 0)
			bits |= ((uintptr_t)iov->iov_base + offset) & (f->mem_align - 1);
		bits |= len & (f->offset_align - 1);
	}
	return !bits;
}

/* Chooses the page cache: the disk could not do it directly. */
static void take_cache(struct blk_queue *bq, struct blk_step *step, bool is_write)
{
	step->cached = true;
	if (is_write)
		__atomic_store_n(&bq->blk->wrote_cached, true, __ATOMIC_RELAXED);
}

int blk_io_step(struct blk_queue *bq, struct blk_req *r, struct iovec *iov, struct blk_step *step)
{
	const struct blk_file *f = &bq->blk->file;
	struct iov_cursor *c = blk_data(r), ahead = *c;
	size_t len;
	int result;

	*step = (struct blk_step){ .iov = iov };
	if (f->direct && ((r->offset | iov_left(c)) & (f->offset_align - 1)))
		take_cache(bq, step, blk_is_write(r));
	if (!r->bounce && (!f->direct || step->cached || (bq->can_pin && is_aligned(f, c)))) {
		iov_peek(c, SIZE_MAX, iov, BLK_STEP_IOV, &step->n);
		return 0;
	}
	if (!r->bounce) {
		result = blk_bounce_get(&bq->bounce, &r->bounce);
		if (result < 0)
			return result;
	}
	len = MIN(iov_left(c), BLK_BOUNCE_SIZE);
	if (blk_is_write(r))
		iov_pull(&ahead, r->bounce, len);
	iov[0] = (struct iovec){ r->bounce, len };
	step->n = 1;
	return 0;
}

void blk_io_stepped(struct blk_req *r, size_t n)
{
	if (r->bounce && !blk_is_write(r))
		iov_push(blk_data(r), r->bounce, n);
	else
		iov_skip(blk_data(r), n);
	r->offset += n;
}

void blk_io_release(struct blk_queue *bq, struct blk_req *r)
{
	blk_bounce_put(&bq->bounce, r->bounce);
	r->bounce = NULL;
}

int blk_io_transfer(struct blk_queue *bq, struct blk_req *r)
{
	struct iovec iov[BLK_STEP_IOV];
	struct blk_step step;
	int result = 0, fd;
	ssize_t n;

	while (result == 0 && iov_left(blk_data(r)) > 0) {
		result = blk_io_step(bq, r, iov, &step);
		if (result == -EAGAIN)
			return BLK_FULL;
		if (result < 0)
			break;
		fd = blk_io_fd(bq, &step);
		n = blk_is_write(r) ? pwritev(fd, step.iov, step.n, r->offset)
				    : preadv(fd, step.iov, step.n, r->offset);
		if (n > 0)
			blk_io_stepped(r, n);
		else if (n == 0)
			result = -ENODATA;
		else if (errno != EINTR)
			result = -errno;
	}
	blk_io_release(bq, r);
	return result;
}

int blk_io_unsupported(int result)
{
	return result == -ENOSYS || result == -ENODEV || result == -ENOTTY ? -EOPNOTSUPP : result;
}

static int allocate(int fd, int mode, const struct blk_range *range)
{
	while (fallocate(fd, mode, range->offset, range->len) < 0) {
		if (errno != EINTR)
			return blk_io_unsupported(-errno);
	}
	return 0;
}

/* Discards whole blocks: a device takes nothing else; the guest's may be smaller. */
static int discard_device(const struct blk_queue *bq, const struct blk_range *range)
{
	uint64_t block = bq->blk->file.logical_block;
	uint64_t first = align_up(range->offset, block);
	uint64_t end = (range->offset + range->len) & ~(block - 1);
	uint64_t stretch[2] = { first, end - first };

	if (first >= end)
		return 0;
	while (ioctl(bq->fd, BLKDISCARD, stretch) < 0) {
		if (errno != EINTR)
			return blk_io_unsupported(-errno);
	}
	return 0;
}

int blk_io_discard(
	struct blk_queue *bq, struct blk_req *r, const struct blk_range *range, unsigned n)
{
	int result = 0;

	/* Punching a hole in a device would insist on zeroes, which a discard need not leave. */
	for (unsigned i = 0; i < n && result == 0; i++)
		result = bq->blk->file.is_device ? discard_device(bq, &range[i])
						 : allocate(bq->fd, BLK_IO_HOLE, &range[i]);
	return result;
}

unsigned blk_io_zeroes(struct blk_queue *bq, const struct blk_range *range, struct iovec *iov,
	struct blk_step *step)
{
	const struct blk_file *f = &bq->blk->file;
	uint64_t left = range->len;
	unsigned n = 0;

	for (; left > 0 && n < BLK_STEP_IOV; n++) {
		iov[n] = (struct iovec){ zero_pages, MIN(left, sizeof(zero_pages)) };
		left -= iov[n].iov_len;
	}
	*step = (struct blk_step){ .iov = iov, .n = n };
	if (f->direct && ((range->offset | range->len) & (f->offset_align - 1)))
		take_cache(bq, step, true);
	return n;
}

static int write_zeroes(struct blk_queue *bq, struct blk_range range)
{
	struct iovec iov[BLK_STEP_IOV];
	struct blk_step step;
	ssize_t n;

	while (range.len > 0) {
		blk_io_zeroes(bq, &range, iov, &step);
		n = pwritev(blk_io_fd(bq, &step), iov, step.n, range.offset);
		if (n == 0)
			return -EIO;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			range.offset += n;
			range.len -= n;
		}
	}
	return 0;
}

bool blk_io_may_punch(const struct blk_queue *bq, const struct blk_range *range)
{
	struct stat st;

	return range->unmap &&
		(bq->blk->file.is_device ||
			(fstat(bq->fd, &st) == 0 &&
				range->offset + range->len <= (uint64_t)st.st_size));
}

int blk_io_write_zeroes(struct blk_queue *bq, struct blk_req *r, const struct blk_range *range)
{
	if (blk_io_may_punch(bq, range) && allocate(bq->fd, BLK_IO_HOLE, range) == 0)
		return 0;
	if (allocate(bq->fd, BLK_IO_ZERO, range) == 0)
		return 0;
	return write_zeroes(bq, *range);
}

int blk_io_sync(struct blk_queue *bq)
{
	while (fdatasync(bq->fd) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine that copies between guest memory and a mapping of the file: the least work for what is
 * in the page cache, at the price of its pages counting as ours, and of waiting for those that are
 * not there.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "base/core_dump.h"
#include "base/sigbus.h"
#include "daemon/devices/blk/blk_io.h"

static void unmap(struct blk *b)
{
	if (b->map)
		munmap(b->map, b->map_size);
	b->map = NULL;
	b->map_size = 0;
}

static bool mmap_resize(struct blk *b, GError **error)
{
	int protection = PROT_READ | (b->file.read_only ? 0 : PROT_WRITE);
	void *map = NULL;

	if (b->map_size == b->file.size)
		return true;
	if ((size_t)b->file.size != b->file.size) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
			"cannot map '%s': %" PRIu64 " bytes are more than there are addresses",
			b->file.path, b->file.size);
		return false;
	}
	if (b->file.size > 0)
		map = mmap(NULL, b->file.size, protection, MAP_SHARED, b->file.fd, 0);
	if (map == MAP_FAILED) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			"cannot map '%s': %s", b->file.path, g_strerror(errno));
		return false;
	}
	unmap(b);
	b->map = map ? core_dump_exclude(map, b->file.size) : NULL;
	b->map_size = b->file.size;
	return true;
}

static void copy(void *arg)
{
	struct blk_req *r = arg;
	struct iov_cursor *c = blk_data(r);
	const struct blk *b = ((struct blk_queue *)vq_data(r->c->q))->blk;
	void *at = (char *)b->map + r->offset;

	if (blk_is_write(r))
		iov_pull(c, at, iov_left(c));
	else
		iov_push(c, at, iov_left(c));
}

/*
 * Returns why a copy faulted: the file ends there now, or the file system has no room for what was
 * a hole, which it says when asked for that room.
 */
static int why(const struct blk_queue *bq, struct blk_req *r)
{
	if (blk_is_write(r) &&
		fallocate(bq->fd, FALLOC_FL_KEEP_SIZE, r->offset, iov_left(blk_data(r))) < 0 &&
		(errno == ENOSPC || errno == EDQUOT))
		return -errno;
	return -EIO;
}

/* Transfers by copying. */
static int mmap_transfer(struct blk_queue *bq, struct blk_req *r)
{
	const struct blk *b = bq->blk;
	struct iov_cursor *c = blk_data(r), before = *c;

	if (r->offset > b->map_size || iov_left(c) > b->map_size - r->offset)
		return -ENODATA;
	if (sigbus_guard(b->map, b->map_size, copy, r))
		return 0;
	/* It was left on the way, ahead of what was copied. */
	*c = before;
	return why(bq, r);
}

/* fdatasync() writes what was changed by a mapping, too. */
const struct blk_engine blk_engine_mmap = {
	.name = "mmap",
	.resize = mmap_resize,
	.close = unmap,
	.transfer = mmap_transfer,
	.discard = blk_io_discard,
	.write_zeroes = blk_io_write_zeroes,
	.sync = blk_io_sync,
};

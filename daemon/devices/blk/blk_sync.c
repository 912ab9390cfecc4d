/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of blocking system calls: a request is done when it is begun. The fastest where the
 * page cache is the storage (tmpfs); elsewhere the queue's thread waits for the disk.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/devices/blk/blk_io.h"

/*
 * pread() and pwrite() are cancellation points: in a program of several threads glibc adds two
 * locked instructions to each.
 */
#if defined(__LP64__)
#define BLK_PREAD(fd, buf, len, at) syscall(SYS_pread64, fd, buf, len, at)
#define BLK_PWRITE(fd, buf, len, at) syscall(SYS_pwrite64, fd, buf, len, at)
#else
#define BLK_PREAD pread
#define BLK_PWRITE pwrite
#endif

/*
 * Transfers one piece of memory by one system call: the rule. All else is left to
 * blk_io_transfer().
 */
static int sync_transfer(struct blk_queue *bq, struct blk_req *r)
{
	struct iov_cursor *c = blk_data(r);
	size_t left = iov_left(c);
	void *buf = bq->blk->file.direct ? NULL : iov_whole(c);
	ssize_t n = 0;

	if (buf)
		n = blk_is_write(r) ? BLK_PWRITE(bq->fd, buf, left, r->offset)
				    : BLK_PREAD(bq->fd, buf, left, r->offset);
	if (n != (ssize_t)left) {
		if (n > 0)
			blk_io_stepped(r, n);
		return blk_io_transfer(bq, r);
	}
	iov_finish(c);
	return 0;
}

const struct blk_engine blk_engine_sync = {
	.name = "sync",
	.transfer = sync_transfer,
	.discard = blk_io_discard,
	.write_zeroes = blk_io_write_zeroes,
	.sync = blk_io_sync,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input and output as all engines do it: a transfer in steps, and the system calls that block until
 * they have done it all.
 */
#pragma once

#include <linux/falloc.h>
#include <sys/uio.h>

#include "daemon/devices/blk/blk_engine.h"
#include "daemon/uring.h"

/* For one system call; longer lists take several. */
#define BLK_STEP_IOV VIRTIO_URING_MAX_IOV

/* What one system call is to transfer. */
struct blk_step {
	const struct iovec *iov;
	unsigned n;
	bool cached; /* by blk->file.fd: the disk could not do it directly */
};

/*
 * The next step of a request that has data left; iov is room for BLK_STEP_IOV. For direct I/O it
 * may take a bounce buffer, which is the request's until blk_io_release(). 0, or -EAGAIN: there is
 * none now, or -ENOMEM: nor ever.
 */
int blk_io_step(struct blk_queue *bq, struct blk_req *r, struct iovec *iov, struct blk_step *step);
/* n bytes of the step have been transferred. */
void blk_io_stepped(struct blk_req *r, size_t n);
/* After the last step. */
void blk_io_release(struct blk_queue *bq, struct blk_req *r);

static inline int blk_io_fd(const struct blk_queue *bq, const struct blk_step *step)
{
	return step->cached ? bq->blk->file.fd : bq->fd;
}

/*
 * The members of struct blk_engine, blocking. blk_io_transfer() takes over wherever another engine
 * has left off.
 */
int blk_io_transfer(struct blk_queue *bq, struct blk_req *r);
int blk_io_discard(
	struct blk_queue *bq, struct blk_req *r, const struct blk_range *range, unsigned n);
/* Always possible, if slowly. */
int blk_io_write_zeroes(struct blk_queue *bq, struct blk_req *r, const struct blk_range *range);
int blk_io_sync(struct blk_queue *bq);

/* Modes of fallocate(). A hole leaves the file's size, where zeroes let it grow as a write does. */
#define BLK_IO_HOLE (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define BLK_IO_ZERO FALLOC_FL_ZERO_RANGE
/*
 * Returns whether a hole can be the range's zeroes: the driver allows it, and the file, which may
 * have been truncated, does not end before.
 */
bool blk_io_may_punch(const struct blk_queue *bq, const struct blk_range *range);
/* What the kernel, the file system or the disk cannot do is always -EOPNOTSUPP. */
int blk_io_unsupported(int result);
/*
 * Zeroes to be written at the range's beginning, at most BLK_STEP_IOV iovecs of them; how many
 * iovecs.
 */
unsigned blk_io_zeroes(struct blk_queue *bq, const struct blk_range *range, struct iovec *iov,
	struct blk_step *step);

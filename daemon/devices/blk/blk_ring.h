/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring of one queue. It is made while the program may still do that, and can do nothing but
 * read, write, sync and allocate in the files it was made with.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct blk_ring;

/* An operation that has ended: its tag, and 0, a length or -errno. */
struct blk_event {
	void *tag;
	int result;
};

/*
 * A ring for operations on these files, which are named by their index, and no more than max at a
 * time. NULL: the kernel, or who confined us, does not allow it.
 */
struct blk_ring *blk_ring_new(const int *files, unsigned n, unsigned max, GError **error);
/* NULL is nothing. */
void blk_ring_free(struct blk_ring *ring);

/* On the thread that will use it, and before anything that follows. 0 or -errno. */
int blk_ring_enable(struct blk_ring *ring);
/* Readable when events may be there, until blk_ring_awake() is called. */
int blk_ring_fd(const struct blk_ring *ring);
void blk_ring_awake(struct blk_ring *ring);
/* May events be there? For those that came before blk_ring_awake(), and were not seen. */
bool blk_ring_is_ready(const struct blk_ring *ring);

/*
 * Prepare an operation, which blk_ring_submit() begins, at the latest. n is at most BLK_STEP_IOV; iov
 * itself need not last.
 */
void blk_ring_transfer(struct blk_ring *ring, bool write, unsigned file, const struct iovec *iov,
	unsigned n, uint64_t offset, void *tag);
void blk_ring_sync(struct blk_ring *ring, unsigned file, void *tag);
void blk_ring_allocate(
	struct blk_ring *ring, unsigned file, int mode, uint64_t offset, uint64_t len, void *tag);
/*
 * Begins what is prepared, if there is anything. What the kernel refuses to take ends with -EAGAIN:
 * do it in another way.
 */
void blk_ring_submit(struct blk_ring *ring);
/*
 * Moves the next events, at most max; how many. fetch: by a system call, if the kernel holds any
 * back for it.
 */
unsigned blk_ring_reap(struct blk_ring *ring, bool fetch, struct blk_event *event, unsigned max);

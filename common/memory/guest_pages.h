/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory that the payload of a request names and that is used for longer than the request:
 * the backing of a GPU resource, for instance. A hold is a list of ranges that are looked up once
 * for each table of regions, and not for each access.
 *
 * Threads: a hold belongs to the thread that made it. Like borrowers, holders pause while the table
 * changes. They need not release anything for that: the next guest_pages_iov() looks up the ranges
 * in the new table.
 */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

struct guest_mem;
struct guest_pages;

struct guest_pages_range {
	uint64_t addr, len; /* guest address and bytes */
};

/*
 * The most that one hold takes, which bounds what a guest can make it cost. The number of holds is
 * for the caller to limit.
 */
#define GUEST_PAGES_MAX_RANGES 16384u
#define GUEST_PAGES_MAX_BYTES (UINT64_C(1) << 32)

/*
 * Holds n ranges, which may overlap, for reading and writing. A range of length 0 is skipped.
 * Returns 0 and sets *pages, which the caller releases, or returns, with *pages NULL:
 *	-EFAULT		a range is not all in guest memory (or in memory whose file was truncated)
 *	-E2BIG		the ranges are more than the maximum, or lie in too many regions
 *	-EOPNOTSUPP	memory that is mapped for each request alone cannot be held (Xen grants)
 *	-ENOMEM
 */
int guest_pages_hold(struct guest_mem *m, const struct guest_pages_range *ranges, unsigned n,
	struct guest_pages **pages);

/*
 * Returns where the ranges are, in their order; one range may take several of the *n iovecs. They
 * are valid until the table changes, the hold is released, or the next call for it.
 *
 * A range that is not all in a changed table (or in too many regions of it) is not accessible any
 * more, not even in part: it reads as zeroes, and what is written to it is lost with the next call.
 */
const struct iovec *guest_pages_iov(struct guest_pages *pages, unsigned *n);

/*
 * Marks len bytes from an offset into all ranges on in the dirty log, if there is one. After they
 * were written, before the thread waits for anything.
 */
void guest_pages_written(struct guest_pages *pages, uint64_t offset, uint64_t len);

/* Also after guest_mem_free(). NULL is allowed. */
void guest_pages_release(struct guest_pages *pages);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cursor over a list of iovecs that only moves forward and never past the end. A device sees a
 * request as two of them: `out` (it reads) and `in` (it writes); what went through `in` is the used
 * length. The iovecs point into guest memory: never interpret it there, pull a copy and check that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct iov_cursor {
	const struct iovec *iov; /* the current one; the list is the chain's, not the cursor's */
	unsigned n_iov; /* from the current one on */
	size_t offset; /* into the current one */
	size_t left; /* bytes still ahead */
	size_t done; /* bytes gone by */
};

/* A cursor over the first `bytes` bytes (at most all) of n iovecs, which must outlive it. */
struct iov_cursor iov_cursor(const struct iovec *iov, unsigned n, size_t bytes);

static inline size_t iov_left(const struct iov_cursor *c)
{
	return c->left;
}

static inline size_t iov_done(const struct iov_cursor *c)
{
	return c->done;
}

/*
 * Copies min(len, left) bytes out of, or into, the memory at the cursor; moves on; returns how
 * many.
 */
size_t iov_pull(struct iov_cursor *c, void *to, size_t len);
size_t iov_push(struct iov_cursor *c, const void *from, size_t len);
/* Writes min(len, left) zero bytes; moves on; returns how many. */
size_t iov_push_zeroes(struct iov_cursor *c, size_t len);
/* Moves on by min(len, left); returns how many. */
size_t iov_skip(struct iov_cursor *c, size_t len);
/*
 * Describes the next bytes, at most len, in at most max iovecs, for preadv() and friends; does
 * not move: iov_skip() by what the call really did. *n receives the iovecs used; returns the
 * bytes described.
 */
size_t iov_peek(
	const struct iov_cursor *c, size_t len, struct iovec *iov, unsigned max, unsigned *n);
/*
 * Cuts the last len bytes off into *tail: what follows data of any length, such as the 8 bytes of
 * a sound device's struct virtio_snd_pcm_status, in whatever descriptors it lies. False, and
 * nothing changed, if fewer are left. iov_split_last() is for a single byte, as of block devices.
 */
bool iov_split_tail(struct iov_cursor *c, size_t len, struct iov_cursor *tail);
/*
 * After iov_split_tail(): counts what went through the tail as done, too, if c is at its end;
 * otherwise the written bytes are no prefix, and the used length stays that of c.
 */
void iov_join_tail(struct iov_cursor *c, const struct iov_cursor *tail);

/*
 * The usual request is few bytes in one piece each: these spare it the loops above.
 */

/* Returns all that is left, if that is in one piece (and not nothing); else NULL. */
static inline void *iov_whole(const struct iov_cursor *c)
{
	const struct iovec *iov = c->iov;
	size_t offset = c->offset;

	if (!c->left)
		return NULL;
	while (offset == iov->iov_len) {
		iov++;
		offset = 0;
	}
	return c->left <= iov->iov_len - offset ? (char *)iov->iov_base + offset : NULL;
}

/* Moves on as iov_skip() of all that is left does. */
static inline void iov_finish(struct iov_cursor *c)
{
	c->done += c->left;
	c->left = 0;
}

/*
 * Splits off one byte as iov_split_tail() does: returns where it is; NULL, and nothing changed,
 * if nothing is left.
 */
static inline uint8_t *iov_split_last(struct iov_cursor *c)
{
	const struct iovec *iov = c->iov;
	size_t at;

	if (!c->left)
		return NULL;
	at = c->offset + --c->left;
	while (at >= iov->iov_len)
		at -= iov++->iov_len;
	return (uint8_t *)iov->iov_base + at;
}

/* Writes the byte that iov_split_last() split off, and counts it as iov_join_tail() does. */
static inline void iov_put_last(struct iov_cursor *c, uint8_t *last, uint8_t value)
{
	__atomic_store_n(last, value, __ATOMIC_RELAXED);
	c->done += !c->left;
}

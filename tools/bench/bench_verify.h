/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data that tells a read whether it is what was written last. Each sector (512 bytes) carries
 * where it belongs, the run of the program and the generation of the block it is of, and a checksum
 * of these; the rest of it is a pattern that follows from them. So data that is damaged, stale, of
 * another place, or of an earlier run is wrong in a byte that can be named.
 *
 * A queue has blocks of its own. Of each it is known which generation was written last, and a block
 * is part of one request at a time: what a read must find is never in doubt.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct bench_verify {
	uint64_t n_blocks;
	uint32_t block_size;
	uint32_t run; /* the same in all of this run, another in the next */
	/* The back-end is only read: what any run has written is right. */
	bool any_run;
	uint32_t *blocks; /* generation, 0: not written yet; and BUSY */
	uint64_t cursor; /* of bench_verify_next() */
};

/* False: no memory. */
bool bench_verify_init(
	struct bench_verify *v, uint64_t n_blocks, uint32_t block_size, uint32_t run, bool any_run);
void bench_verify_clear(struct bench_verify *v);

/* This block or one soon behind it for a request of one's own; false: all those are busy. */
bool bench_verify_take(struct bench_verify *v, uint64_t *block);
/* From the first on, the next block that was written; false: there is none any more. */
bool bench_verify_next(struct bench_verify *v, uint64_t *block);
/* Does one know what a read of this block must find? */
bool bench_verify_is_known(const struct bench_verify *v, uint64_t block);
/* Fills in the next generation. offset: on the device. */
void bench_verify_fill(const struct bench_verify *v, uint64_t block, uint64_t offset, void *data);
/* The write is over; if it failed nothing is known of the block. */
void bench_verify_written(struct bench_verify *v, uint64_t block, bool ok);
/* What is wrong with what was read; NULL: nothing. The caller frees. */
char *bench_verify_check(
	const struct bench_verify *v, uint64_t block, uint64_t offset, const void *data);
/* The read is over. */
void bench_verify_release(struct bench_verify *v, uint64_t block);

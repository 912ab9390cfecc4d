/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounce buffers of a queue: for direct I/O of guest memory that the kernel cannot pin, or whose
 * alignment the disk does not accept.
 */
#pragma once

#include <stdint.h>

/* A request that is longer goes through its buffer in pieces. */
#define BLK_BOUNCE_SIZE (128u << 10)
#define BLK_BOUNCES 32

struct blk_bounce {
	uint8_t *base; /* NULL: never needed yet */
	uint32_t taken; /* bit mask */
};

/* -EAGAIN: all are taken. -ENOMEM: there is no memory for any. */
int blk_bounce_get(struct blk_bounce *b, void **buf);
/* NULL is allowed. */
void blk_bounce_put(struct blk_bounce *b, void *buf);
/* Gives back the memory of the buffers, if none is taken; they stay usable. */
void blk_bounce_trim(struct blk_bounce *b);
void blk_bounce_close(struct blk_bounce *b);

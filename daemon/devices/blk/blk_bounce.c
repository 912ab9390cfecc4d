/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_bounce.h. */
#include "daemon/devices/blk/blk_bounce.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "base/core_dump.h"

_Static_assert(BLK_BOUNCES == 32, "the mask has a bit for each");

#define POOL_SIZE ((size_t)BLK_BOUNCES * BLK_BOUNCE_SIZE)

int blk_bounce_get(struct blk_bounce *b, void **buf)
{
	unsigned i;

	if (!b->base) {
		void *pool = mmap(NULL, POOL_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (pool == MAP_FAILED)
			return -ENOMEM;
		b->base = core_dump_exclude(pool, POOL_SIZE);
	}
	if (b->taken == UINT32_MAX)
		return -EAGAIN;
	/* The lowest free one, so that few are ever touched. */
	i = __builtin_ctz(~b->taken);
	b->taken |= 1u << i;
	*buf = b->base + (size_t)i * BLK_BOUNCE_SIZE;
	return 0;
}

void blk_bounce_put(struct blk_bounce *b, void *buf)
{
	if (buf)
		b->taken &= ~(1u << ((uint8_t *)buf - b->base) / BLK_BOUNCE_SIZE);
}

void blk_bounce_trim(struct blk_bounce *b)
{
	if (b->base && !b->taken)
		madvise(b->base, POOL_SIZE, MADV_DONTNEED);
}

void blk_bounce_close(struct blk_bounce *b)
{
	if (b->base)
		munmap(b->base, POOL_SIZE);
	*b = (struct blk_bounce){ 0 };
}

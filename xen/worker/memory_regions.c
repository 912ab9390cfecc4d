/* SPDX-License-Identifier: Apache-2.0 */
/* Computes regions from RAM banks or from ready queues. */
#include "xen/worker/memory_regions.h"

#include <stdlib.h>

#include "base/xen_abi.h"
#include "memory/types/mem_xen.h"
#include "virtio/ring_layout.h"

#define PAGE ((uint64_t)XEN_PAGE_SIZE)
/* References have 32 bits. */
#define GRANTS_END (XEN_GRANT_BIT + (UINT64_C(1) << 44))

/*
 * The largest part of a ring, which may begin anywhere in a page. The virtiod back-ends treat
 * larger regions as memory that stays granted, and map them: adjacent parts are not merged beyond
 * this size.
 */
#define MERGED_MAX (129 * PAGE)

struct page_span {
	uint64_t start, end;
};

unsigned memory_regions_foreign(unsigned domid, const struct foreign_memory_bank *bank,
	unsigned n_banks, struct mem_region_desc desc[MEMORY_REGIONS_MAX])
{
	for (unsigned i = 0; i < n_banks; i++)
		desc[i] = (struct mem_region_desc){
			.guest_addr = bank[i].addr,
			.size = bank[i].size,
			.user_addr = bank[i].addr,
			.xen_flags = MEM_XEN_FOREIGN,
			.xen_domid = domid,
		};
	return n_banks;
}

/* Sets *s to the pages of [addr, addr + len), len > 0. Returns false if not all can be grants. */
static bool to_span(uint64_t addr, uint64_t len, struct page_span *s)
{
	if (addr < XEN_GRANT_BIT || addr >= GRANTS_END || len > GRANTS_END - addr)
		return false;
	s->start = addr & ~(PAGE - 1);
	s->end = (addr + len + PAGE - 1) & ~(PAGE - 1);
	return true;
}

/* Sets s to the pages of the three areas of a queue (virtio 1.2 §2.7, §2.8). */
static bool queue_spans(const struct virtio_mmio_queue *q, bool packed, struct page_span *s)
{
	struct virtio_ring_bytes bytes = virtio_ring_bytes(q->size, packed, true);

	return q->size && to_span(q->desc, bytes.desc, &s[0]) &&
		to_span(q->driver, bytes.driver, &s[1]) && to_span(q->device, bytes.device, &s[2]);
}

static int compare(const void *a, const void *b)
{
	const struct page_span *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Sorts and merges overlapping spans. Returns how many are left. */
static unsigned merge(struct page_span *s, unsigned n)
{
	unsigned last = 0;

	if (!n)
		return 0;
	qsort(s, n, sizeof(*s), compare);
	for (unsigned i = 1; i < n; i++) {
		if (s[i].start < s[last].end ||
			(s[i].start == s[last].end && s[i].end - s[last].start <= MERGED_MAX))
			s[last].end = MAX(s[last].end, s[i].end);
		else
			s[++last] = s[i];
	}
	return last + 1;
}

static struct mem_region_desc grant_region(unsigned domid, uint64_t start, uint64_t end, bool ring)
{
	return (struct mem_region_desc){
		.guest_addr = start,
		.size = end - start,
		.user_addr = start,
		/* 0x8, as all implementations have it, not the specification's 0x100. */
		.xen_flags = ring ? MEM_XEN_GRANT : MEM_XEN_GRANT | 0x8,
		.xen_domid = domid,
	};
}

unsigned memory_regions_grants(unsigned domid, const struct virtio_mmio_queue *ready,
	unsigned n_ready, bool packed, struct mem_region_desc desc[MEMORY_REGIONS_MAX])
{
	g_autofree struct page_span *span = g_new(struct page_span, 3 * n_ready + 1);
	uint64_t at = XEN_GRANT_BIT;
	unsigned n = 0, n_desc = 0;

	for (unsigned i = 0; i < n_ready; i++)
		if (queue_spans(&ready[i], packed, &span[n]))
			n += 3;
	n = merge(span, n);
	/*
	 * Too scattered for one message: back-ends that map nothing in advance, as virtiod's, find
	 * rings by guest addresses, too.
	 */
	if (2 * n + 1 > MEMORY_REGIONS_MAX)
		n = 0;
	for (unsigned i = 0; i < n; i++) {
		if (at < span[i].start)
			desc[n_desc++] = grant_region(domid, at, span[i].start, false);
		desc[n_desc++] = grant_region(domid, span[i].start, span[i].end, true);
		at = span[i].end;
	}
	if (at < GRANTS_END)
		desc[n_desc++] = grant_region(domid, at, GRANTS_END, false);
	return n_desc;
}

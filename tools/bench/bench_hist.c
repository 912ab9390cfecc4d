/* SPDX-License-Identifier: Apache-2.0 */
/* See bench_hist.h. */
#include "tools/bench/bench_hist.h"

#include <glib.h>
#include <stddef.h>

#define SUB_BUCKETS (UINT64_C(1) << BENCH_HIST_SUB_BITS)

/*
 * Returns the bucket: below SUB_BUCKETS it is one value; above, the leading bits of the value
 * choose it.
 */
static size_t index_of(uint64_t ns)
{
	unsigned shift;

	ns = MIN(ns, (UINT64_C(1) << BENCH_HIST_TOP_BIT) - 1);
	if (ns < SUB_BUCKETS)
		return ns;
	shift = 63 - (unsigned)__builtin_clzll(ns) - BENCH_HIST_SUB_BITS;
	return (size_t)(shift * SUB_BUCKETS + (ns >> shift));
}

/* Returns the middle of a bucket. */
static uint64_t value_of(size_t index)
{
	unsigned shift;

	if (index < SUB_BUCKETS)
		return index;
	shift = (unsigned)(index / SUB_BUCKETS) - 1;
	return ((index % SUB_BUCKETS + SUB_BUCKETS) << shift) + ((UINT64_C(1) << shift) >> 1);
}

void bench_hist_add(struct bench_hist *h, uint64_t ns)
{
	if (h->count == 0 || ns < h->min)
		h->min = ns;
	if (ns > h->max)
		h->max = ns;
	h->count++;
	h->sum += ns;
	h->bucket[index_of(ns)]++;
}

void bench_hist_merge(struct bench_hist *h, const struct bench_hist *from)
{
	if (from->count == 0)
		return;
	h->min = h->count == 0 ? from->min : MIN(h->min, from->min);
	h->max = MAX(h->max, from->max);
	h->count += from->count;
	h->sum += from->sum;
	for (size_t i = 0; i < BENCH_HIST_BUCKETS; i++)
		h->bucket[i] += from->bucket[i];
}

uint64_t bench_hist_percentile(const struct bench_hist *h, double part)
{
	double wanted = part * (double)h->count;
	uint64_t seen = 0;

	for (size_t i = 0; i < BENCH_HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (h->bucket[i] && (double)seen >= wanted)
			return CLAMP(value_of(i), h->min, h->max);
	}
	return h->max;
}

double bench_hist_mean(const struct bench_hist *h)
{
	return h->count ? (double)h->sum / (double)h->count : 0;
}

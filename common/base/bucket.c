/* SPDX-License-Identifier: Apache-2.0 */
/* See bucket.h. */
#include "base/bucket.h"

#include <glib.h>
#include <stdbool.h>

#define NS_PER_S UINT64_C(1000000000)
#define DEFAULT_BURST_NS (NS_PER_S / 10)
/* An empty bucket is given so much time to fill: a timer for many tokens. */
#define PAUSE_NS UINT64_C(5000000)

uint64_t bucket_now(void)
{
	return (uint64_t)g_get_monotonic_time() * 1000;
}

static uint64_t cost_ns(const struct bucket *b, uint64_t tokens)
{
	return (uint64_t)((double)tokens * (double)NS_PER_S / (double)b->rate);
}

void bucket_set(struct bucket *b, uint64_t rate, uint64_t burst)
{
	*b = (struct bucket){ .rate = rate };
	if (rate)
		b->burst_ns = burst ? cost_ns(b, burst) + 1 : MAX(DEFAULT_BURST_NS, cost_ns(b, 1));
}

uint64_t bucket_burst(const struct bucket *b)
{
	return (uint64_t)((double)b->burst_ns * (double)b->rate / (double)NS_PER_S);
}

uint64_t bucket_wait(const struct bucket *b, uint64_t now)
{
	uint64_t full_at;

	if (!b->rate)
		return 0;
	full_at = __atomic_load_n(&b->full_at, __ATOMIC_RELAXED) + cost_ns(b, 1);
	if (full_at <= now + b->burst_ns)
		return 0;
	/* A bucket that is full by then loses what comes meanwhile. */
	return full_at - b->burst_ns + MIN((b->burst_ns - cost_ns(b, 1)) / 2, PAUSE_NS);
}

void bucket_take(struct bucket *b, uint64_t tokens, uint64_t now)
{
	uint64_t old = __atomic_load_n(&b->full_at, __ATOMIC_RELAXED);

	if (!b->rate)
		return;
	while (!__atomic_compare_exchange_n(&b->full_at, &old, MAX(old, now) + cost_ns(b, tokens),
		true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void bucket_give_back(struct bucket *b, uint64_t tokens)
{
	if (b->rate)
		__atomic_fetch_sub(&b->full_at, cost_ns(b, tokens), __ATOMIC_RELAXED);
}

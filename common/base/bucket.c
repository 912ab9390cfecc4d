/* SPDX-License-Identifier: Apache-2.0 */
/* See bucket.h. */
#include "base/bucket.h"

#include <glib.h>
#include <stdbool.h>

#define NS_PER_S UINT64_C(1000000000)
#define DEFAULT_BURST_NS (NS_PER_S / 10)
/* An empty bucket is given so much time to fill: a timer for many tokens. */
#define PAUSE_NS UINT64_C(5000000)
#define MAX_BURST_NS (BUCKET_MAX_BURST_S * NS_PER_S)
/* What one that takes more than there is may put off the others. */
#define MAX_DEBT_NS (3600 * NS_PER_S)

uint64_t bucket_now(void)
{
	return (uint64_t)g_get_monotonic_time() * 1000;
}

static uint64_t load(const uint64_t *word, uint64_t most)
{
	uint64_t value = __atomic_load_n(word, __ATOMIC_RELAXED);

	return MIN(value, most);
}

static uint64_t burst_of(const struct bucket *b)
{
	return load(&b->burst_ns, MAX_BURST_NS);
}

/* Returns when it will be full; 0 for a time of a clock that has begun anew since, or nonsense. */
static uint64_t known_full_at(uint64_t full_at, uint64_t burst_ns, uint64_t now)
{
	return full_at > now + burst_ns + 2 * MAX_DEBT_NS ? 0 : full_at;
}

static uint64_t cost_ns(uint64_t rate, uint64_t tokens)
{
	double ns = (double)tokens * (double)NS_PER_S / (double)rate;

	return (uint64_t)MIN(ns, (double)MAX_DEBT_NS);
}

void bucket_set(struct bucket *b, uint64_t rate, uint64_t burst)
{
	uint64_t burst_ns = 0;

	if (rate)
		burst_ns =
			burst ? cost_ns(rate, burst) + 1 : MAX(DEFAULT_BURST_NS, cost_ns(rate, 1));
	__atomic_store_n(&b->rate, rate, __ATOMIC_RELAXED);
	__atomic_store_n(&b->burst_ns, burst_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&b->full_at, 0, __ATOMIC_RELAXED);
}

uint64_t bucket_rate(const struct bucket *b)
{
	return load(&b->rate, BUCKET_MAX_RATE);
}

uint64_t bucket_burst(const struct bucket *b)
{
	return (uint64_t)((double)burst_of(b) * (double)bucket_rate(b) / (double)NS_PER_S);
}

uint64_t bucket_wait(const struct bucket *b, uint64_t now)
{
	uint64_t rate = bucket_rate(b), burst_ns, token_ns, full_at;

	if (!rate)
		return 0;
	burst_ns = burst_of(b);
	token_ns = cost_ns(rate, 1);
	full_at = known_full_at(load(&b->full_at, UINT64_MAX), burst_ns, now) + token_ns;
	if (full_at <= now + burst_ns)
		return 0;
	/* A bucket that is full by then loses what comes meanwhile. */
	return full_at - burst_ns + MIN((MAX(burst_ns, token_ns) - token_ns) / 2, PAUSE_NS);
}

void bucket_take(struct bucket *b, uint64_t tokens, uint64_t now)
{
	uint64_t rate = bucket_rate(b), burst_ns = burst_of(b), full_at;
	uint64_t old = load(&b->full_at, UINT64_MAX);

	if (!rate)
		return;
	do
		full_at = MAX(known_full_at(old, burst_ns, now), now) + cost_ns(rate, tokens);
	while (!__atomic_compare_exchange_n(
		&b->full_at, &old, full_at, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

void bucket_give_back(struct bucket *b, uint64_t tokens)
{
	uint64_t rate = bucket_rate(b);

	if (rate)
		__atomic_fetch_sub(&b->full_at, cost_ns(rate, tokens), __ATOMIC_RELAXED);
}

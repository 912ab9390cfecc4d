/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits by token buckets, of bytes and of packets. A bucket is described by the time when it will
 * be full: each token that is taken puts that off. A frame passes while there is a token, and may
 * take more than there are, so that any length passes; the next one waits for it.
 */
#include "nic.h"

#include <string.h>

#include "base/number.h"
#include "base/option.h"

#define NS_PER_S UINT64_C(1000000000)
#define DEFAULT_BURST_NS (NS_PER_S / 10)
/* An empty bucket is given so much time to fill, or half of its own: timers are not for frames. */
#define PAUSE_NS UINT64_C(5000000)
#define MAX_RATE (UINT64_C(1) << 50)
#define MAX_BURST_S 3600

static uint64_t now_ns(void)
{
	return (uint64_t)g_get_monotonic_time() * 1000;
}

static uint64_t cost_ns(const struct nic_bucket *b, uint64_t tokens)
{
	return (uint64_t)((double)tokens * (double)NS_PER_S / (double)b->rate);
}

/* Returns 0 if there is a token, or the time when there will be enough. */
static uint64_t wait_until(const struct nic_bucket *b, uint64_t now)
{
	uint64_t full_at;

	if (!b->rate)
		return 0;
	full_at = __atomic_load_n(&b->full_at, __ATOMIC_RELAXED) + cost_ns(b, 1);
	if (full_at <= now + b->burst_ns)
		return 0;
	return full_at - b->burst_ns + MIN(b->burst_ns / 2, PAUSE_NS);
}

static void take(struct nic_bucket *b, uint64_t tokens, uint64_t now)
{
	uint64_t old = __atomic_load_n(&b->full_at, __ATOMIC_RELAXED);

	if (!b->rate)
		return;
	while (!__atomic_compare_exchange_n(&b->full_at, &old, MAX(old, now) + cost_ns(b, tokens),
		true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static void give_back(struct nic_bucket *b, uint64_t tokens)
{
	if (b->rate)
		__atomic_fetch_sub(&b->full_at, cost_ns(b, tokens), __ATOMIC_RELAXED);
}

void nic_rate_count(struct nic_rate *r, size_t len)
{
	uint64_t now = now_ns();

	take(&r->bytes, len, now);
	take(&r->packets, 1, now);
}

void nic_rate_give_back(struct nic_rate *r, size_t len)
{
	give_back(&r->bytes, len);
	give_back(&r->packets, 1);
}

static bool may(struct nic_pair *p, const struct nic_rate *r, struct vq *q, struct virtio_timer *t)
{
	uint64_t now = now_ns(), at = MAX(wait_until(&r->bytes, now), wait_until(&r->packets, now));

	if (!at)
		return true;
	if (!t->core.owner)
		virtio_timer(p->n->d, q, t, (int64_t)(at / 1000) + 1);
	return false;
}

bool nic_rate_ask_receive(struct nic_pair *p)
{
	return may(p, &p->n->rx_rate, nic_rx_queue(p), &p->rx_later);
}

bool nic_rate_ask_send(struct nic_pair *p)
{
	return may(p, &p->n->tx_rate, nic_tx_queue(p), &p->tx_later);
}

static void on_rx_later(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	nic_rx_run(container_of(t, struct nic_pair, rx_later));
}

static void on_tx_later(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	nic_tx_run(container_of(t, struct nic_pair, tx_later));
}

/* Options. */

/* Obeys one "KEY=VALUE": a rate, or the burst of one that is known by now. */
static bool set_one(struct nic *n, const char *text, bool is_burst)
{
	const struct {
		const char *key;
		struct nic_bucket *bucket;
		bool bytes;
	} keys[] = {
		{ "rx=", &n->rx_rate.bytes, true },
		{ "tx=", &n->tx_rate.bytes, true },
		{ "rx-packets=", &n->rx_rate.packets, false },
		{ "tx-packets=", &n->tx_rate.packets, false },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
		struct nic_bucket *b = keys[i].bucket;
		const char *value = text + strlen(keys[i].key);
		uint64_t number;

		if (!g_str_has_prefix(text, keys[i].key))
			continue;
		if (keys[i].bytes ? !number_parse_bytes(value, 0, &number)
				  : !number_parse(value, 1, MAX_RATE, &number))
			return false;
		if (!number || number > MAX_RATE || (is_burst && !b->rate))
			return false;
		if (!is_burst)
			b->rate = number;
		else if (number / b->rate >= MAX_BURST_S)
			return false;
		b->burst_ns =
			is_burst ? cost_ns(b, number) + 1 : MAX(DEFAULT_BURST_NS, cost_ns(b, 1));
		return true;
	}
	return false;
}

static bool set_all(struct nic *n, const char *list, bool is_burst, GError **error)
{
	g_auto(GStrv) items = list ? g_strsplit(list, ",", -1) : NULL;

	for (unsigned i = 0; items && items[i]; i++) {
		if (!set_one(n, items[i], is_burst))
			return option_bad(error,
				"invalid --%s=%s at '%s': rx=BYTES, tx=BYTES, rx-packets=N, "
				"tx-packets=N, any of them%s",
				is_burst ? "burst" : "rate", list, items[i],
				is_burst ? " that has a rate, at most an hour's" : "");
	}
	return true;
}

bool nic_rate_open(struct nic *n, GError **error)
{
	for (unsigned i = 0; i < n->n_pairs; i++) {
		n->pair[i]->rx_later.expired = on_rx_later;
		n->pair[i]->tx_later.expired = on_tx_later;
	}
	return set_all(n, nic_options.rate, false, error) &&
		set_all(n, nic_options.burst, true, error);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of bytes and of packets by token buckets. */
#include "nic.h"

#include <string.h>

#include "base/number.h"
#include "base/option.h"

void nic_rate_count(struct nic_rate *r, size_t len)
{
	uint64_t now = bucket_now();

	bucket_take(&r->bytes, len, now);
	bucket_take(&r->packets, 1, now);
}

void nic_rate_give_back(struct nic_rate *r, size_t len)
{
	bucket_give_back(&r->bytes, len);
	bucket_give_back(&r->packets, 1);
}

static bool may(struct nic_pair *p, const struct nic_rate *r, struct vq *q, struct virtio_timer *t)
{
	uint64_t now = bucket_now();
	uint64_t at = MAX(bucket_wait(&r->bytes, now), bucket_wait(&r->packets, now));

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
		struct bucket *bucket;
		bool bytes;
	} keys[] = {
		{ "rx=", &n->rx_rate.bytes, true },
		{ "tx=", &n->tx_rate.bytes, true },
		{ "rx-packets=", &n->rx_rate.packets, false },
		{ "tx-packets=", &n->tx_rate.packets, false },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
		struct bucket *b = keys[i].bucket;
		const char *value = text + strlen(keys[i].key);
		uint64_t number;

		if (!g_str_has_prefix(text, keys[i].key))
			continue;
		if (keys[i].bytes ? !number_parse_bytes(value, 0, &number)
				  : !number_parse(value, 1, BUCKET_MAX_RATE, &number))
			return false;
		if (!number || number > BUCKET_MAX_RATE || (is_burst && !b->rate))
			return false;
		if (is_burst && number / b->rate >= BUCKET_MAX_BURST_S)
			return false;
		bucket_set(b, is_burst ? b->rate : number, is_burst ? number : 0);
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

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the back-end offers. Nothing is judged here: a reply that is wrong counts as none, and the
 * case about it finds it again.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "tools/check/wire.h"

/* How often the time of a reply is taken: what counts is the median. */
#define TIMES 9

/* Asks as wire_ask() does, but a wrong or missing reply is no failure: *value stays. */
static bool try_ask(struct check *k, uint32_t request, uint64_t *value)
{
	const struct vu_shape *probe = vu_probe_shape(request, 0, 0, 0, false);

	wire_send(k, request, 0, NULL, 0, NULL, 0);
	if (wire_next(k, wire_timeout_us(k)) != WIRE_MESSAGE)
		return false;
	if (!vu_msg_check_reply(&k->msg, request, probe ? probe : vu_shape(request), NULL))
		return false;
	*value = probe ? k->msg.payload.u32 : k->msg.payload.u64;
	return true;
}

static int compare_times(const void *a, const void *b)
{
	return *(const int64_t *)a < *(const int64_t *)b ? -1 : 1;
}

static void take_times(struct check *k)
{
	int64_t times[TIMES];

	for (unsigned i = 0; i < TIMES; i++) {
		int64_t start = g_get_monotonic_time();

		try_ask(k, VU_GET_FEATURES, &k->peer.features);
		times[i] = g_get_monotonic_time() - start;
	}
	qsort(times, TIMES, sizeof(*times), compare_times);
	k->peer.reply_us = (uint64_t)times[TIMES / 2];
}

static void ask_basics(struct check *k)
{
	struct check_peer *p = &k->peer;
	uint64_t queues = 0;

	take_times(k);
	if (!(p->features & VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		return;
	if (!try_ask(k, VU_GET_PROTOCOL_FEATURES, &p->protocol))
		return;
	wire_send(k, VU_SET_PROTOCOL_FEATURES, 0, &p->protocol, sizeof(p->protocol), NULL, 0);
	if (p->protocol & VU_BIT(VU_F_MQ) && try_ask(k, VU_GET_QUEUE_NUM, &queues) && !p->queues)
		p->queues = (unsigned)MIN(queues, 256);
}

/*
 * Asks by PROBE. A back-end that means SHARED_OBJECT by the bit does not offer STATUS
 * (docs/probe.md).
 */
static void ask_probe(struct check *k)
{
	const uint64_t both = VU_BIT(VU_F_PROBE) | VU_BIT(VU_F_STATUS);
	uint64_t id = 0, size = 0;

	if ((k->peer.protocol & both) != both || !try_ask(k, VU_GET_DEVICE_ID, &id))
		return;
	if (!k->peer.device)
		k->peer.device = (uint32_t)id;
	if (k->peer.config_size < 0 && try_ask(k, VU_GET_CONFIG_SIZE, &size))
		k->peer.config_size = (int64_t)size;
}

/* Assumes what neither the back-end nor the user says. */
static void assume(struct check *k)
{
	if (!(k->peer.protocol & VU_BIT(VU_F_CONFIG)) && k->peer.config_size < 0)
		k->peer.config_size = 0;
	/* The virtio 1.0 part, which every back-end for block devices has. */
	if (k->peer.device == VIRTIO_ID_BLOCK && k->peer.config_size < 0)
		k->peer.config_size = offsetof(struct virtio_blk_config, max_discard_sectors);
	k->peer.data = check_device(k->peer.device);
	if (!k->peer.queues)
		k->peer.queues = k->peer.data ? k->peer.data->queues : 1;
	else if (k->peer.data && k->peer.data->queues > k->peer.queues)
		k->peer.data = NULL; /* fewer than its requests need */
}

bool check_survey(struct check *k)
{
	wire_connect(k);
	if (check_over(k))
		return false;
	ask_basics(k);
	ask_probe(k);
	assume(k);
	wire_close(k);
	/* A damaged reply has been seen here, too; the cases come to it. */
	g_clear_pointer(&k->failure, g_free);
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link: up while the host's end can carry frames and the operator has not set it down. And what
 * else the control socket has.
 */
#include "nic.h"

#include "base/choice.h"
#include "base/option.h"

#define STATUS offsetof(struct virtio_net_config, status)

static void set_status(struct nic *n, bool announce)
{
	const uint16_t status = htole16(
		(n->link_up ? VIRTIO_NET_S_LINK_UP : 0) | (announce ? VIRTIO_NET_S_ANNOUNCE : 0));

	if (memcmp(n->d->config + STATUS, &status, sizeof(status)) != 0)
		virtio_config_set(n->d, STATUS, &status, sizeof(status));
}

static void update(struct nic *n)
{
	bool up = n->host_up && n->wanted_up;
	struct json *event;

	if (up == n->link_up || !n->is_open)
		return;
	n->link_up = up;
	/* Who is at the other end now may not know where the guest is. */
	set_status(n, up && nic_has(n, VIRTIO_NET_F_GUEST_ANNOUNCE));
	event = virtio_event_begin(n->d, "link");
	if (!event)
		return;
	json_bool(event, "up", up);
	virtio_event_end(n->d, event);
}

void nic_link_host(struct nic *n, bool up)
{
	n->host_up = up;
	update(n);
}

void nic_link_announced(struct nic *n)
{
	set_status(n, false);
}

void nic_link_reset(struct nic *n)
{
	set_status(n, false);
}

bool nic_announce(struct virtio_device *d, const uint8_t mac[6], GError **error)
{
	uint8_t frame[NET_ANNOUNCEMENT];
	struct iovec iov = { frame, net_announcement(mac, frame) };
	struct nic *n = d->data;
	struct nic_frame f = { .data = { &iov, 1, (uint32_t)iov.iov_len } };

	if (n->link_up)
		n->host->send(n->pair[0], &f, 1);
	return true;
}

static bool call_link(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	static const char *const words[] = { "down", "up", NULL };
	struct nic *n = d->data;
	unsigned up = n->wanted_up;

	if (args[0].given && !choice_parse(args[0].text, words, &up))
		return option_bad(error, "state: '%s' (up or down)", args[0].text);
	n->wanted_up = up;
	update(n);
	json_bool(result, "up", n->link_up);
	json_bool(result, "host", n->host_up);
	json_string(result, "set", words[n->wanted_up]);
	return true;
}

static void add_counters(struct json *to, const struct nic_stats *s)
{
	json_uint(to, "rx_frames", s->rx_frames);
	json_uint(to, "rx_bytes", s->rx_bytes);
	json_uint(to, "rx_dropped", s->rx_dropped);
	json_uint(to, "rx_filtered", s->rx_filtered);
	json_uint(to, "tx_frames", s->tx_frames);
	json_uint(to, "tx_bytes", s->tx_bytes);
	json_uint(to, "tx_dropped", s->tx_dropped);
}

static bool call_counters(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	struct nic *n = d->data;

	json_open_array(result, "pairs");
	for (unsigned i = 0; i < n->n_pairs; i++) {
		json_open_object(result, NULL);
		json_bool(result, "used", n->pair[i]->used);
		add_counters(result, &n->pair[i]->stats);
		json_close_object(result);
	}
	json_close_array(result);
	if (n->pcap)
		json_uint(result, "pcap_dropped", net_pcap_dropped(n->pcap));
	return true;
}

const struct virtio_method nic_methods[] = {
	{ "link", "Show the link, or set it up or down",
		{ { "state", VIRTIO_PARAM_TEXT, .max = 8, .optional = true } }, call_link },
	{ "counters", "Show what each pair of queues has received, sent and dropped", { { NULL } },
		call_counters },
	{ NULL },
};

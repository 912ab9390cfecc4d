/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net: options, queues and their pairs. */
#include "nic.h"

#include <linux/virtio_ids.h>

#include "base/option.h"
#include "base/util.h"
#include "net/tap.h"

#define MIN_MTU 68
#define MAX_MTU 65535

struct nic_options nic_options;

#define BIT(name) (1ull << VIRTIO_NET_F_##name)
/* What takes a header on the host. */
#define OFFLOADS                                                                     \
	(BIT(CSUM) | BIT(GUEST_CSUM) | BIT(CTRL_GUEST_OFFLOADS) | BIT(GUEST_TSO4) |  \
		BIT(GUEST_TSO6) | BIT(GUEST_ECN) | BIT(HOST_TSO4) | BIT(HOST_TSO6) | \
		BIT(HOST_ECN) | BIT(GUEST_USO4) | BIT(GUEST_USO6) | BIT(HOST_USO))
#define OTHERS                                                                              \
	(BIT(MTU) | BIT(MAC) | BIT(MRG_RXBUF) | BIT(STATUS) | BIT(CTRL_VQ) | BIT(CTRL_RX) | \
		BIT(CTRL_VLAN) | BIT(CTRL_RX_EXTRA) | BIT(GUEST_ANNOUNCE) | BIT(MQ) |       \
		BIT(CTRL_MAC_ADDR))

/* Queues. */

unsigned nic_control_queue(const struct nic *n)
{
	return nic_has(n, VIRTIO_NET_F_MQ) ? 2 * n->n_pairs : 2;
}

struct vq *nic_rx_queue(const struct nic_pair *p)
{
	return virtio_device_queue(p->n->d, 2 * p->index);
}

struct vq *nic_tx_queue(const struct nic_pair *p)
{
	return virtio_device_queue(p->n->d, 2 * p->index + 1);
}

/* Returns NULL for the control queue, and for one that the driver should not know. */
static struct nic_pair *pair_of(const struct nic *n, const struct vq *q)
{
	unsigned i = vq_index(q);

	if (i >= 2 * n->n_pairs || (i == nic_control_queue(n) && nic_has(n, VIRTIO_NET_F_CTRL_VQ)))
		return NULL;
	return n->pair[i / 2];
}

/* Learns whether the guest receives in this pair: it has given buffers. */
static void look_for_buffers(struct nic_pair *p, struct vq *q)
{
	struct vq_chain *c = p->ready ? NULL : vq_pop(q);

	if (!c)
		return;
	vq_unpop(c);
	p->ready = true;
	if (p->index)
		virtio_wakeup_signal(&p->n->control);
}

static void nic_kick(struct virtio_device *d, struct vq *q)
{
	struct nic *n = d->data;
	struct nic_pair *p = pair_of(n, q);

	if (!p) {
		virtio_wakeup_signal(&n->control);
	} else if (vq_index(q) % 2) {
		nic_tx_run(p);
	} else {
		look_for_buffers(p, q);
		nic_rx_run(p);
	}
}

static void nic_queue_start(struct virtio_device *d, struct vq *q)
{
	struct nic *n = d->data;
	struct nic_pair *p = pair_of(n, q);

	if (p && n->host->start)
		n->host->start(p, q);
	/* A new driver receives in the first pair until it says so. */
	if (!p && !vq_is_resumed(q))
		n->max_used = 1;
	virtio_wakeup_signal(&n->control);
}

static void use(struct nic_pair *p, bool used)
{
	if (p->used == used)
		return;
	p->used = used;
	if (p->n->host->use)
		p->n->host->use(p, used);
}

static void nic_queue_stop(struct virtio_device *d, struct vq *q)
{
	struct nic_pair *p = pair_of(d->data, q);

	if (!p || vq_index(q) % 2)
		return;
	p->ready = false;
	if (p->index)
		use(p, false);
}

void nic_update(struct nic *n)
{
	if (n->seen_features != n->d->driver_features) {
		n->seen_features = n->offloads = n->d->driver_features;
		if (n->host->set_offloads)
			n->host->set_offloads(n, n->offloads);
		for (unsigned i = 0; i < n->n_pairs; i++)
			nic_rx_run(n->pair[i]);
	}
	for (unsigned i = 1; i < n->n_pairs; i++)
		use(n->pair[i], n->pair[i]->ready && i < n->max_used);
}

static void on_control(struct virtio_device *d, struct vq *q, struct virtio_wakeup *w)
{
	nic_update(d->data);
	nic_control_run(d->data);
}

static void nic_reset(struct virtio_device *d)
{
	struct nic *n = d->data;

	for (unsigned i = 0; i < n->n_pairs; i++)
		n->pair[i]->pending = 0;
	n->seen_features = n->offloads = 0;
	if (n->host->set_offloads)
		n->host->set_offloads(n, 0);
	n->max_used = n->n_pairs;
	nic_filter_reset(n);
	nic_link_reset(n);
	if (memcmp(d->config, n->mac, sizeof(n->mac)) != 0)
		virtio_config_set(d, 0, n->mac, sizeof(n->mac));
}

/* Opening. */

static const struct nic_host *find_host(GError **error)
{
	const struct {
		const struct nic_host *host;
		const void *value;
	} hosts[] = {
		{ &nic_host_tap, nic_options.tap },
		{ &nic_host_tap_fd, nic_options.tap_fds },
		{ &nic_host_stream, nic_options.stream },
		{ &nic_host_switch, nic_options.to_switch },
		{ &nic_host_dgram, nic_options.dgram },
		{ &nic_host_wire, nic_options.vhost_pair },
		{ &nic_host_null, nic_options.backend },
	};
	const struct nic_host *found = NULL;

	for (unsigned i = 0; i < G_N_ELEMENTS(hosts); i++) {
		if (!hosts[i].value)
			continue;
		if (found) {
			option_bad(error, "--%s and --%s: there is one other end", found->option,
				hosts[i].host->option);
			return NULL;
		}
		found = hosts[i].host;
	}
	if (!found)
		option_bad(error,
			"--tap, --tap-fd, --stream, --switch, --dgram, --vhost-pair or --backend "
			"is missing: nothing is at the other end");
	return found;
}

static bool set_pairs(struct nic *n, GError **error)
{
	unsigned files = 0;

	while (nic_options.tap_fds && nic_options.tap_fds[files] >= 0)
		files++;
	n->n_pairs = nic_options.queue_pairs ? nic_options.queue_pairs : MAX(files, 1);
	if (n->n_pairs > 1 && !n->host->multi_queue)
		return option_bad(
			error, "--queue-pairs=%u: --%s has one", n->n_pairs, n->host->option);
	if (files && files != n->n_pairs)
		return option_bad(error, "--tap-fd: %u files for %u pairs of queues (at most %u)",
			files, n->n_pairs, NIC_MAX_PAIRS);
	for (unsigned i = 0; i < n->n_pairs; i++) {
		struct nic_pair *p = n->pair[i] = g_new0(struct nic_pair, 1);

		p->n = n;
		p->index = i;
		p->used = !i;
		p->watch.fd = -1;
		p->linear = g_malloc(NIC_LONGEST);
		p->tx_linear = g_malloc(NET_MAX_FRAME);
	}
	return true;
}

/* Fills in the configuration space, and takes away what cannot be offered. */
static bool describe(struct nic *n, GError **error)
{
	struct virtio_net_config *config = (struct virtio_net_config *)n->d->config;

	if (nic_options.mac &&
		(!net_mac_parse(nic_options.mac, n->mac) || net_mac_is_group(n->mac) ||
			net_mac_is_zero(n->mac)))
		return option_bad(error, "invalid --mac=%s: one interface's, as 52:54:00:12:34:56",
			nic_options.mac);
	if (!n->header)
		n->d->features &= ~OFFLOADS;
	if (!nic_options.mac)
		n->d->features &= ~BIT(MAC);
	if (!nic_options.mtu)
		n->d->features &= ~BIT(MTU);
	if (n->n_pairs == 1)
		n->d->features &= ~BIT(MQ);
	n->d->num_queues = 2 * n->n_pairs + 1;
	memcpy(config->mac, n->mac, sizeof(n->mac));
	config->max_virtqueue_pairs = htole16((uint16_t)n->n_pairs);
	config->mtu = htole16((uint16_t)nic_options.mtu);
	n->link_up = n->host_up;
	config->status = htole16(n->link_up ? VIRTIO_NET_S_LINK_UP : 0);
	nic_filter_reset(n);
	return true;
}

static bool open_host(struct nic *n, GError **error)
{
	n->header = n->host->header;
	if (n->host->open(n, error))
		return true;
	g_prefix_error(error, "--%s: ", n->host->option);
	return false;
}

static bool nic_open(struct virtio_device *d, GError **error)
{
	struct nic *n = d->data = g_new0(struct nic, 1);

	n->d = d;
	n->wanted_up = true;
	n->control.run = on_control;
	virtio_wakeup_init(d, NULL, &n->control);
	n->host = find_host(error);
	if (!n->host || !set_pairs(n, error))
		return false;
	n->max_used = n->n_pairs;
	if (nic_options.pcap) {
		n->pcap = net_pcap_open(nic_options.pcap, error);
		if (!n->pcap)
			return false;
	}
	if (!nic_rate_open(n, error) || !open_host(n, error) || !describe(n, error))
		return false;
	n->is_open = true;
	return true;
}

static void nic_close(struct virtio_device *d)
{
	struct nic *n = g_steal_pointer(&d->data);

	if (n->host && n->n_pairs && n->pair[0])
		n->host->close(n);
	for (unsigned i = 0; i < n->n_pairs && n->pair[i]; i++) {
		g_free(n->pair[i]->linear);
		g_free(n->pair[i]->tx_linear);
		g_free(n->pair[i]);
	}
	net_pcap_free(n->pcap);
	g_free(n);
	option_clear(virtio_device_ops.options);
}

static bool nic_mtu(struct virtio_device *d, unsigned mtu, GError **error)
{
	const uint16_t value = htole16((uint16_t)mtu);

	if (mtu < MIN_MTU || mtu > MAX_MTU)
		return option_bad(error, "MTU %u (%u to %u)", mtu, MIN_MTU, MAX_MTU);
	virtio_config_set(d, offsetof(struct virtio_net_config, mtu), &value, sizeof(value));
	return true;
}

static const struct option_entry nic_option_table[] = {
	{ "tap", "NAME", .string = &nic_options.tap,
		.help = "A tap interface, which is made if there is none of this name" },
	{ "tap-fd", .fds = &nic_options.tap_fds,
		.help = "A tap as inherited files, one for each pair of queues" },
	{ "stream", "unix:PATH", .string = &nic_options.stream,
		.help = "Connect to passt or QEMU at this socket" },
	{ "switch", "unix:PATH", .string = &nic_options.to_switch,
		.help = "Connect to virtiod-switch at this socket" },
	{ "dgram", "unix:LOCAL,unix:REMOTE", .string = &nic_options.dgram,
		.help = "Receive datagrams at one socket, and send them to another" },
	{ "vhost-pair", "unix:PATH", .string = &nic_options.vhost_pair,
		.help = "A wire to the guest of another virtiod-net with the same path" },
	{ "backend", "null", .string = &nic_options.backend,
		.help = "Drop what the guest sends, to measure that" },
	{ "generate", "BYTES", .number = &nic_options.generate, .min = NET_MIN_FRAME,
		.max = MAX_MTU,
		.help = "With --backend=null: send the guest frames of this size, all it takes" },
	{ "queue-pairs", .number = &nic_options.queue_pairs, .min = 1, .max = NIC_MAX_PAIRS,
		.help = "Pairs of queues, of a tap or null (default: 1)" },
	{ "mac", "ADDRESS", .string = &nic_options.mac,
		.help = "The guest's address (default: the guest chooses)" },
	{ "mtu", .number = &nic_options.mtu, .min = MIN_MTU, .max = MAX_MTU,
		.help = "The largest packet that the guest is to send (default: not told)" },
	{ "rate", "rx=BYTES,tx=BYTES,rx-packets=N,tx-packets=N", .string = &nic_options.rate,
		.help = "What may pass in a second, any of these (default: all)" },
	{ "burst", "rx=BYTES,...", .string = &nic_options.burst,
		.help = "What may pass at once after a pause (default: a tenth of the rate)" },
	{ "pcap", .path = &nic_options.pcap, .help = "Write all frames to this capture file" },
	{ NULL },
};

static const struct syscall_rule nic_calls[] = { NET_TAP_SYSCALLS, SYSCALL(recvmmsg),
	SYSCALL(sendmmsg), SYSCALL_END };
static const struct virtio_device_needs nic_needs = {
	.calls = nic_calls,
	.files = 2,
	.sockets = nic_sockets,
};
static const struct virtio_device_wire nic_wire = { .announce = nic_announce, .mtu = nic_mtu };

const struct virtio_device_ops virtio_device_ops = {
	.name = "net",
	.type = "net",
	.summary = "virtio network interface at a tap, passt, a switch or another guest",
	.probe = {
		.device_id = VIRTIO_ID_NET,
		.features = OFFLOADS | OTHERS,
		.config_size = offsetof(struct virtio_net_config, speed),
		.min_queues = 2,
		.max_queues = 2 * NIC_MAX_PAIRS + 1,
	},
	.threads = VIRTIO_DEVICE_PER_PAIR,
	.batch = 32,
	.wire = &nic_wire,
	.options = nic_option_table,
	.methods = nic_methods,
	.needs = &nic_needs,
	.open = nic_open,
	.close = nic_close,
	.reset = nic_reset,
	.queue_start = nic_queue_start,
	.queue_stop = nic_queue_stop,
	.kick = nic_kick,
};

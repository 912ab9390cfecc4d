/* SPDX-License-Identifier: Apache-2.0 */
/* The control queue (virtio 1.3 §5.1.6.5): each command by its class, with what was negotiated. */
#include "nic.h"

#ifndef VIRTIO_NET_CTRL_GUEST_OFFLOADS
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS 5
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET 0
#endif

/* Feature bits that the driver can change while the device runs. */
#define OFFLOADS                                                                   \
	(1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 |       \
		1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN | \
		1ull << VIRTIO_NET_F_GUEST_USO4 | 1ull << VIRTIO_NET_F_GUEST_USO6)

static uint8_t queues_command(struct nic *n, uint8_t command, struct iov_cursor *out)
{
	uint16_t pairs;

	if (command != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ||
		iov_pull(out, &pairs, sizeof(pairs)) != sizeof(pairs))
		return VIRTIO_NET_ERR;
	pairs = le16toh(pairs);
	if (!pairs || pairs > n->n_pairs)
		return VIRTIO_NET_ERR;
	n->max_used = pairs;
	nic_update(n);
	return VIRTIO_NET_OK;
}

static uint8_t announce_command(struct nic *n, uint8_t command, struct iov_cursor *out)
{
	if (command != VIRTIO_NET_CTRL_ANNOUNCE_ACK)
		return VIRTIO_NET_ERR;
	nic_link_announced(n);
	return VIRTIO_NET_OK;
}

static uint8_t offloads_command(struct nic *n, uint8_t command, struct iov_cursor *out)
{
	uint64_t offloads;

	if (command != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
		iov_pull(out, &offloads, sizeof(offloads)) != sizeof(offloads))
		return VIRTIO_NET_ERR;
	offloads = le64toh(offloads);
	if (offloads & ~(n->d->driver_features & OFFLOADS))
		return VIRTIO_NET_ERR;
	n->offloads = offloads;
	if (n->host->set_offloads)
		n->host->set_offloads(n, offloads);
	return VIRTIO_NET_OK;
}

/* Returns whether the features for this command were negotiated. */
static bool may(const struct nic *n, uint8_t class, uint8_t command)
{
	switch (class) {
	case VIRTIO_NET_CTRL_RX:
		return nic_has(n,
			command < VIRTIO_NET_CTRL_RX_ALLUNI ? VIRTIO_NET_F_CTRL_RX
							    : VIRTIO_NET_F_CTRL_RX_EXTRA);
	case VIRTIO_NET_CTRL_MAC:
		return nic_has(n,
			command == VIRTIO_NET_CTRL_MAC_ADDR_SET ? VIRTIO_NET_F_CTRL_MAC_ADDR
								: VIRTIO_NET_F_CTRL_RX);
	case VIRTIO_NET_CTRL_VLAN:
		return nic_has(n, VIRTIO_NET_F_CTRL_VLAN);
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return nic_has(n, VIRTIO_NET_F_GUEST_ANNOUNCE);
	case VIRTIO_NET_CTRL_MQ:
		return nic_has(n, VIRTIO_NET_F_MQ);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return nic_has(n, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	default:
		return false;
	}
}

static uint8_t obey(struct nic *n, const struct virtio_net_ctrl_hdr *h, struct iov_cursor *out)
{
	if (!may(n, h->class, h->cmd))
		return VIRTIO_NET_ERR;
	switch (h->class) {
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return announce_command(n, h->cmd, out);
	case VIRTIO_NET_CTRL_MQ:
		return queues_command(n, h->cmd, out);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return offloads_command(n, h->cmd, out);
	default:
		return nic_filter_command(n, h->class, h->cmd, out);
	}
}

static bool serve(struct nic *n, struct vq *q)
{
	g_autoptr(vq_chain) c = vq_pop(q);
	struct virtio_net_ctrl_hdr h;
	uint8_t ack = VIRTIO_NET_ERR;

	if (!c)
		return false;
	if (iov_pull(&c->out, &h, sizeof(h)) != sizeof(h) || !iov_left(&c->in)) {
		vq_break(q, "a command is shorter than %zu bytes, or has no room for its result",
			sizeof(h));
		return false;
	}
	ack = obey(n, &h, &c->out);
	iov_push(&c->in, &ack, sizeof(ack));
	return true;
}

void nic_control_run(struct nic *n)
{
	struct vq *q = virtio_device_queue(n->d, nic_control_queue(n));

	while (q && serve(n, q))
		;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver wants to receive. Frames pass until it says something about it: a driver whose
 * back-end was started again says nothing any more.
 */
#include "nic.h"

#define VLAN_BIT(vlan) (uint8_t)(1u << ((vlan) % 8))

void nic_filter_reset(struct nic *n)
{
	n->filter = (struct nic_filter){ .active = false };
	memcpy(n->filter.mac, n->mac, sizeof(n->mac));
}

static bool is_listed(
	const uint8_t mac[NET_MAC_SIZE], const uint8_t (*list)[NET_MAC_SIZE], unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (memcmp(list[i], mac, NET_MAC_SIZE) == 0)
			return true;
	}
	return n > NIC_MAC_TABLE;
}

/* Returns whether it is addressed to the guest. */
static bool has_address(const struct nic_filter *f, const uint8_t *mac)
{
	if (net_mac_is_broadcast(mac))
		return !f->no_broadcast;
	if (net_mac_is_group(mac))
		return !f->no_multicast &&
			(f->all_multicast || f->n_multicast > NIC_MAC_TABLE ||
				is_listed(mac, f->multicast, f->n_multicast));
	return !f->no_unicast &&
		(f->all_unicast || memcmp(mac, f->mac, NET_MAC_SIZE) == 0 ||
			net_mac_is_zero(f->mac) || f->n_unicast > NIC_MAC_TABLE ||
			is_listed(mac, f->unicast, f->n_unicast));
}

bool nic_filter_pass(const struct nic_filter *f, const uint8_t *head, size_t len)
{
	int vlan;

	if (!f->active || f->promiscuous)
		return true;
	vlan = f->filters_vlans ? net_frame_vlan(head, len) : -1;
	return (vlan < 0 || f->vlans[vlan / 8] & VLAN_BIT(vlan)) && has_address(f, head);
}

static uint8_t rx_command(struct nic_filter *f, uint8_t command, struct iov_cursor *out)
{
	bool *const modes[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &f->promiscuous,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &f->all_multicast,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &f->all_unicast,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &f->no_multicast,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &f->no_unicast,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &f->no_broadcast,
	};
	uint8_t on;

	if (command >= G_N_ELEMENTS(modes) || iov_pull(out, &on, 1) != 1 || on > 1)
		return VIRTIO_NET_ERR;
	f->active = true;
	*modes[command] = on;
	return VIRTIO_NET_OK;
}

/* Reads one of the two tables; those beyond its size are read and let all pass. */
static bool pull_table(struct iov_cursor *out, uint8_t (*list)[NET_MAC_SIZE], unsigned *n)
{
	uint32_t entries;

	if (iov_pull(out, &entries, sizeof(entries)) != sizeof(entries))
		return false;
	entries = le32toh(entries);
	if (entries > iov_left(out) / NET_MAC_SIZE)
		return false;
	*n = MIN(entries, NIC_MAC_TABLE + 1);
	iov_pull(out, list, MIN(entries, NIC_MAC_TABLE) * (size_t)NET_MAC_SIZE);
	if (entries > NIC_MAC_TABLE)
		iov_skip(out, (entries - NIC_MAC_TABLE) * (size_t)NET_MAC_SIZE);
	return true;
}

static uint8_t mac_command(struct nic *n, uint8_t command, struct iov_cursor *out)
{
	struct nic_filter f = n->filter;

	if (command == VIRTIO_NET_CTRL_MAC_ADDR_SET) {
		if (iov_pull(out, f.mac, sizeof(f.mac)) != sizeof(f.mac))
			return VIRTIO_NET_ERR;
		n->filter = f;
		virtio_config_set(
			n->d, offsetof(struct virtio_net_config, mac), f.mac, sizeof(f.mac));
		return VIRTIO_NET_OK;
	}
	if (command != VIRTIO_NET_CTRL_MAC_TABLE_SET || !pull_table(out, f.unicast, &f.n_unicast) ||
		!pull_table(out, f.multicast, &f.n_multicast))
		return VIRTIO_NET_ERR;
	f.active = true;
	n->filter = f;
	return VIRTIO_NET_OK;
}

static uint8_t vlan_command(struct nic_filter *f, uint8_t command, struct iov_cursor *out)
{
	uint16_t vlan;

	if (command > VIRTIO_NET_CTRL_VLAN_DEL ||
		iov_pull(out, &vlan, sizeof(vlan)) != sizeof(vlan) || le16toh(vlan) >= NET_VLANS)
		return VIRTIO_NET_ERR;
	vlan = le16toh(vlan);
	f->active = true;
	if (command == VIRTIO_NET_CTRL_VLAN_ADD)
		f->vlans[vlan / 8] |= VLAN_BIT(vlan);
	else
		f->vlans[vlan / 8] &= (uint8_t)~VLAN_BIT(vlan);
	return VIRTIO_NET_OK;
}

uint8_t nic_filter_command(struct nic *n, uint8_t class, uint8_t command, struct iov_cursor *out)
{
	n->filter.filters_vlans = nic_has(n, VIRTIO_NET_F_CTRL_VLAN);
	switch (class) {
	case VIRTIO_NET_CTRL_RX:
		return rx_command(&n->filter, command, out);
	case VIRTIO_NET_CTRL_MAC:
		return mac_command(n, command, out);
	default:
		return vlan_command(&n->filter, command, out);
	}
}

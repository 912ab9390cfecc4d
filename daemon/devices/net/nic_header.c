/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of frames: which there can be, by what was negotiated. */
#include "nic.h"

/* The features that a kind of large frame takes, from the guest and to it. */
static const struct {
	uint8_t type, host, guest[2];
} kinds[] = {
	{ VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_F_HOST_TSO4,
		{ VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO4 } },
	{ VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_F_HOST_TSO6,
		{ VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_TSO6 } },
	{ VIRTIO_NET_HDR_GSO_UDP_L4, VIRTIO_NET_F_HOST_USO,
		{ VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6 } },
};

static bool has(uint64_t features, unsigned bit)
{
	return features >> bit & 1;
}

/* Checks the kind of a large frame against features: those of the guest's, or of the host's. */
static bool is_kind(const struct virtio_net_hdr_v1 *h, uint64_t features, bool from_guest)
{
	uint8_t type = h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
	unsigned ecn = from_guest ? VIRTIO_NET_F_HOST_ECN : VIRTIO_NET_F_GUEST_ECN;

	if (h->gso_type & VIRTIO_NET_HDR_GSO_ECN && !has(features, ecn))
		return false;
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		if (type != kinds[i].type)
			continue;
		if (from_guest)
			return has(features, kinds[i].host);
		return has(features, kinds[i].guest[0]) && has(features, kinds[i].guest[1]);
	}
	return false;
}

/* Returns whether the checksum that is to be made has its place in the frame. */
static bool is_inside(const struct virtio_net_hdr_v1 *h, size_t len)
{
	return (size_t)le16toh(h->csum_start) + le16toh(h->csum_offset) + 2 <= len;
}

bool nic_header_check(const struct nic *n, struct virtio_net_hdr_v1 *h, size_t len)
{
	uint64_t features = n->d->driver_features;

	/* A driver may leave in it what it likes unless it has negotiated its use. */
	h->flags &= has(features, VIRTIO_NET_F_CSUM) ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0;
	h->num_buffers = 0;
	if (h->flags && !is_inside(h, len))
		return false;
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	/* The host cuts it by its header, and makes checksums of the pieces. */
	return h->flags && h->gso_size && is_kind(h, features, true);
}

bool nic_header_accept(const struct nic *n, struct virtio_net_hdr_v1 *h, size_t len)
{
	bool checks = has(n->offloads, VIRTIO_NET_F_GUEST_CSUM);

	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && (!checks || !is_inside(h, len)))
		return false;
	h->flags &= checks ? VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID : 0;
	return h->gso_type == VIRTIO_NET_HDR_GSO_NONE || is_kind(h, n->offloads, false);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-net from the inside (virtio 1.3 §5.1). Queues 2i and 2i + 1 are a pair (rx, tx), which
 * one thread serves; the control queue follows the last pair that the driver knows. What concerns
 * all pairs (the control queue's commands, the link, connections) is done in device verbs, while no
 * pair is served, so that pairs take no locks.
 */
#pragma once

#include "daemon/device.h"

#include <linux/virtio_net.h>

#include "base/bucket.h"
#include "net/ethernet.h"
#include "net/pcap.h"
#include "net/stream.h"

#define NIC_MAX_PAIRS 16
#define NIC_MAC_TABLE 64 /* addresses of each kind; more: all pass */
#define NIC_BATCH NET_STREAM_BATCH
#define NIC_PIECES 960 /* of the frames of a batch; less than IOV_MAX */
#define NIC_CHAINS 192 /* the most buffers for one frame: fewer than a burst has */
#define NIC_HEADER sizeof(struct virtio_net_hdr_v1)
/* The longest that is received at a time: header and frame. */
#define NIC_LONGEST (NIC_HEADER + NET_MAX_FRAME)

#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO 56
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

struct nic;
struct nic_pair;

/* A frame of the guest's, on its way to the host. */
struct nic_frame {
	struct vq_chain *c;
	struct virtio_net_hdr_v1 header; /* a checked copy */
	struct net_frame data;
	bool dropped; /* the host cannot take it, now or ever */
};

/*
 * The other end of the frames, on the host. Data verbs run on a pair's thread, the others are
 * device verbs.
 */
struct nic_host {
	const char *option; /* that names it */
	bool header; /* frames have one: offloads are possible; open() may find otherwise */
	bool multi_queue;
	/* What nic_rx_put() is given stays until receive() returns, or nic_rx_flush(). */
	bool stable;
	bool (*open)(struct nic *n, GError **error);
	void (*close)(struct nic *n);
	/* One of the pair's queues runs, and may be served. NULL: nothing to do. */
	void (*start)(struct nic_pair *p, struct vq *q);

	/*
	 * Takes frames: returns how many of the n it has sent, or dropped, which it notes in them.
	 * Fewer: there is no room; it has set `full`, and calls nic_tx_run() when there is.
	 */
	unsigned (*send)(struct nic_pair *p, struct nic_frame *f, unsigned n);
	/*
	 * Gives the guest what is there, by nic_rx_put() and its relatives, until nothing is or the
	 * guest's buffers are used up; then nic_rx_run() is called when there are more.
	 */
	void (*receive)(struct nic_pair *p, struct vq *q);
	/* Uses the pair, or not, for what comes: also a data verb. NULL: nothing to do. */
	void (*use)(struct nic_pair *p, bool used);
	/* Agrees on what the guest takes: feature bits. NULL: there are no offloads. */
	void (*set_offloads)(struct nic *n, uint64_t features);
};

#define NIC_PLAIN 32
/* Frames from the host in one callback. */
#define NIC_TURN 256

/* A frame that goes into a buffer of the guest as it is. */
struct nic_plain {
	struct vq_chain *c;
	uint8_t *to; /* the buffer */
	const uint8_t *frame;
	size_t len;
};

/* One pair's counters; each is written by the pair's thread alone. */
struct nic_stats {
	uint64_t rx_frames, rx_bytes, rx_dropped, rx_filtered;
	uint64_t tx_frames, tx_bytes, tx_dropped;
};

/* What may pass, per second, in one direction of the interface; all pairs share it (nic_rate.c). */
struct nic_rate {
	struct bucket bytes, packets;
};

struct nic_pair {
	struct nic *n;
	unsigned index;
	struct virtio_watch watch; /* of the host's fd, edge-triggered */
	bool readable; /* there may be frames for the guest */
	bool full; /* the host has no room for frames of the guest */
	bool ready; /* the guest has given buffers: it receives here */
	bool used; /* the host may put frames here */
	struct virtio_timer rx_later, tx_later; /* more may pass */
	unsigned turn; /* frames from the host that are looked at before other work has its turn */
	struct nic_stats stats;
	size_t window; /* room to offer for the next frame, by the sizes of recent ones */

	struct nic_frame tx[NIC_BATCH];
	struct iovec iov[NIC_PIECES];
	struct vq_chain *rx[NIC_CHAINS];
	struct nic_plain plain[NIC_PLAIN];
	unsigned n_plain;
	uint8_t *tx_linear; /* a frame of the guest's that is in too many pieces */
	uint8_t *
		linear; /* NIC_LONGEST bytes, for what is received beyond the guest's buffers ... */
	size_t pending; /* ... or, if not 0, a frame of so many bytes that waits for buffers */
};

/* What the driver wants to receive (nic_filter.c). */
struct nic_filter {
	bool active; /* the driver has said so: before, everything passes */
	bool promiscuous, all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast;
	uint8_t mac[NET_MAC_SIZE];
	uint8_t unicast[NIC_MAC_TABLE][NET_MAC_SIZE], multicast[NIC_MAC_TABLE][NET_MAC_SIZE];
	unsigned n_unicast, n_multicast; /* above NIC_MAC_TABLE: all pass */
	uint8_t vlans[NET_VLANS / 8];
	bool filters_vlans; /* the feature was negotiated */
};

struct nic {
	struct virtio_device *d;
	const struct nic_host *host;
	void *host_data;
	bool is_open;
	bool header; /* frames on the host have a header */
	unsigned n_pairs;
	struct nic_pair *pair[NIC_MAX_PAIRS];

	unsigned max_used; /* pairs that the driver wants frames in */
	uint64_t seen_features; /* that were negotiated when this was last looked at */
	uint64_t offloads; /* feature bits of what the guest takes now */
	struct nic_filter filter;
	struct nic_rate rx_rate, tx_rate;
	uint8_t mac[NET_MAC_SIZE]; /* of the option; zero: none */

	bool host_up, wanted_up; /* the link is up if both are */
	bool link_up;
	struct virtio_wakeup control; /* there are commands, or pairs to use */
	struct net_pcap *pcap;
	struct log_limit limit;
};

static inline bool nic_has(const struct nic *n, unsigned feature)
{
	return n->d->driver_features >> feature & 1;
}

/* nic.c: returns the number of the control queue. */
unsigned nic_control_queue(const struct nic *n);
struct vq *nic_rx_queue(const struct nic_pair *p);
struct vq *nic_tx_queue(const struct nic_pair *p);
/* Sets which pairs frames may come in, and agrees on offloads: a device verb. */
void nic_update(struct nic *n);

/* nic_tx.c: serves a transmission queue as far as the host has room. */
void nic_tx_run(struct nic_pair *p);
/* Notes that n frames are dropped; returns n. */
unsigned nic_tx_drop(struct nic_frame *f, unsigned n);

/* nic_rx.c: gives the guest what the host has. */
void nic_rx_run(struct nic_pair *p);
/*
 * Gives the guest a frame, of len bytes after its header; NULL: it has none. Returns false if the
 * guest has no buffers for it now. One that cannot be for the guest is dropped.
 */
bool nic_rx_put(struct nic_pair *p, struct vq *q, const struct virtio_net_hdr_v1 *h,
	const uint8_t *frame, size_t len);
/* Completes the frames that nic_rx_put() was given. */
void nic_rx_flush(struct nic_pair *p);
/*
 * Has a frame, with its header, read right into the guest's buffers: read(p, iov, n) returns its
 * bytes. Returns false if there was none, or no buffers.
 */
bool nic_rx_read(struct nic_pair *p, struct vq *q,
	ssize_t (*read)(struct nic_pair *p, const struct iovec *iov, unsigned n));

/*
 * nic_rate.c: limits. Reads the options; a pair may take a frame from the guest, or give it one, or
 * is served again when it may; counts it, or does not after all.
 */
bool nic_rate_open(struct nic *n, GError **error);
bool nic_rate_ask_receive(struct nic_pair *p);
bool nic_rate_ask_send(struct nic_pair *p);
void nic_rate_count(struct nic_rate *r, size_t len);
void nic_rate_give_back(struct nic_rate *r, size_t len);

static inline bool nic_is_limited(const struct nic_rate *r)
{
	return r->bytes.rate || r->packets.rate;
}

static inline bool nic_rate_may_receive(struct nic_pair *p)
{
	return !nic_is_limited(&p->n->rx_rate) || nic_rate_ask_receive(p);
}

static inline bool nic_rate_may_send(struct nic_pair *p)
{
	return !nic_is_limited(&p->n->tx_rate) || nic_rate_ask_send(p);
}

static inline void nic_rate_take(struct nic_rate *r, size_t len)
{
	if (nic_is_limited(r))
		nic_rate_count(r, len);
}

/* nic_header.c: checks a header of the guest's; false: no frame can have it. */
bool nic_header_check(const struct nic *n, struct virtio_net_hdr_v1 *h, size_t len);
/* Checks a header of the host's: false, the guest has not agreed to such frames. */
bool nic_header_accept(const struct nic *n, struct virtio_net_hdr_v1 *h, size_t len);

/* nic_filter.c */
void nic_filter_reset(struct nic *n);
/* Returns whether the guest wants the frame that begins with these bytes. */
bool nic_filter_pass(const struct nic_filter *f, const uint8_t *head, size_t len);
/* Obeys commands of the classes RX, MAC and VLAN; returns VIRTIO_NET_OK or VIRTIO_NET_ERR. */
uint8_t nic_filter_command(struct nic *n, uint8_t class, uint8_t command, struct iov_cursor *out);

/* nic_control.c: obeys all commands that are there; a device verb. */
void nic_control_run(struct nic *n);

/* nic_link.c: the host's end can carry frames (again), or cannot. Device verbs. */
void nic_link_host(struct nic *n, bool up);
/* The driver has seen the request to announce itself. */
void nic_link_announced(struct nic *n);
void nic_link_reset(struct nic *n);
extern const struct virtio_method nic_methods[];
/* wire.announce */
bool nic_announce(struct virtio_device *d, const uint8_t mac[6], GError **error);

/* As users write them. */
struct nic_options {
	char *tap, *stream, *to_switch, *dgram, *vhost_pair, *backend; /* one, or tap_fds */
	int *tap_fds;
	char *mac, *pcap, *rate, *burst;
	unsigned queue_pairs, mtu; /* 0: not given */
	unsigned generate;
};
extern struct nic_options nic_options;
extern const struct nic_host nic_host_dgram, nic_host_null, nic_host_stream, nic_host_switch,
	nic_host_tap, nic_host_tap_fd, nic_host_wire;
/* Unix sockets that are connected to later; NULL-ended. */
extern const char *nic_sockets[2];

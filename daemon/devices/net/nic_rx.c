/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames for the guest: one may take several of its buffers (MRG_RXBUF), which it sees all at once.
 * The header is written last, as it has their number.
 */
#include "nic.h"

/* The least room to offer: an ordinary frame. */
#define MIN_WINDOW (NIC_HEADER + 1514)
/* What the filter looks at: addresses and VLAN. */
#define LOOK (NET_MIN_FRAME + NET_VLAN_TAG)

/* Buffers that were taken, p->rx[0] to [n - 1], and the room in them. */
struct nic_room {
	unsigned n, n_pieces;
	size_t bytes;
};

static void give_back(struct nic_pair *p, struct nic_room *r)
{
	while (r->n)
		vq_unpop(p->rx[--r->n]);
}

/* Takes buffers until there is this much room. False: there are no more, or there may be none. */
static bool take(struct nic_pair *p, struct vq *q, struct nic_room *r, size_t bytes)
{
	unsigned max = nic_has(p->n, VIRTIO_NET_F_MRG_RXBUF) ? NIC_CHAINS : 1;

	while (r->bytes < bytes && r->n < max) {
		struct vq_chain *c = vq_pop(q);

		if (!c)
			return false;
		if (iov_left(&c->in) < NIC_HEADER) {
			vq_break(q, "a receive buffer of %zu bytes has no room for a header",
				iov_left(&c->in));
			vq_unpop(c);
			return false;
		}
		p->rx[r->n++] = c;
		r->bytes += iov_left(&c->in);
	}
	return r->bytes >= bytes;
}

/* Tells why take() has found too little: false, the guest may give more buffers. */
static bool is_hopeless(const struct nic_pair *p, const struct nic_room *r)
{
	return r->n == (nic_has(p->n, VIRTIO_NET_F_MRG_RXBUF) ? NIC_CHAINS : 1u);
}

/* Writes the header, and completes the buffers. */
static void finish(struct nic_pair *p, struct nic_room *r, struct iov_cursor *head,
	struct virtio_net_hdr_v1 h, size_t len)
{
	h.num_buffers = htole16((uint16_t)r->n);
	iov_push(head, &h, sizeof(h));
	p->stats.rx_frames++;
	p->stats.rx_bytes += len;
	nic_rate_take(&p->n->rx_rate, len);
	vq_push_all(p->rx, r->n);
}

/* Writes bytes into the buffers from number *i on. */
static void fill(struct nic_pair *p, unsigned *i, const uint8_t *from, size_t len)
{
	for (;; ++*i) {
		size_t n = iov_push(&p->rx[*i]->in, from, len);

		from += n;
		len -= n;
		if (!len)
			return;
	}
}

static void capture(struct nic_pair *p, const uint8_t *frame, size_t len)
{
	const struct iovec iov = { (void *)frame, len };

	if (p->n->pcap)
		net_pcap_put(p->n->pcap, &iov, 1, (uint32_t)len);
}

/*
 * Completes the plain frames: without offloads, and in a buffer of one piece each. All are written
 * in a row, as each waits for memory that the guest's CPU has: other work in between would fill the
 * CPU's store buffer, and it waited for one after the other.
 */
void nic_rx_flush(struct nic_pair *p)
{
	/* Nobody has just written it piece by piece, which a load of all of it would wait for. */
	static const struct virtio_net_hdr_v1 header = {
		.gso_type = VIRTIO_NET_HDR_GSO_NONE,
		.num_buffers = GUINT16_TO_LE(1),
	};

	for (unsigned i = 0; i < p->n_plain; i++) {
		const struct nic_plain *f = &p->plain[i];

		if (memcmp(f->to, &header, sizeof(header)) != 0)
			memcpy(f->to, &header, sizeof(header));
		memcpy(f->to + NIC_HEADER, f->frame, f->len);
	}
	for (unsigned i = 0; i < p->n_plain; i++) {
		struct nic_plain *f = &p->plain[i];

		iov_skip(&f->c->in, NIC_HEADER + f->len);
		p->stats.rx_frames++;
		p->stats.rx_bytes += f->len;
		vq_push(f->c);
	}
	p->n_plain = 0;
}

/* Notes one for nic_rx_flush(); false: the buffer is in pieces, or the frame may go away. */
static bool add_plain(struct nic_pair *p, const uint8_t *frame, size_t len)
{
	uint8_t *to = p->n->host->stable ? iov_whole(&p->rx[0]->in) : NULL;

	if (!to)
		return false;
	if (p->n_plain == NIC_PLAIN)
		nic_rx_flush(p);
	nic_rate_take(&p->n->rx_rate, len);
	p->plain[p->n_plain++] =
		(struct nic_plain){ .c = p->rx[0], .to = to, .frame = frame, .len = len };
	return true;
}

/* Writes a frame and its header into the buffers that were taken. */
static void put(struct nic_pair *p, struct nic_room *room, const struct virtio_net_hdr_v1 *h,
	const uint8_t *frame, size_t len)
{
	struct iov_cursor head = p->rx[0]->in;
	unsigned i = 0;

	iov_skip(&p->rx[0]->in, NIC_HEADER);
	fill(p, &i, frame, len);
	finish(p, room, &head, *h, len);
}

/*
 * Returns whether one more frame may be looked at in this callback; if not, the next one comes
 * soon. Frames that are discarded take no buffers of the guest, which bound all others.
 */
static bool has_turn(struct nic_pair *p)
{
	if (p->turn) {
		p->turn--;
		return true;
	}
	if (!p->rx_later.core.owner)
		virtio_timer(p->n->d, nic_rx_queue(p), &p->rx_later, g_get_monotonic_time());
	return false;
}

bool nic_rx_put(struct nic_pair *p, struct vq *q, const struct virtio_net_hdr_v1 *header,
	const uint8_t *frame, size_t len)
{
	struct virtio_net_hdr_v1 h = { .gso_type = VIRTIO_NET_HDR_GSO_NONE };
	struct nic_room room = { 0 };

	if (!has_turn(p))
		return false;
	if (header)
		h = *header;
	if (len < NET_MIN_FRAME || !p->n->link_up ||
		(header && !nic_header_accept(p->n, &h, len))) {
		p->stats.rx_dropped++;
		return true;
	}
	if (!nic_filter_pass(&p->n->filter, frame, len)) {
		p->stats.rx_filtered++;
		return true;
	}
	if (!nic_rate_may_receive(p))
		return false;
	if (!take(p, q, &room, NIC_HEADER + len)) {
		bool hopeless = is_hopeless(p, &room);

		p->stats.rx_dropped += hopeless;
		give_back(p, &room);
		return hopeless;
	}
	capture(p, frame, len);
	if (!header && room.n == 1 && add_plain(p, frame, len))
		return true;
	nic_rx_flush(p);
	put(p, &room, &h, frame, len);
	return true;
}

/* Describes the header's place, the room behind it and `linear`. Returns the pieces. */
static unsigned describe(struct nic_pair *p, struct nic_room *r, struct virtio_net_hdr_v1 *h)
{
	unsigned n = 1, pieces;

	p->iov[0] = (struct iovec){ h, NIC_HEADER };
	r->bytes = NIC_HEADER;
	for (unsigned i = 0; i < r->n; i++) {
		struct iov_cursor in = p->rx[i]->in;

		iov_skip(&in, i ? 0 : NIC_HEADER);
		r->bytes += iov_peek(
			&in, NIC_LONGEST - r->bytes, p->iov + n, NIC_PIECES - 1 - n, &pieces);
		n += pieces;
	}
	p->iov[n++] = (struct iovec){ p->linear + r->bytes, NIC_LONGEST - r->bytes };
	return n;
}

/* Copies the first len bytes of a frame that was read, from the buffers' room and `linear`. */
static void look(const struct nic_pair *p, const struct nic_room *r, uint8_t *to, size_t len)
{
	size_t bytes = MIN(len, r->bytes - NIC_HEADER), left = bytes;

	for (unsigned i = 0; left; i++) {
		struct iov_cursor in = p->rx[i]->in;
		size_t n;

		iov_skip(&in, i ? 0 : NIC_HEADER);
		n = iov_pull(&in, to, left);
		to += n;
		left -= n;
	}
	memcpy(to, p->linear + NIC_HEADER + bytes, len - bytes);
}

static bool is_wanted(
	struct nic_pair *p, const struct nic_room *r, struct virtio_net_hdr_v1 *h, size_t len)
{
	uint8_t start[LOOK];

	if (len < NET_MIN_FRAME || !p->n->link_up || !nic_header_accept(p->n, h, len)) {
		p->stats.rx_dropped++;
		return false;
	}
	if (!p->n->filter.active || p->n->filter.promiscuous)
		return true;
	len = MIN(len, LOOK);
	look(p, r, start, len);
	if (nic_filter_pass(&p->n->filter, start, len))
		return true;
	p->stats.rx_filtered++;
	return false;
}

/* Completes the buffers that a frame is in, len bytes of it. */
static void complete(
	struct nic_pair *p, struct nic_room *r, const struct virtio_net_hdr_v1 *h, size_t len)
{
	struct iov_cursor head = p->rx[0]->in;
	size_t left = NIC_HEADER + len;
	unsigned n = 0;

	net_pcap_put(p->n->pcap, p->iov + 1, r->n_pieces - 1, (uint32_t)len);
	while (left)
		left -= iov_skip(&p->rx[n++]->in, left);
	while (r->n > n)
		vq_unpop(p->rx[--r->n]);
	finish(p, r, &head, *h, len);
}

/*
 * Gives the guest the frame in `linear`. Returns false if it has to wait there for the guest's
 * buffers.
 */
static bool put_pending(struct nic_pair *p, struct vq *q)
{
	struct virtio_net_hdr_v1 h;

	if (!p->pending)
		return true;
	memcpy(&h, p->linear, sizeof(h));
	if (!nic_rx_put(p, q, &h, p->linear + NIC_HEADER, p->pending))
		return false;
	p->pending = 0;
	return true;
}

/*
 * Takes buffers for a frame like those before: to offer room for the longest each time took 4.2 us
 * of CPU time for one of up to 1514 bytes from a tap, instead of 3.1. Returns false if there are
 * none.
 */
static bool take_window(struct nic_pair *p, struct vq *q, struct nic_room *r)
{
	take(p, q, r, MAX(p->window, MIN_WINDOW));
	return r->n;
}

bool nic_rx_read(struct nic_pair *p, struct vq *q,
	ssize_t (*read)(struct nic_pair *p, const struct iovec *iov, unsigned n))
{
	struct virtio_net_hdr_v1 h = { .gso_type = VIRTIO_NET_HDR_GSO_NONE };
	struct nic_room room = { 0 };
	size_t len;
	ssize_t n;

	if (!put_pending(p, q) || !has_turn(p) || !nic_rate_may_receive(p) ||
		!take_window(p, q, &room))
		return false;
	room.n_pieces = describe(p, &room, &h);
	n = read(p, p->iov, room.n_pieces);
	if (n <= (ssize_t)NIC_HEADER) {
		give_back(p, &room);
		return n > 0;
	}
	len = (size_t)n - NIC_HEADER;
	p->window = MAX((size_t)n, p->window - p->window / 16);
	if (!is_wanted(p, &room, &h, len)) {
		give_back(p, &room);
	} else if ((size_t)n <= room.bytes) {
		complete(p, &room, &h, len);
	} else {
		memcpy(p->linear, &h, NIC_HEADER);
		look(p, &room, p->linear + NIC_HEADER, room.bytes - NIC_HEADER);
		give_back(p, &room);
		p->pending = len;
	}
	return put_pending(p, q);
}

void nic_rx_run(struct nic_pair *p)
{
	struct vq *q = nic_rx_queue(p);

	p->turn = NIC_TURN;
	/* Not before it is known which frames the driver takes. */
	if (q && p->n->seen_features == p->n->d->driver_features)
		p->n->host->receive(p, q);
	nic_rx_flush(p);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of the guest, by batches. One that was in flight when a back-end died may be sent twice,
 * as can happen on any Ethernet.
 */
#include "nic.h"

static void drop(struct nic_pair *p, struct vq_chain *c)
{
	p->stats.tx_dropped++;
	vq_push(c);
}

/* Describes the data of a frame. False: there is no place for so many pieces behind `used`. */
static bool describe(struct nic_pair *p, struct nic_frame *f, unsigned used)
{
	struct iov_cursor *out = &f->c->out;
	size_t len = iov_left(out);

	f->data = (struct net_frame){ .iov = p->iov + used, .len = (uint32_t)len };
	if (iov_peek(out, len, p->iov + used, NIC_PIECES - used, &f->data.n) == len)
		return true;
	if (used)
		return false;
	iov_pull(out, p->tx_linear, len);
	p->iov[0] = (struct iovec){ p->tx_linear, len };
	f->data.n = 1;
	return true;
}

/* Returns whether a frame can be sent: its header, which is copied, and its length. */
static bool check(const struct nic *n, struct nic_frame *f)
{
	size_t len;

	iov_pull(&f->c->out, &f->header, sizeof(f->header));
	len = iov_left(&f->c->out);
	return len >= NET_MIN_FRAME && len <= NET_MAX_FRAME && nic_header_check(n, &f->header, len);
}

/* Takes frames from the queue; false: these were the last. */
static bool collect(struct nic_pair *p, struct vq *q, unsigned *n)
{
	unsigned used = 0;

	for (*n = 0; *n < NIC_BATCH;) {
		struct nic_frame *f = &p->tx[*n];

		f->c = nic_rate_may_send(p) ? vq_pop(q) : NULL;
		f->dropped = false;
		if (!f->c)
			return false;
		if (iov_left(&f->c->out) < NIC_HEADER) {
			vq_break(q, "a frame of %zu bytes has no header", iov_left(&f->c->out));
			vq_push(f->c);
			return false;
		}
		if (!check(p->n, f)) {
			drop(p, f->c);
			continue;
		}
		if (!describe(p, f, used)) {
			vq_unpop(f->c);
			return true;
		}
		used += f->data.n;
		nic_rate_take(&p->n->tx_rate, f->data.len);
		++*n;
	}
	return true;
}

static void complete(struct nic_pair *p, struct nic_frame *f)
{
	if (f->dropped) {
		p->stats.tx_dropped++;
	} else {
		p->stats.tx_frames++;
		p->stats.tx_bytes += f->data.len;
		net_pcap_put(p->n->pcap, f->data.iov, f->data.n, f->data.len);
	}
	iov_finish(&f->c->out);
	vq_push(f->c);
}

unsigned nic_tx_drop(struct nic_frame *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		f[i].dropped = true;
	return n;
}

static unsigned send(struct nic_pair *p, unsigned n)
{
	return p->n->link_up ? p->n->host->send(p, p->tx, n) : nic_tx_drop(p->tx, n);
}

void nic_tx_run(struct nic_pair *p)
{
	struct vq *q = nic_tx_queue(p);
	bool more = true;

	while (q && more && !p->full) {
		unsigned n, sent;

		more = collect(p, q, &n);
		sent = n ? send(p, n) : 0;
		for (unsigned i = 0; i < sent; i++)
			complete(p, &p->tx[i]);
		for (unsigned i = n; i-- > sent;) {
			nic_rate_give_back(&p->n->tx_rate, p->tx[i].data.len);
			vq_unpop(p->tx[i].c);
		}
	}
}

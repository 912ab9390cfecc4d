/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of the guest. Each is carried out, or answered with RST, at once: none waits. Those that
 * were in flight when another process died belong to connections that are gone with it.
 */
#include "daemon/devices/vsock/vsock.h"

#define KNOWN_SHUTDOWN VSOCK_NEITHER

/* A packet's header in host byte order. */
struct vsock_in {
	struct vsock_key key;
	uint64_t src_cid;
	uint32_t len, flags, buf_alloc, fwd_cnt;
	uint16_t type, op;
};

/* Takes the header; false: there is none, and the queue breaks. */
static bool parse(struct vq_chain *r, struct vsock_in *p)
{
	struct virtio_vsock_hdr h;
	size_t n = iov_pull(&r->out, &h, sizeof(h));

	if (n != sizeof(h)) {
		vq_break(r->q, "the header of a packet has %zu bytes", n);
		return false;
	}
	*p = (struct vsock_in){
		.key = { le64toh(h.dst_cid), le32toh(h.src_port), le32toh(h.dst_port) },
		.src_cid = le64toh(h.src_cid),
		.len = le32toh(h.len),
		.flags = le32toh(h.flags),
		.buf_alloc = le32toh(h.buf_alloc),
		.fwd_cnt = le32toh(h.fwd_cnt),
		.type = le16toh(h.type),
		.op = le16toh(h.op),
	};
	if (p->len <= iov_left(&r->out))
		return true;
	vq_break(r->q, "a packet of %u bytes has %zu", p->len, iov_left(&r->out));
	return false;
}

static void refuse(struct vsock *v, const struct vsock_in *p)
{
	const struct vsock_reset reset = { p->key, p->src_cid, p->type };

	if (p->op != VIRTIO_VSOCK_OP_RST)
		vsock_rx_refuse(v, &reset);
}

static bool has_feature(const struct vsock *v, unsigned feature)
{
	return v->features >> feature & 1;
}

bool vsock_is_type(const struct vsock *v, unsigned type)
{
	if (type == VIRTIO_VSOCK_TYPE_SEQPACKET)
		return has_feature(v, VIRTIO_VSOCK_F_SEQPACKET);
	return type == VIRTIO_VSOCK_TYPE_STREAM &&
		(has_feature(v, VSOCK_F_STREAM) || !has_feature(v, VSOCK_F_NO_IMPLIED_STREAM));
}

static bool is_ours(const struct vsock *v, uint64_t cid)
{
	unsigned i = 0;

	while (i < v->n_forward && v->forward[i] != cid)
		i++;
	return cid == VSOCK_HOST_CID || i < v->n_forward || vsock_is_sibling(v, cid);
}

static void take_credit(struct vsock_conn *c, const struct vsock_in *p)
{
	c->peer_alloc = p->buf_alloc;
	c->peer_forwarded = p->fwd_cnt;
	vsock_rx_credit_came(c);
}

static void take_request(struct vsock *v, const struct vsock_in *p)
{
	struct vsock_conn *c = is_ours(v, p->key.cid) ? vsock_conn_new(v, VSOCK_DIALLING) : NULL;

	if (!c) {
		v->count.refused++;
		refuse(v, p);
		return;
	}
	vsock_conn_name(c, &p->key, p->type);
	take_credit(c, p);
	vsock_dial(c);
}

/* Takes data; there must be credit for it. */
static void take_data(struct vsock_conn *c, const struct vsock_in *p, struct iov_cursor *out)
{
	bool is_message = c->type == VIRTIO_VSOCK_TYPE_SEQPACKET;

	if (c->state == VSOCK_CLOSING)
		return; /* it was on its way */
	if (c->state != VSOCK_OPEN || c->guest_ended & VSOCK_NO_SEND ||
		p->len > c->grant - (c->received - c->forwarded)) {
		vsock_conn_reset(c);
		return;
	}
	/* What is behind the data is not the packet's. */
	*out = iov_cursor(out->iov, out->n_iov, out->offset + p->len);
	iov_skip(out, out->left - p->len);
	vsock_host_send(c, out, is_message && p->flags & VSOCK_SEQ_EOM);
}

static void take_rst(struct vsock_conn *c)
{
	/* Once it has ended its direction, all that it sent is to arrive. */
	if (c->state == VSOCK_OPEN && c->guest_ended & VSOCK_NO_SEND && c->buffer.used)
		vsock_host_linger(c);
	else
		vsock_conn_free(c);
}

/* Carries out a packet of a connection. */
static void take(struct vsock_conn *c, const struct vsock_in *p, struct iov_cursor *out)
{
	bool is_response = p->op == VIRTIO_VSOCK_OP_RESPONSE;

	if (p->op == VIRTIO_VSOCK_OP_RST) {
		take_rst(c);
		return;
	}
	/* The answer to a request, and nothing else, comes while that is awaited. */
	if (p->type != c->type || c->news & VSOCK_NEWS_REQUEST ||
		is_response != (c->state == VSOCK_ASKED)) {
		vsock_conn_reset(c);
		return;
	}
	take_credit(c, p);
	switch (p->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		vsock_listen_accepted(c);
		return;
	case VIRTIO_VSOCK_OP_RW:
		take_data(c, p, out);
		return;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		vsock_host_guest_ended(c, p->flags & KNOWN_SHUTDOWN);
		return;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		return;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		vsock_conn_tell(c, VSOCK_NEWS_CREDIT);
		return;
	default:
		vsock_conn_reset(c);
	}
}

static void serve(struct vsock *v, struct vq_chain *r)
{
	struct vsock_conn *c;
	struct vsock_in p;

	if (!parse(r, &p))
		return;
	if (vq_is_retry(r) || p.src_cid != v->guest_cid || !vsock_is_type(v, p.type)) {
		refuse(v, &p);
		return;
	}
	c = vsock_conn_find(v, &p.key);
	if (c)
		take(c, &p, &r->out);
	else if (p.op == VIRTIO_VSOCK_OP_REQUEST)
		take_request(v, &p);
	else
		refuse(v, &p);
}

void vsock_tx_run(struct vsock *v, struct vq *q)
{
	struct vq_chain *r;

	while ((r = vq_pop(q))) {
		serve(v, r);
		vq_push(r);
	}
}

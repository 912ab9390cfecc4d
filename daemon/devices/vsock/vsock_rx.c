/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets to the guest: first answers to packets of no connection, then connections in turn, each a
 * packet, or what one read gets from its socket. A read fills as many of the guest's buffers as the
 * last ones had use for. A message is read whole, as the kernel keeps no rest of it: what does not
 * fit in one buffer is staged, which there is one place for. Nothing but the guest's buffers can
 * keep it there, as the guest takes all of it.
 */
#include "daemon/devices/vsock/vsock.h"

#include <sys/socket.h>

#define HEAD sizeof(struct virtio_vsock_hdr)
#define MAX_WINDOW 16
#define MAX_READ (64u << 10)
#define MAX_IOV 64

/* Buffers of the guest for one read. */
struct window {
	struct vq_chain *chain[MAX_WINDOW];
	uint32_t room[MAX_WINDOW];
	unsigned n;
	struct iovec iov[MAX_IOV + 1]; /* and one for the stage */
	unsigned n_iov;
	uint32_t total;
};

static uint32_t credit(const struct vsock_conn *c)
{
	uint32_t ahead = c->sent - c->peer_forwarded;

	return ahead < c->peer_alloc ? c->peer_alloc - ahead : 0;
}

static bool wants_data(const struct vsock_conn *c)
{
	return c->state == VSOCK_OPEN && c->readable && !(c->guest_ended & VSOCK_NO_RECEIVE) &&
		!(c->host_ended & VSOCK_NO_SEND);
}

static bool has_credit(const struct vsock_conn *c)
{
	return credit(c) >= MAX(c->wanted, 1);
}

void vsock_rx_credit_came(struct vsock_conn *c)
{
	if (!has_credit(c))
		return;
	c->asked_credit = false;
	if (wants_data(c))
		vsock_conn_ready(c);
}

void vsock_rx_refuse(struct vsock *v, const struct vsock_reset *r)
{
	if (v->n_resets == VSOCK_MAX_RESETS) {
		/* The guest gives no buffers for them. */
		v->count.dropped_resets++;
		return;
	}
	v->reset[(v->first_reset + v->n_resets++) % VSOCK_MAX_RESETS] = *r;
}

/* Takes a buffer with room for a header and more. NULL: there is none. */
static struct vq_chain *pop(struct vq *q, size_t more)
{
	struct vq_chain *b = vq_pop(q);

	if (!b || iov_left(&b->in) >= HEAD + more)
		return b;
	vq_break(q, "a buffer of %zu bytes for packets", iov_left(&b->in));
	vq_push(b);
	return NULL;
}

/* Writes the header of a packet, with what the guest may send. */
static void put_head(
	struct vsock_conn *c, struct vq_chain *b, unsigned op, uint32_t len, uint32_t flags)
{
	const struct virtio_vsock_hdr h = {
		.src_cid = htole64(c->key.cid),
		.dst_cid = htole64(c->v->guest_cid),
		.src_port = htole32(c->key.host_port),
		.dst_port = htole32(c->key.guest_port),
		.len = htole32(len),
		.type = htole16(c->type),
		.op = htole16((uint16_t)op),
		.flags = htole32(flags),
		.buf_alloc = htole32(c->grant),
		.fwd_cnt = htole32(c->forwarded),
	};

	iov_push(&b->in, &h, sizeof(h));
	c->told_forwarded = c->forwarded;
	c->news &= ~(unsigned)VSOCK_NEWS_CREDIT;
}

/* Sends the oldest answer; false: there is no buffer. */
static bool send_reset(struct vsock *v, struct vq *q)
{
	const struct vsock_reset *r = &v->reset[v->first_reset];
	const struct virtio_vsock_hdr h = {
		.src_cid = htole64(r->key.cid),
		.dst_cid = htole64(r->guest_cid),
		.src_port = htole32(r->key.host_port),
		.dst_port = htole32(r->key.guest_port),
		.type = htole16(r->type),
		.op = htole16(VIRTIO_VSOCK_OP_RST),
	};
	g_autoptr(vq_chain) b = pop(q, 0);

	if (!b)
		return false;
	iov_push(&b->in, &h, sizeof(h));
	v->first_reset = (v->first_reset + 1) % VSOCK_MAX_RESETS;
	v->n_resets--;
	return true;
}

/* Sends the next part of the message in the stage; false: there is no buffer. */
static bool send_stage(struct vsock *v, struct vq *q)
{
	uint32_t left = v->stage_end - v->stage_at, part;
	g_autoptr(vq_chain) b = pop(q, 1);

	if (!b)
		return false;
	part = (uint32_t)MIN(left, iov_left(&b->in) - HEAD);
	put_head(v->staged, b, VIRTIO_VSOCK_OP_RW, part, part == left ? VSOCK_SEQ_EOM : 0);
	iov_push(&b->in, v->stage + v->stage_at, part);
	v->stage_at += part;
	return true;
}

/* Takes buffers for up to len bytes, at most max of them. */
static void open_window(struct window *w, struct vq *q, uint32_t len, unsigned max)
{
	*w = (struct window){ 0 };
	while (w->n < max && w->total < len && w->n_iov < MAX_IOV) {
		struct vq_chain *b = pop(q, 1);
		struct iov_cursor data;
		unsigned n;

		if (!b)
			return;
		data = b->in;
		iov_skip(&data, HEAD);
		w->room[w->n] = (uint32_t)iov_peek(
			&data, len - w->total, w->iov + w->n_iov, MAX_IOV - w->n_iov, &n);
		w->total += w->room[w->n];
		w->n_iov += n;
		w->chain[w->n++] = b;
	}
}

/* Completes the buffers that `len` bytes were read into, and puts the others back. */
static unsigned close_window(struct window *w, struct vsock_conn *c, uint32_t len, uint32_t flags)
{
	unsigned used = 0;

	while (len) {
		struct vq_chain *b = w->chain[used];
		uint32_t part = MIN(len, w->room[used]);

		put_head(c, b, VIRTIO_VSOCK_OP_RW, part, flags);
		iov_skip(&b->in, part);
		vq_push(b);
		len -= part;
		used++;
	}
	for (unsigned i = w->n; i-- > used;)
		vq_unpop(w->chain[i]);
	return used;
}

/* Reads of a stream what the guest takes; false: there is no buffer. */
static bool send_data(struct vsock_conn *c, struct vq *q)
{
	struct window w;
	ssize_t got;
	unsigned used;
	bool cut;

	open_window(&w, q, MIN(credit(c), MAX_READ), c->window);
	if (!w.n)
		return false;
	got = vsock_host_read(c, w.iov, w.n_iov, w.total, &cut);
	used = close_window(&w, c, (uint32_t)MAX(got, 0), 0);
	c->sent += (uint32_t)MAX(got, 0);
	if (got < 0)
		vsock_conn_reset(c);
	else
		c->window = got == w.total ? MIN(2 * w.n, MAX_WINDOW) : MAX(used, 1);
	return true;
}

/* Returns whether the guest takes the next message now; may end the connection. */
static bool is_message_welcome(struct vsock_conn *c)
{
	const struct iovec none = { 0 };
	ssize_t len;

	/* Most guests have room for any message, and then it need not be known. */
	if (credit(c) >= VSOCK_STAGE + MAX_READ)
		return true;
	len = recv(c->watch.fd, none.iov_base, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	if (len <= 0)
		return true; /* to read tells why */
	c->wanted = (uint32_t)len;
	if ((size_t)len <= c->peer_alloc)
		return has_credit(c);
	log_limited(&c->v->limit, LOG_LEVEL_WARNING, NULL,
		"a message of %zd bytes is more than the guest takes (%u): the connection ends",
		len, c->peer_alloc);
	vsock_conn_reset(c);
	return false;
}

/* Reads a message; false: there is no buffer. */
static bool send_message(struct vsock_conn *c, struct vq *q)
{
	struct vsock *v = c->v;
	uint32_t first;
	struct window w;
	ssize_t got;
	bool cut;

	if (!is_message_welcome(c))
		return true;
	open_window(&w, q, MAX_READ, 1);
	if (!w.n)
		return false;
	w.iov[w.n_iov] = (struct iovec){ v->stage, VSOCK_STAGE };
	got = vsock_host_read(c, w.iov, w.n_iov + 1, w.total + VSOCK_STAGE, &cut);
	first = (uint32_t)MIN(MAX(got, 0), w.total);
	close_window(&w, c, cut ? 0 : first, got > first ? 0 : VSOCK_SEQ_EOM);
	if (got < 0 || cut) {
		vsock_conn_reset(c);
		return true;
	}
	c->wanted = 0;
	c->sent += (uint32_t)got;
	v->stage_at = 0;
	v->stage_end = (uint32_t)got - first;
	v->staged = v->stage_end ? c : NULL;
	return true;
}

/* Tells the guest, once both directions have ended, and waits for it to agree. */
static void close_when_told(struct vsock_conn *c)
{
	c->told_ended = c->host_ended;
	if (c->host_ended != VSOCK_NEITHER)
		return;
	c->state = VSOCK_CLOSING;
	virtio_watch(c->v->d, NULL, &c->watch, 0);
	fd_close(&c->watch.fd);
	vsock_set_timer(c, VSOCK_CLOSE_US);
}

static const struct {
	unsigned news, op;
} packets[] = {
	{ VSOCK_NEWS_REQUEST, VIRTIO_VSOCK_OP_REQUEST },
	{ VSOCK_NEWS_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE },
	{ VSOCK_NEWS_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN },
	{ VSOCK_NEWS_CREDIT_REQUEST, VIRTIO_VSOCK_OP_CREDIT_REQUEST },
	{ VSOCK_NEWS_CREDIT, VIRTIO_VSOCK_OP_CREDIT_UPDATE },
};

/* Sends the first of the news; false: there is no buffer. */
static bool send_news(struct vsock_conn *c, struct vq *q)
{
	g_autoptr(vq_chain) b = pop(q, 0);
	unsigned i = 0;

	if (!b)
		return false;
	while (!(c->news & packets[i].news))
		i++;
	put_head(
		c, b, packets[i].op, 0, packets[i].news == VSOCK_NEWS_SHUTDOWN ? c->host_ended : 0);
	c->news &= ~packets[i].news;
	if (packets[i].news == VSOCK_NEWS_SHUTDOWN)
		close_when_told(c);
	return true;
}

static bool serve(struct vsock_conn *c, struct vq *q)
{
	if (c->news)
		return send_news(c, q);
	if (!wants_data(c) || !has_credit(c))
		return true;
	return c->type == VIRTIO_VSOCK_TYPE_STREAM ? send_data(c, q) : send_message(c, q);
}

/* Puts it in the list again, if there is more to do. */
static void requeue(struct vsock_conn *c)
{
	if (wants_data(c) && !has_credit(c) && !c->asked_credit) {
		c->asked_credit = true;
		c->news |= VSOCK_NEWS_CREDIT_REQUEST;
		/* A guest that has some room left need not tell that there is more. */
		if (c->wanted)
			vsock_set_timer(c, VSOCK_ASK_AGAIN_US);
	}
	if (c->news || (wants_data(c) && has_credit(c)))
		vsock_conn_ready(c);
}

/* Does the next thing; false: there is no buffer, or nothing to do. */
static bool step(struct vsock *v, struct vq *q)
{
	struct vsock_conn *c = v->ready_first;
	bool ok;

	if (v->n_resets)
		return send_reset(v, q);
	if (v->staged && v->stage_at < v->stage_end)
		return send_stage(v, q);
	if (!c)
		return false;
	vsock_conn_not_ready(c);
	ok = serve(c, q);
	if (c->state != VSOCK_FREE)
		requeue(c);
	return ok;
}

void vsock_rx_run(struct vsock *v)
{
	struct vq *q = virtio_device_queue(v->d, VSOCK_RX);

	while (q && step(v, q))
		;
}

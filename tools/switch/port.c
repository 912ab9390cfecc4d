/* SPDX-License-Identifier: Apache-2.0 */
/* See port.h. */
#include "tools/switch/port.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/util.h"
#include "tools/switch/switcher.h"

/* At least two of the longest frames. */
#define READ_SIZE (192u << 10)
/* Frames of a port in one turn: 128 KiB of the usual ones, and less of small ones. */
#define TURN_FRAMES 512

struct port *port_new(struct switcher *sw, struct port_settings *settings, bool is_static)
{
	struct port *p = g_new(struct port, 1);

	*p = (struct port){
		.member.native = settings->vlan,
		.member.tagged = settings->trunk,
		.member.isolated = settings->isolated,
		.sw = sw,
		.settings = settings,
		.is_static = is_static,
		.fd = -1,
		.is_tap = settings->tap || settings->is_tap,
	};
	net_stream_in_init(&p->in, READ_SIZE, NET_MAX_FRAME);
	send_queue_init(&p->queue, BRIDGE_MAX_MEMBERS);
	return p;
}

void port_free(struct port *p)
{
	if (!p)
		return;
	port_down(p);
	loop_watch_free(p->retry);
	net_stream_in_free(&p->in);
	send_queue_free(&p->queue);
	g_free(p->name);
	g_free(p);
}

static void watch(const struct port *p, int how)
{
	struct epoll_event e = {
		.events = EPOLLIN | (p->blocked ? EPOLLOUT : 0),
		.data.ptr = (void *)p,
	};

	epoll_ctl(p->sw->epoll, how, p->fd, &e);
}

void port_up(struct port *p, int fd)
{
	p->fd = fd;
	p->backlog = p->blocked = p->ended = false;
	net_stream_in_reset(&p->in);
	send_queue_reset(&p->queue, BRIDGE_MAX_MEMBERS);
	watch(p, EPOLL_CTL_ADD);
}

void port_down(struct port *p)
{
	p->backlog = p->blocked = p->ready = p->ended = false;
	fd_close(&p->fd); /* leaves epoll, too: nobody else has it */
}

static void block(struct port *p, bool blocked)
{
	if (p->blocked == blocked)
		return;
	p->blocked = blocked;
	watch(p, EPOLL_CTL_MOD);
}

void port_unblock(struct port *p)
{
	block(p, false);
}

/* Receiving. */

static void take(struct port *p, uint8_t *frame, uint32_t len, uint32_t now)
{
	const struct iovec iov = { frame, len };

	net_pcap_put(p->settings->pcap, &iov, 1, len);
	if (!bridge_has_room(&p->sw->bridge))
		switcher_flush(p->sw);
	bridge_input(&p->sw->bridge, &p->member, frame, len, now);
}

void port_turn(struct port *p, uint32_t now)
{
	unsigned left = TURN_FRAMES;
	const uint8_t *frame;
	ssize_t n;

	if (!p->backlog) {
		n = p->is_tap ? port_tap_read(p) : net_stream_read(&p->in, p->fd);
		if (n <= 0) {
			p->ended = n != -EAGAIN;
			return;
		}
	}
	p->backlog = false;
	while ((n = net_stream_next(&p->in, &frame)) > 0) {
		take(p, p->in.buf + (frame - p->in.buf), (uint32_t)n, now);
		p->retry_ms = 0;
		if (!--left) {
			p->backlog = true;
			return;
		}
	}
	p->ended = n < 0;
}

/* Sending. */

static void count(struct port *p, uint32_t frames, uint64_t bytes)
{
	p->member.stats.tx_frames += frames;
	p->member.stats.tx_bytes += bytes;
}

static void drop(struct port *p, enum bridge_drop why, unsigned n)
{
	p->member.stats.drops[why] += n;
}

static void capture(struct port *p, const struct bridge_frame *f)
{
	struct iovec iov[2] = { f->iov[0], f->iov[1] };

	iov[0].iov_base = (uint8_t *)iov[0].iov_base + NET_STREAM_HEAD;
	iov[0].iov_len -= NET_STREAM_HEAD;
	net_pcap_put(p->settings->pcap, iov, f->n, f->len);
}

static void send_tap(struct port *p, const struct bridge_frame *f)
{
	int err = port_tap_write(p, f);

	if (err)
		drop(p, err == -EAGAIN ? BRIDGE_DROP_FULL : BRIDGE_DROP_FAILED, 1);
	else
		count(p, 1, f->len);
}

/* Adds a piece, or makes the last one longer. */
static void add_piece(struct port_batch *b, const struct iovec *piece)
{
	struct iovec *last = &b->iov[2 + b->n_iov] - 1;

	if (b->n_iov && (uint8_t *)last->iov_base + last->iov_len == piece->iov_base)
		last->iov_len += piece->iov_len;
	else
		b->iov[2 + b->n_iov++] = *piece;
}

void port_send(
	struct bridge_member *to, const struct bridge_member *from, const struct bridge_frame *f)
{
	struct port *p = container_of(to, struct port, member);
	struct port_batch *b = &p->batch;
	uint32_t bytes = NET_STREAM_HEAD + f->len;

	if (p->settings->pcap)
		capture(p, f);
	if (p->is_tap) {
		send_tap(p, f);
		return;
	}
	if (b->n == PORT_BATCH_FRAMES || b->n_iov + f->n > PORT_BATCH_PIECES)
		port_flush(p);
	for (unsigned i = 0; i < f->n; i++)
		add_piece(b, &f->iov[i]);
	b->frames[b->n++] = (struct port_batch_frame){ bytes, from->number };
	b->bytes += bytes;
	switcher_add_dirty(p->sw, p);
}

/* Queues, or drops, what was collected but for the first `sent` bytes. */
static void queue_rest(struct port *p, uint32_t sent)
{
	struct port_batch *b = &p->batch;
	struct iov_cursor c = iov_cursor(b->iov + 2, b->n_iov, b->bytes);

	iov_skip(&c, sent);
	for (unsigned i = 0; i < b->n; i++) {
		const struct port_batch_frame *f = &b->frames[i];
		uint32_t gone = MIN(sent, f->bytes);

		sent -= gone;
		if (gone && gone < f->bytes)
			send_queue_keep(&p->queue, f->from, &c, f->bytes - gone);
		if (gone || send_queue_put(&p->queue, f->from, &c, f->bytes)) {
			count(p, 1, f->bytes - NET_STREAM_HEAD);
		} else {
			iov_skip(&c, f->bytes);
			drop(p, BRIDGE_DROP_FULL, 1);
		}
	}
}

/*
 * Sends the queue and what was collected, and sets *sent, of the latter. False: the peer takes
 * nothing ever more.
 */
static bool send_all(struct port *p, uint32_t *sent)
{
	struct port_batch *b = &p->batch;
	struct iovec queued[2];
	unsigned n_queued = send_queue_peek(&p->queue, queued);
	uint32_t in_queue = p->queue.used;
	ssize_t n;

	memcpy(b->iov + 2 - n_queued, queued, n_queued * sizeof(*queued));
	n = net_stream_send(p->fd, b->iov + 2 - n_queued, n_queued + b->n_iov);
	if (n < 0 && n != -EAGAIN)
		return false;
	n = MAX(n, 0);
	block(p, n < in_queue + b->bytes);
	send_queue_take(&p->queue, MIN(n, in_queue));
	*sent = n - MIN(n, in_queue);
	return true;
}

void port_flush(struct port *p)
{
	struct port_batch *b = &p->batch;
	uint32_t sent = 0;
	bool ok = p->blocked || (!b->n && !p->queue.used) || send_all(p, &sent);

	if (!ok) {
		/* Its end is seen when it is read. */
		drop(p, BRIDGE_DROP_FAILED, b->n);
		send_queue_reset(&p->queue, BRIDGE_MAX_MEMBERS);
	} else if (sent == b->bytes) {
		count(p, b->n, b->bytes - NET_STREAM_HEAD * b->n);
	} else {
		queue_rest(p, sent);
	}
	b->n = b->n_iov = b->bytes = 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix datagrams, one for each frame, as QEMU's "-netdev dgram" exchanges them: they are received
 * at a socket of ours, and sent to the peer's. Whether there is a peer is not known before
 * something is sent, so that the link is always up; what is sent to nobody is dropped.
 */
#include "nic.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/option.h"
#include "base/sock.h"
#include "base/util.h"

#define PREFIX "unix:"
#define RECEIVED 16 /* at a time; by default the kernel keeps 11, with systemd 512 */
/* Between attempts to reach the peer: more and more. */
#define FIRST_RETRY_US 50000
#define MAX_RETRY_US 1000000

struct nic_dgram {
	struct nic *n;
	char *local, *remote;
	int fd; /* to the peer; -1: there is none */
	bool lost; /* the peer is gone: a device verb will close fd */
	int64_t retry_us;
	struct virtio_watch room; /* of fd */
	struct virtio_timer retry;
	struct virtio_wakeup leave;

	/* Frames that were received: at[0] to [count - 1], of which the first `taken` are gone. */
	unsigned count, taken;
	struct mmsghdr at[RECEIVED];
	struct iovec piece[RECEIVED];
	uint8_t *buf;
};

static struct nic_dgram *dgram_of(const struct nic *n)
{
	return n->host_data;
}

static void lose(struct nic_dgram *s)
{
	s->lost = true;
	virtio_wakeup_signal(&s->leave);
}

/* Waits for room, if there is none: each datagram that the peer takes would wake us otherwise. */
static void watch_room(struct nic_dgram *s, struct vq *q)
{
	if (s->fd < 0 || !q)
		return;
	s->room.fd = s->fd;
	virtio_watch(s->n->d, q, &s->room, s->n->pair[0]->full ? EPOLLOUT | EPOLLET : 0u);
}

static void on_ready(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct nic_pair *p = container_of(w, struct nic_pair, watch);

	p->readable = true;
	nic_rx_run(p);
}

static void on_room(struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct nic_pair *p = container_of(w, struct nic_dgram, room)->n->pair[0];

	p->full = false;
	nic_tx_run(p);
	watch_room(dgram_of(p->n), q);
}

/* Receives what is there, if all that came before is taken. Returns whether there is something. */
static bool fetch(struct nic_pair *p, struct nic_dgram *s)
{
	int n;

	if (s->taken < s->count)
		return true;
	if (!p->readable)
		return false;
	nic_rx_flush(p);
	do
		n = recvmmsg(p->watch.fd, s->at, RECEIVED, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == EINTR);
	s->taken = 0;
	s->count = (unsigned)MAX(n, 0);
	p->readable = n > 0;
	return n > 0;
}

static void dgram_receive(struct nic_pair *p, struct vq *q)
{
	struct nic_dgram *s = dgram_of(p->n);

	while (fetch(p, s)) {
		const struct mmsghdr *m = &s->at[s->taken];

		if (m->msg_hdr.msg_flags & MSG_TRUNC)
			p->stats.rx_dropped++;
		else if (!nic_rx_put(p, q, NULL, s->piece[s->taken].iov_base, m->msg_len))
			return;
		s->taken++;
	}
}

/* Sends frames by one call. Returns how many, or -errno of the first. */
static int send_some(struct nic_dgram *s, const struct nic_frame *f, unsigned n)
{
	struct mmsghdr m[NIC_BATCH] = { 0 };
	int sent;

	for (unsigned i = 0; i < n; i++)
		m[i].msg_hdr = (struct msghdr){ .msg_iov = (struct iovec *)f[i].data.iov,
			.msg_iovlen = f[i].data.n };
	do
		sent = sendmmsg(s->fd, m, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

static unsigned dgram_send(struct nic_pair *p, struct nic_frame *f, unsigned n)
{
	struct nic_dgram *s = dgram_of(p->n);
	unsigned done = 0;

	while (done < n && s->fd >= 0 && !s->lost) {
		int sent = send_some(s, f + done, n - done);

		if (sent == -EAGAIN) {
			p->full = true;
			watch_room(s, nic_tx_queue(p));
			return done;
		}
		if (sent > 0)
			done += (unsigned)sent;
		else if (sent == -ECONNREFUSED || sent == -ECONNRESET || sent == -ENOTCONN)
			lose(s);
		else /* it is too long for the socket */
			done += nic_tx_drop(f + done, 1);
	}
	return done + nic_tx_drop(f + done, n - done);
}

/* Reaching the peer: device verbs. */

static void dgram_start(struct nic_pair *p, struct vq *q)
{
	if (!p->watch.core.owner)
		virtio_watch(p->n->d, q, &p->watch, EPOLLIN | EPOLLET);
	p->readable = true;
	watch_room(dgram_of(p->n), q);
}

static void reach(struct nic_dgram *s)
{
	struct nic_pair *p = s->n->pair[0];
	struct vq *q = nic_tx_queue(p) ? nic_tx_queue(p) : nic_rx_queue(p);

	s->fd = sock_reach_datagram(s->remote);
	if (s->fd < 0) {
		virtio_timer(s->n->d, NULL, &s->retry, g_get_monotonic_time() + s->retry_us);
		s->retry_us = MIN(2 * s->retry_us, MAX_RETRY_US);
		return;
	}
	s->lost = false;
	s->retry_us = FIRST_RETRY_US;
	watch_room(s, q);
}

static void on_retry(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	reach(container_of(t, struct nic_dgram, retry));
}

static void on_leave(struct virtio_device *d, struct vq *q, struct virtio_wakeup *w)
{
	struct nic_dgram *s = container_of(w, struct nic_dgram, leave);

	if (!s->lost || s->fd < 0)
		return;
	virtio_watch(d, NULL, &s->room, 0);
	fd_close(&s->fd);
	s->n->pair[0]->full = false;
	reach(s);
	nic_tx_run(s->n->pair[0]);
}

/* Opening. */

/* Takes "unix:LOCAL,unix:REMOTE" apart. */
static bool parse(struct nic_dgram *s, const char *value, GError **error)
{
	const char *comma = strstr(value, "," PREFIX), *remote;

	if (!comma || !g_str_has_prefix(value, PREFIX))
		return option_bad(error, "unix:LOCAL,unix:REMOTE");
	remote = comma + strlen("," PREFIX);
	s->local = g_strndup(value + strlen(PREFIX), (gsize)(comma - value) - strlen(PREFIX));
	s->remote = g_strdup(remote);
	return (*s->local && *s->remote) || option_bad(error, "unix:LOCAL,unix:REMOTE");
}

static bool dgram_open(struct nic *n, GError **error)
{
	struct nic_dgram *s = n->host_data = g_new0(struct nic_dgram, 1);

	s->n = n;
	s->fd = -1;
	s->retry_us = FIRST_RETRY_US;
	s->room = (struct virtio_watch){ .fd = -1, .ready = on_room };
	s->retry.expired = on_retry;
	s->leave.run = on_leave;
	virtio_wakeup_init(n->d, NULL, &s->leave);
	if (!parse(s, nic_options.dgram, error))
		return false;
	s->buf = g_malloc(RECEIVED * (size_t)NET_MAX_FRAME);
	for (unsigned i = 0; i < RECEIVED; i++) {
		s->piece[i] = (struct iovec){ s->buf + i * (size_t)NET_MAX_FRAME, NET_MAX_FRAME };
		s->at[i].msg_hdr = (struct msghdr){ .msg_iov = &s->piece[i], .msg_iovlen = 1 };
	}
	n->pair[0]->watch = (struct virtio_watch){
		.fd = sock_bind_datagram(s->local, 0600, error),
		.ready = on_ready,
	};
	if (n->pair[0]->watch.fd < 0)
		return false;
	nic_sockets[0] = s->remote;
	n->host_up = true;
	reach(s);
	return true;
}

static void dgram_close(struct nic *n)
{
	struct nic_dgram *s = dgram_of(n);

	if (!s)
		return;
	virtio_watch(n->d, NULL, &s->room, 0);
	virtio_watch(n->d, NULL, &n->pair[0]->watch, 0);
	virtio_timer(n->d, NULL, &s->retry, -1);
	fd_close(&s->fd);
	fd_close(&n->pair[0]->watch.fd);
	nic_sockets[0] = NULL;
	g_free(s->local);
	g_free(s->remote);
	g_free(s->buf);
	g_free(s);
}

const struct nic_host nic_host_dgram = {
	.option = "dgram",
	.stable = true,
	.open = dgram_open,
	.close = dgram_close,
	.start = dgram_start,
	.send = dgram_send,
	.receive = dgram_receive,
};

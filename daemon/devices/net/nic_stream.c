/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Unix stream socket: to passt, QEMU or a switch (--stream), or to another virtiod-net, as a wire
 * between two guests (--vhost-pair), on which frames have a header. The peer may leave and come
 * back: the link is down meanwhile. Connecting is a device verb, so that pairs find a connection or
 * none.
 */
#include "nic.h"

#include <errno.h>
#include <unistd.h>

#include "base/option.h"
#include "base/sock.h"
#include "base/util.h"

#define PREFIX "unix:"
#define READ_SIZE (256u << 10)
/* Between attempts to connect: more and more. */
#define FIRST_RETRY_US 50000
#define MAX_RETRY_US 1000000

struct nic_stream {
	struct nic *n;
	char *path;
	int fd; /* -1: there is no peer */
	bool lost; /* the peer is gone, or has broken the protocol: a device verb will close fd */
	bool waited; /* that there is no peer was logged */
	int64_t retry_us;
	struct net_stream_in in;
	struct net_stream_out out;
	struct virtio_watch gone; /* the peer closes: also while no pair is served */
	struct virtio_watch listener; /* fd -1: the other end of the wire listens */
	struct virtio_timer retry;
	struct virtio_wakeup leave;
};

const char *nic_sockets[2];

static struct nic_stream *stream_of(const struct nic *n)
{
	return n->host_data;
}

static void lose(struct nic_stream *s)
{
	s->lost = true;
	virtio_wakeup_signal(&s->leave);
}

/*
 * Watches the socket, for room only if there was none: the kernel tells of that whenever the peer
 * reads, which would wake us once more for each time that we send.
 */
static void watch(struct nic_pair *p, struct vq *q)
{
	virtio_watch(
		p->n->d, q, &p->watch, EPOLLIN | EPOLLRDHUP | EPOLLET | (p->full ? EPOLLOUT : 0u));
}

static void on_ready(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct nic_pair *p = container_of(w, struct nic_pair, watch);
	struct nic_stream *s = stream_of(p->n);

	p->readable |= !!(revents & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	if (p->full && revents & (EPOLLOUT | EPOLLHUP) &&
		(s->lost || net_stream_flush(&s->out, s->fd) != -EAGAIN)) {
		p->full = false;
		nic_tx_run(p);
		watch(p, q);
	}
	nic_rx_run(p);
}

/* Gives the guest the frames that were read. Returns false if it has no buffers for one. */
static bool put_frames(struct nic_pair *p, struct vq *q, struct nic_stream *s)
{
	struct virtio_net_hdr_v1 h;
	const uint8_t *frame;
	ssize_t len;
	bool ok = true;

	while (ok && (len = net_stream_next(&s->in, &frame)) > 0) {
		if (!p->n->header) {
			ok = nic_rx_put(p, q, NULL, frame, (size_t)len);
		} else if ((size_t)len < NIC_HEADER) {
			p->stats.rx_dropped++;
		} else {
			memcpy(&h, frame, NIC_HEADER);
			ok = nic_rx_put(p, q, &h, frame + NIC_HEADER, (size_t)len - NIC_HEADER);
		}
		if (!ok)
			net_stream_untake(&s->in, (size_t)len);
	}
	if (ok && len < 0) {
		log_limited(&p->n->limit, LOG_LEVEL_WARNING, NULL,
			"'%s': the peer sends no frames of 1 to %u bytes: disconnected", s->path,
			s->in.max);
		lose(s);
	}
	return ok && len == 0;
}

static void stream_receive(struct nic_pair *p, struct vq *q)
{
	struct nic_stream *s = stream_of(p->n);

	while (!s->lost && s->fd >= 0 && put_frames(p, q, s) && p->readable) {
		ssize_t n;

		nic_rx_flush(p);
		n = net_stream_read(&s->in, s->fd);
		p->readable = n > 0 && !net_stream_is_drained(&s->in);
		if (n <= 0 && n != -EAGAIN)
			lose(s);
	}
}

/* Sends frames as they are, or each behind its header. */
static int write_frames(
	struct nic_pair *p, struct nic_stream *s, const struct nic_frame *f, unsigned n)
{
	struct net_frame frames[NIC_BATCH];
	struct iovec iov[NIC_PIECES + NIC_BATCH];
	unsigned used = 0;

	for (unsigned i = 0; i < n; i++) {
		frames[i] = f[i].data;
		if (!p->n->header)
			continue;
		frames[i] = (struct net_frame){ .iov = iov + used,
			.n = f[i].data.n + 1,
			.len = f[i].data.len + (uint32_t)NIC_HEADER };
		iov[used++] = (struct iovec){ (void *)&f[i].header, NIC_HEADER };
		memcpy(iov + used, f[i].data.iov, f[i].data.n * sizeof(*iov));
		used += f[i].data.n;
	}
	return net_stream_write(&s->out, s->fd, frames, n);
}

static void wait_for_room(struct nic_pair *p)
{
	struct vq *q = nic_tx_queue(p);

	p->full = true;
	if (q)
		watch(p, q);
}

static unsigned stream_send(struct nic_pair *p, struct nic_frame *f, unsigned n)
{
	struct nic_stream *s = stream_of(p->n);
	unsigned sent = 0;

	while (sent < n && !s->lost && s->fd >= 0) {
		int done = write_frames(p, s, f + sent, n - sent);

		if (done == -EAGAIN) {
			wait_for_room(p);
			return sent;
		}
		if (done < 0)
			lose(s);
		sent += (unsigned)MAX(done, 0);
	}
	/* The end of the last one may wait for room. */
	if (!s->lost && s->fd >= 0 && net_stream_flush(&s->out, s->fd) == -EAGAIN)
		wait_for_room(p);
	return sent + nic_tx_drop(f + sent, n - sent);
}

/* Connections: device verbs. */

static void stream_start(struct nic_pair *p, struct vq *q)
{
	struct nic_stream *s = stream_of(p->n);

	if (s->fd < 0)
		return;
	p->watch.fd = s->fd;
	watch(p, q);
}

static void connected(struct nic_stream *s, int fd)
{
	struct nic_pair *p = s->n->pair[0];
	struct vq *q = nic_rx_queue(p) ? nic_rx_queue(p) : nic_tx_queue(p);

	s->fd = fd;
	s->lost = false;
	s->retry_us = FIRST_RETRY_US;
	if (s->waited)
		log_info(NULL, "'%s': connected", s->path);
	s->waited = false;
	s->gone.fd = fd;
	virtio_watch(s->n->d, NULL, &s->gone, EPOLLRDHUP | EPOLLET);
	p->readable = true;
	if (q)
		stream_start(p, q);
	nic_link_host(s->n, true);
}

static void try_again(struct nic_stream *s)
{
	if (s->listener.fd >= 0)
		return;
	virtio_timer(s->n->d, NULL, &s->retry, g_get_monotonic_time() + s->retry_us);
	s->retry_us = MIN(2 * s->retry_us, MAX_RETRY_US);
}

static bool try_connect(struct nic_stream *s, GError **error)
{
	int fd = sock_connect_now(s->path, error);

	if (fd < 0)
		return false;
	connected(s, fd);
	return true;
}

static void on_retry(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	struct nic_stream *s = container_of(t, struct nic_stream, retry);

	if (s->fd < 0 && !try_connect(s, NULL))
		try_again(s);
}

static void on_arrival(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct nic_stream *s = container_of(w, struct nic_stream, listener);
	int fd = sock_accept(w->fd);

	/* There is one other end of a wire. */
	if (fd >= 0 && s->fd >= 0)
		close(fd);
	else if (fd >= 0)
		connected(s, fd);
}

static void disconnect(struct nic_stream *s)
{
	struct nic_pair *p = s->n->pair[0];

	virtio_watch(s->n->d, NULL, &s->gone, 0);
	virtio_watch(s->n->d, NULL, &p->watch, 0);
	fd_close(&s->fd);
	net_stream_in_reset(&s->in);
	net_stream_out_reset(&s->out);
	p->full = p->readable = false;
}

static void leave(struct nic_stream *s)
{
	if (s->fd < 0)
		return;
	disconnect(s);
	log_warning(NULL, "'%s': the peer is gone: the link is down until it is back", s->path);
	s->waited = true;
	nic_link_host(s->n, false);
	/* What waits for room is dropped now. */
	nic_tx_run(s->n->pair[0]);
	try_again(s);
}

static void on_leave(struct virtio_device *d, struct vq *q, struct virtio_wakeup *w)
{
	leave(container_of(w, struct nic_stream, leave));
}

static void on_gone(struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	leave(container_of(w, struct nic_stream, gone));
}

/* Opening. */

static struct nic_stream *new_stream(struct nic *n, const char *value, GError **error)
{
	struct nic_stream *s;

	if (!g_str_has_prefix(value, PREFIX) || !value[strlen(PREFIX)]) {
		option_bad(error, "unix:PATH");
		return NULL;
	}
	s = n->host_data = g_new0(struct nic_stream, 1);
	s->n = n;
	s->path = g_strdup(value + strlen(PREFIX));
	s->fd = -1;
	s->retry_us = FIRST_RETRY_US;
	s->gone = (struct virtio_watch){ .fd = -1, .ready = on_gone };
	s->listener = (struct virtio_watch){ .fd = -1, .ready = on_arrival };
	s->retry.expired = on_retry;
	s->leave.run = on_leave;
	virtio_wakeup_init(n->d, NULL, &s->leave);
	n->pair[0]->watch = (struct virtio_watch){ .fd = -1, .ready = on_ready };
	net_stream_in_init(&s->in, READ_SIZE, n->header ? NIC_LONGEST : NET_MAX_FRAME);
	net_stream_out_init(&s->out, NIC_LONGEST);
	return s;
}

/* Waits for a peer that is not there: the guest may well come first. */
static bool connect_or_wait(struct nic_stream *s, GError **error)
{
	g_autoptr(GError) why = NULL;

	nic_sockets[0] = s->path;
	if (try_connect(s, &why))
		return true;
	if (!g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT) &&
		!g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_FAILED) &&
		!g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_AGAIN)) {
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	log_info(NULL, "%s: the link is down until it is there", why->message);
	s->waited = true;
	try_again(s);
	return true;
}

static bool open_at(struct nic *n, const char *value, GError **error)
{
	struct nic_stream *s = new_stream(n, value, error);

	return s && connect_or_wait(s, error);
}

static bool stream_open(struct nic *n, GError **error)
{
	return open_at(n, nic_options.stream, error);
}

static bool switch_open(struct nic *n, GError **error)
{
	return open_at(n, nic_options.to_switch, error);
}

/* Connects to the other end, or is the first one, and listens. */
static bool wire_open(struct nic *n, GError **error)
{
	struct nic_stream *s = new_stream(n, nic_options.vhost_pair, error);

	if (!s)
		return false;
	nic_sockets[0] = s->path;
	if (try_connect(s, NULL))
		return true;
	s->listener.fd = sock_listen(s->path, 0600, (gid_t)-1, error);
	if (s->listener.fd < 0)
		return false;
	nic_sockets[0] = NULL;
	virtio_watch(n->d, NULL, &s->listener, EPOLLIN);
	return true;
}

static void stream_close(struct nic *n)
{
	struct nic_stream *s = stream_of(n);

	if (!s)
		return;
	disconnect(s);
	virtio_watch(n->d, NULL, &s->listener, 0);
	virtio_timer(n->d, NULL, &s->retry, -1);
	fd_close(&s->listener.fd);
	net_stream_in_free(&s->in);
	net_stream_out_free(&s->out);
	nic_sockets[0] = NULL;
	g_free(s->path);
	g_free(s);
}

#define STREAM_HOST                                                                        \
	.stable = true, .close = stream_close, .start = stream_start, .send = stream_send, \
	.receive = stream_receive

const struct nic_host nic_host_stream = { .option = "stream", .open = stream_open, STREAM_HOST };

const struct nic_host nic_host_switch = { .option = "switch", .open = switch_open, STREAM_HOST };

const struct nic_host nic_host_wire = {
	.option = "vhost-pair",
	.header = true,
	.open = wire_open,
	STREAM_HOST,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's socket. It is watched edge-triggered, once: whether it is readable or writable is
 * remembered until a call says that it is not. No call waits.
 */
#include "daemon/devices/vsock/vsock.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define MAX_IOV 64

static bool is_seqpacket(const struct vsock_conn *c)
{
	return c->type == VIRTIO_VSOCK_TYPE_SEQPACKET;
}

/* Returns how much waits for the socket: bytes, or whole messages. */
static uint32_t waiting(const struct vsock_conn *c)
{
	return is_seqpacket(c) ? c->buffer.n_ends : c->buffer.used;
}

/* Tells the guest of what was forwarded, if that is worth it. */
static void tell_credit(struct vsock_conn *c)
{
	uint32_t news = c->forwarded - c->told_forwarded;
	uint32_t room = c->grant - (c->received - c->told_forwarded); /* as the guest knows */
	/* Then nothing more is forwarded before the guest sends more: the rest of a message. */
	bool is_stuck = c->buffer.used && !waiting(c);

	if (news && room < c->grant / 2 && (news >= c->grant / 4 || is_stuck))
		vsock_conn_tell(c, VSOCK_NEWS_CREDIT);
}

static ssize_t put(struct vsock_conn *c, struct iovec *iov, unsigned n)
{
	const struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t done;

	do
		done = sendmsg(c->watch.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (done < 0 && errno == EINTR);
	return done;
}

/* Decides what becomes of data that could not be sent; false: the connection is gone. */
static bool put_failed(struct vsock_conn *c, int err)
{
	c->writable = false;
	if (err == EAGAIN)
		return true;
	if (err == EPIPE || err == ECONNRESET) {
		bool lingers = c->state == VSOCK_LINGERING;

		vsock_host_ended(c, VSOCK_NO_RECEIVE);
		return !lingers;
	}
	log_limited(&c->v->limit, LOG_LEVEL_WARNING, NULL,
		"cannot send to a socket of the host: %s: the connection ends", g_strerror(err));
	vsock_conn_reset(c);
	return false;
}

/*
 * Tells the socket's peer if the guest sends no more and all of it was taken. Returns false if c is
 * gone.
 */
static bool finish_sending(struct vsock_conn *c)
{
	if (waiting(c) || !(c->guest_ended & VSOCK_NO_SEND))
		return true;
	if (c->state == VSOCK_LINGERING) {
		vsock_conn_free(c);
		return false;
	}
	if (c->watch.fd >= 0)
		shutdown(c->watch.fd, SHUT_WR);
	return true;
}

/* Sends what was kept, as far as the socket takes it. Returns false if c is gone. */
static bool flush(struct vsock_conn *c)
{
	struct vsock_buffer *b = &c->buffer;

	if (!b->used)
		return true;
	while (c->writable && waiting(c)) {
		uint32_t len = is_seqpacket(c) ? vsock_buffer_message(b) : b->used;
		struct iovec iov[2];
		ssize_t done = put(c, iov, vsock_buffer_peek(b, len, iov));

		if (done < 0 && !put_failed(c, errno))
			return false;
		if (done < 0)
			break;
		/* A stream that takes a part takes no more for now. */
		c->writable = done == len;
		vsock_buffer_skip(b, (uint32_t)done);
		c->forwarded += (uint32_t)done;
	}
	tell_credit(c);
	return finish_sending(c);
}

/* Sends from the guest's memory what the socket takes. Returns false if c is gone. */
static bool send_directly(struct vsock_conn *c, struct iov_cursor *out)
{
	while (iov_left(out) && c->writable) {
		struct iovec iov[MAX_IOV];
		unsigned n;
		size_t len = iov_peek(out, iov_left(out), iov, MAX_IOV, &n);
		ssize_t done;

		/* A message goes in one piece, or by the buffer. */
		if (is_seqpacket(c) && len < iov_left(out))
			break;
		done = put(c, iov, n);
		if (done < 0)
			return put_failed(c, errno);
		c->writable = (size_t)done == len;
		iov_skip(out, (size_t)done);
		c->forwarded += (uint32_t)done;
	}
	return true;
}

void vsock_host_send(struct vsock_conn *c, struct iov_cursor *out, bool ends)
{
	struct vsock_buffer *b = &c->buffer;
	size_t len = iov_left(out);
	bool has_left;

	c->received += (uint32_t)len;
	if (!b->used && (!is_seqpacket(c) || ends) && !(c->host_ended & VSOCK_NO_RECEIVE) &&
		!send_directly(c, out))
		return;
	if (c->host_ended & VSOCK_NO_RECEIVE) {
		c->forwarded += (uint32_t)iov_left(out);
		iov_finish(out);
	}
	has_left = iov_left(out) || (!len && ends);
	vsock_buffer_put(b, out);
	if (has_left && ends)
		vsock_buffer_end(b);
	if (has_left && ends && is_seqpacket(c) && !flush(c))
		return;
	tell_credit(c);
}

void vsock_host_linger(struct vsock_conn *c)
{
	vsock_conn_unname(c);
	c->state = VSOCK_LINGERING;
	c->news = 0;
	c->guest_ended = VSOCK_NEITHER;
	vsock_set_timer(c, -1);
	flush(c);
}

void vsock_host_guest_ended(struct vsock_conn *c, unsigned directions)
{
	unsigned before = c->guest_ended;

	c->guest_ended |= directions;
	if (c->guest_ended == VSOCK_NEITHER) {
		const struct vsock_reset r = { c->key, c->v->guest_cid, c->type };

		vsock_rx_refuse(c->v, &r); /* it agrees */
		if (c->state == VSOCK_OPEN && waiting(c)) {
			shutdown(c->watch.fd, SHUT_RD);
			vsock_host_linger(c);
		} else {
			vsock_conn_free(c);
		}
		return;
	}
	if (c->watch.fd >= 0 && c->guest_ended & ~before & VSOCK_NO_RECEIVE)
		shutdown(c->watch.fd, SHUT_RD);
	if (c->guest_ended & ~before & VSOCK_NO_SEND)
		finish_sending(c);
}

void vsock_host_ended(struct vsock_conn *c, unsigned directions)
{
	unsigned news = directions & ~c->host_ended;

	c->host_ended |= directions;
	if (news & VSOCK_NO_RECEIVE) {
		c->forwarded += c->buffer.used;
		vsock_buffer_skip(&c->buffer, c->buffer.used);
	}
	if (c->state == VSOCK_LINGERING)
		vsock_conn_free(c);
	else if (news)
		vsock_conn_tell(c, VSOCK_NEWS_SHUTDOWN);
}

/* Returns whether a read of nothing was the end, and not an empty message. */
static bool is_end(const struct vsock_conn *c)
{
	struct pollfd p = { .fd = c->watch.fd, .events = POLLRDHUP };

	return !is_seqpacket(c) || c->hung_up || poll(&p, 1, 0) > 0;
}

/* Returns whether a socket whose peer sends no more takes no more, either. */
static bool is_closed(const struct vsock_conn *c)
{
	if (c->closed || !c->by_kernel || c->guest_ended & VSOCK_NO_SEND)
		return c->closed;
	/* AF_VSOCK has no event for it; nothing is sent. */
	return send(c->watch.fd, NULL, 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0;
}

ssize_t vsock_host_read(
	struct vsock_conn *c, const struct iovec *iov, unsigned n, size_t len, bool *cut)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };
	ssize_t got;

	do
		got = recvmsg(c->watch.fd, &msg, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	*cut = got > 0 && msg.msg_flags & MSG_TRUNC;
	if (got < 0 && errno != EAGAIN)
		return -1;
	if (got < 0)
		c->readable = false;
	else if (got == 0 && is_end(c))
		vsock_host_ended(c, is_closed(c) ? VSOCK_NEITHER : VSOCK_NO_SEND);
	else if ((size_t)got < len && !is_seqpacket(c) && !c->hung_up)
		c->readable = false; /* more is a new event */
	return MAX(got, 0);
}

/* Finds out what events mean for a connection; returns false if c is gone. */
static bool take_events(struct vsock_conn *c, uint32_t revents)
{
	c->closed |= !!(revents & (EPOLLHUP | EPOLLERR));
	if (c->closed && c->state == VSOCK_ASKED) {
		vsock_conn_reset(c);
		return false;
	}
	c->hung_up |= c->closed || revents & EPOLLRDHUP;
	c->readable |= c->hung_up || revents & EPOLLIN;
	c->writable |= !!(revents & EPOLLOUT);
	if (c->closed && c->state == VSOCK_LINGERING) {
		vsock_conn_free(c);
		return false;
	}
	/* Otherwise the end is told when it is read, after all that was sent. */
	if (c->closed && (c->guest_ended & VSOCK_NO_RECEIVE || c->host_ended & VSOCK_NO_SEND))
		vsock_host_ended(c, VSOCK_NEITHER);
	return flush(c);
}

static void on_event(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct vsock_conn *c = container_of(w, struct vsock_conn, watch);
	struct vsock *v = c->v;

	if (c->state == VSOCK_HELLO)
		vsock_listen_hello(c, revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	else if (c->state == VSOCK_GREETING)
		vsock_group_answered(c, revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	else if (take_events(c, revents))
		vsock_conn_ready(c);
	vsock_rx_run(v);
}

void vsock_host_attach(struct vsock_conn *c, int fd)
{
	const int size = VSOCK_BUFFER_MAX;

	c->watch.fd = fd;
	c->watch.ready = on_event;
	c->readable = c->writable = true;
	c->window = 1;
	/* Room for any message that the guest may send. */
	if (is_seqpacket(c))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	virtio_watch(c->v->d, NULL, &c->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	if (c->guest_ended & VSOCK_NO_RECEIVE)
		shutdown(fd, SHUT_RD);
	if (c->guest_ended & VSOCK_NO_SEND)
		shutdown(fd, SHUT_WR);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link to an interface of the host, by a raw socket of SocketCAN. The kernel loops a frame back
 * when the interface has sent it, which is the guest's acknowledgement. The interface is the
 * operator's: bit rate, up and down, and its restart from bus-off.
 */
#include "daemon/devices/can/can.h"

#include <errno.h>
#include <linux/can/error.h>

#include "base/util.h"
#include "daemon/devices/can/can_host.h"

#define RETRY_US 1000 /* the interface's queue is full; nothing tells when it is not */
#define BURST 64

struct can_socket {
	struct can *c;
	struct virtio_watch watch;
	struct virtio_timer retry;
	bool is_full; /* there is no room for what is received */
	bool must_wait; /* the socket can take no frame */
};

static void update_watch(struct can_socket *s)
{
	virtio_watch(s->c->d, NULL, &s->watch,
		(s->is_full ? 0u : EPOLLIN) | (s->must_wait ? EPOLLOUT : 0u));
}

static void socket_resume(struct can *c)
{
	struct can_socket *s = c->link_data;

	s->is_full = false;
	update_watch(s);
}

static int socket_send(struct can *c, const struct canfd_frame *f)
{
	struct can_socket *s = c->link_data;
	size_t len = f->flags & CANFD_FDF ? CANFD_MTU : CAN_MTU;
	struct canfd_frame copy = *f;

	if (len == CAN_MTU)
		copy.flags = 0;
	if (can_host_send(s->watch.fd, &copy, len) == (ssize_t)len) {
		/* Its acknowledgement is behind what there is no room for. */
		if (s->is_full)
			socket_resume(c);
		return 1;
	}
	if (errno == ENOBUFS) {
		virtio_timer(c->d, NULL, &s->retry, g_get_monotonic_time() + RETRY_US);
		return -EAGAIN;
	}
	if (errno == EAGAIN) {
		s->must_wait = true;
		update_watch(s);
		return -EAGAIN;
	}
	log_limited(
		&c->limit, LOG_LEVEL_WARNING, NULL, "cannot send a frame: %s", g_strerror(errno));
	return -errno;
}

static void take_error(struct can *c, uint32_t class)
{
	if (class & CAN_ERR_BUSOFF) {
		log_limited(&c->limit, LOG_LEVEL_WARNING, NULL, "the interface is bus-off");
		can_link_down(c, true);
	} else if (class & CAN_ERR_RESTARTED) {
		can_link_down(c, false);
	}
}

static void take(struct can *c, struct canfd_frame *f, size_t len, bool own)
{
	if (f->can_id & CAN_ERR_FLAG) {
		take_error(c, f->can_id);
		return;
	}
	f->flags = len == CANFD_MTU ? CANFD_FDF : 0;
	if (c->is_down)
		can_link_down(c, false);
	if (own)
		can_tx_acked(c, f->can_id);
	else if (can_is_frame(f))
		can_rx_take(c, f);
}

static void take_failure(struct can_socket *s, int error)
{
	if (error == EAGAIN)
		return;
	log_limited(&s->c->limit, LOG_LEVEL_WARNING, NULL, "the interface fails: %s",
		g_strerror(error));
	can_link_down(s->c, true);
	/* It may be there again at any time: then sending works. */
	s->c->is_down = false;
	if (error == ENETDOWN)
		return;
	virtio_watch(s->c->d, NULL, &s->watch, 0);
}

static void socket_ready(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct can_socket *s = container_of(w, struct can_socket, watch);
	struct can *c = s->c;
	struct canfd_frame f;
	bool own;

	for (unsigned i = 0; i < BURST; i++) {
		ssize_t n;

		/* For acknowledgements in between the guest loses frames. */
		s->is_full = !can_rx_has_room(c) && !c->n_pending;
		if (s->is_full)
			break;
		memset(&f, 0, sizeof(f));
		n = can_host_recv(w->fd, &f, sizeof(f), &own);
		if (n < 0) {
			take_failure(s, errno);
			break;
		}
		if (n == CAN_MTU || n == CANFD_MTU)
			take(c, &f, (size_t)n, own);
	}
	if (revents & EPOLLOUT) {
		s->must_wait = false;
		can_tx_resume(c);
	}
	if (w->core.owner)
		update_watch(s);
}

static void socket_retry(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	can_tx_resume(d->data);
}

static void socket_close(struct can *c)
{
	struct can_socket *s = c->link_data;

	virtio_watch(c->d, NULL, &s->watch, 0);
	virtio_timer(c->d, NULL, &s->retry, -1);
	fd_close(&s->watch.fd);
	g_free(s);
}

static const struct can_link socket_link = {
	.send = socket_send,
	.resume = socket_resume,
	.close = socket_close,
};

bool can_socket_open(struct can *c, const char *interface, GError **error)
{
	struct can_socket *s;
	int mtu, fd;

	fd = can_host_open(interface, &mtu);
	if (fd < 0) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"cannot use the interface: %s", g_strerror(errno));
		return false;
	}
	if (mtu < (int)CANFD_MTU)
		c->d->features &= ~(1ull << CAN_F_FD);
	s = g_new0(struct can_socket, 1);
	s->c = c;
	s->watch = (struct virtio_watch){ .fd = fd, .ready = socket_ready };
	s->retry.expired = socket_retry;
	c->link = &socket_link;
	c->link_data = s;
	update_watch(s);
	return true;
}

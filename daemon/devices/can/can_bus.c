/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bus of Unix sockets: the first program at a path carries it, the next ones connect to that. On
 * a connection each frame is a struct canfd_frame, and comes to all but the one that has sent it,
 * in the same order everywhere. One frame at a time is on its way. A place that cannot take it is
 * waited for, but not for long, and only once until it takes frames again. The socket's file stays
 * behind, as the sandbox has no way to remove it.
 */
#include "daemon/devices/can/can.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/option.h"
#include "base/sock.h"
#include "base/util.h"

#define PREFIX "unix:"
#define WAIT_US 1000000
#define BURST 64
/* Places: those of connections, and our own controller's. */
#define OWN CAN_BUS_NODES
#define ALL (CAN_BUS_NODES + 1)

struct can_node {
	struct can_bus *bus;
	struct virtio_watch watch; /* fd -1: free */
	uint8_t bytes[sizeof(struct canfd_frame)]; /* of a frame that has come in part */
	size_t n;
};

struct can_bus {
	struct can *c;
	char *path;
	struct virtio_watch listener; /* fd -1: another program carries the bus */
	struct can_node node[CAN_BUS_NODES];
	struct canfd_frame frame; /* on its way, from one place to those of todo */
	unsigned from;
	uint64_t todo, slow; /* slow: places that are not waited for */
	struct virtio_timer timer;
};

static uint64_t bit(unsigned place)
{
	return 1ull << place;
}

static struct can_node *node_at(struct can_bus *b, unsigned place)
{
	return place < CAN_BUS_NODES && b->node[place].watch.fd >= 0 ? &b->node[place] : NULL;
}

/* Watches connections for what can be done now: to read, or to go on with a frame. */
static void update_watches(struct can_bus *b)
{
	for (unsigned i = 0; i < CAN_BUS_NODES; i++) {
		if (node_at(b, i))
			virtio_watch(b->c->d, NULL, &b->node[i].watch,
				(b->todo ? 0u : EPOLLIN) | (b->todo & bit(i) ? EPOLLOUT : 0u));
	}
}

static void drop_node(struct can_bus *b, struct can_node *n)
{
	virtio_watch(b->c->d, NULL, &n->watch, 0);
	fd_close(&n->watch.fd);
	n->n = 0;
	b->c->n_connections--;
	b->todo &= ~bit((unsigned)(n - b->node));
	b->slow &= ~bit((unsigned)(n - b->node));
	if (b->listener.fd >= 0)
		return;
	log_error(NULL, "the program that carries the bus at '%s' has ended: start this one again",
		b->path);
	can_link_down(b->c, true);
}

/* Gives the frame to a place. Returns false if that cannot take it now. */
static bool give(struct can_bus *b, unsigned place)
{
	struct can_node *n = node_at(b, place);
	ssize_t sent;

	if (place == OWN) {
		if (b->c->state == CAN_STARTED && !can_rx_has_room(b->c))
			return false;
		can_rx_take(b->c, &b->frame);
		return true;
	}
	if (!n)
		return true;
	sent = sock_send_some(n->watch.fd, &b->frame, sizeof(b->frame));
	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (sent != sizeof(b->frame))
		drop_node(b, n);
	return true;
}

/*
 * Gives the frame to who can take it, and forgets it where there is no room (is_late), or was none
 * for the last one. Returns true once it is not on its way any more.
 */
static bool go_on(struct can_bus *b, bool is_late)
{
	uint64_t later = 0;

	for (unsigned i = 0; b->todo && i < ALL; i++) {
		if (!(b->todo & bit(i)))
			continue;
		/* First: the guest may take it at once, and then resumes the link. */
		b->todo &= ~bit(i);
		if (give(b, i))
			b->slow &= ~bit(i);
		else if (is_late)
			b->slow |= bit(i);
		else if (!(b->slow & bit(i)))
			later |= bit(i);
	}
	b->todo = later;
	return !later;
}

/* Sends a frame to all but one place. Returns true if all have it. */
static bool carry(struct can_bus *b, const struct canfd_frame *f, unsigned from)
{
	b->frame = *f;
	b->from = from;
	b->todo = (bit(ALL) - 1) & ~bit(from);
	if (go_on(b, false))
		return true;
	virtio_timer(b->c->d, NULL, &b->timer, g_get_monotonic_time() + WAIT_US);
	update_watches(b);
	return false;
}

/* Lets the next frame be on its way. */
static void finish(struct can_bus *b)
{
	virtio_timer(b->c->d, NULL, &b->timer, -1);
	if (b->from == OWN)
		can_tx_acked(b->c, b->frame.can_id);
	can_tx_resume(b->c);
	update_watches(b);
}

static void bus_expired(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	struct can_bus *b = container_of(t, struct can_bus, timer);

	log_limited(&b->c->limit, LOG_LEVEL_WARNING, NULL,
		"frames are dropped: a program at the bus, or the guest, does not take them");
	go_on(b, true);
	finish(b);
}

/* Reads the next frame of a connection. Returns false if there is none. */
static bool read_frame(struct can_bus *b, struct can_node *n, struct canfd_frame *f)
{
	ssize_t got = read(n->watch.fd, n->bytes + n->n, sizeof(n->bytes) - n->n);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		drop_node(b, n);
		return false;
	}
	n->n += (size_t)got;
	if (n->n < sizeof(n->bytes))
		return false;
	n->n = 0;
	memcpy(f, n->bytes, sizeof(*f));
	return true;
}

static void node_ready(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct can_node *n = container_of(w, struct can_node, watch);
	struct can_bus *b = n->bus;
	struct canfd_frame f;

	if (b->todo) {
		if (go_on(b, false))
			finish(b);
		return;
	}
	for (unsigned i = 0; i < BURST && !b->todo && n->watch.fd >= 0; i++) {
		if (!read_frame(b, n, &f))
			return;
		f.flags &= CANFD_FDF;
		if (can_is_frame(&f))
			carry(b, &f, (unsigned)(n - b->node));
	}
}

static bool add_node(struct can_bus *b, int fd)
{
	for (unsigned i = 0; i < CAN_BUS_NODES; i++) {
		struct can_node *n = &b->node[i];

		if (n->watch.fd >= 0)
			continue;
		n->watch.fd = fd;
		b->c->n_connections++;
		update_watches(b);
		return true;
	}
	return false;
}

static void bus_arrival(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct can_bus *b = container_of(w, struct can_bus, listener);
	autofd fd = sock_accept(w->fd);

	if (fd < 0)
		return;
	if (add_node(b, fd))
		fd_steal(&fd);
	else
		log_limited(&b->c->limit, LOG_LEVEL_WARNING, NULL,
			"a program at the bus is refused: there are %d", CAN_BUS_NODES);
}

static int bus_send(struct can *c, const struct canfd_frame *f)
{
	struct can_bus *b = c->link_data;

	if (c->is_down)
		return -ENETDOWN;
	if (b->todo)
		return -EAGAIN;
	return carry(b, f, OWN) ? 0 : 1;
}

static void bus_resume(struct can *c)
{
	struct can_bus *b = c->link_data;

	if (b->todo & bit(OWN) && go_on(b, false))
		finish(b);
}

static void bus_close(struct can *c)
{
	struct can_bus *b = c->link_data;

	virtio_timer(c->d, NULL, &b->timer, -1);
	virtio_watch(c->d, NULL, &b->listener, 0);
	for (unsigned i = 0; i < CAN_BUS_NODES; i++) {
		virtio_watch(c->d, NULL, &b->node[i].watch, 0);
		fd_close(&b->node[i].watch.fd);
	}
	fd_close(&b->listener.fd);
	g_free(b->path);
	g_free(b);
}

static const struct can_link bus_link = {
	.send = bus_send,
	.resume = bus_resume,
	.close = bus_close,
};

static bool join(struct can_bus *b, int fd, GError **error)
{
	if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return add_node(b, fd);
	close(fd);
	return option_bad(error, "%s", g_strerror(errno));
}

bool can_bus_open(struct can *c, const char *where, GError **error)
{
	struct can_bus *b;
	int fd;

	bool is_null = strcmp(where, "null") == 0;

	if (!is_null && (!g_str_has_prefix(where, PREFIX) || !where[strlen(PREFIX)]))
		return option_bad(error, "unix:PATH or null");
	b = g_new0(struct can_bus, 1);
	b->c = c;
	b->path = g_strdup(is_null ? where : where + strlen(PREFIX));
	b->listener = (struct virtio_watch){ .fd = -1, .ready = bus_arrival };
	b->timer.expired = bus_expired;
	for (unsigned i = 0; i < CAN_BUS_NODES; i++) {
		b->node[i].bus = b;
		b->node[i].watch = (struct virtio_watch){ .fd = -1, .ready = node_ready };
	}
	c->link = &bus_link;
	c->link_data = b;
	if (is_null)
		return true;
	fd = sock_connect(b->path, NULL);
	if (fd >= 0)
		return join(b, fd, error);
	b->listener.fd = sock_listen(b->path, 0600, (gid_t)-1, error);
	if (b->listener.fd < 0)
		return false;
	virtio_watch(c->d, NULL, &b->listener, EPOLLIN);
	return true;
}

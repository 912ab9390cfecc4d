/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the guest: to PATH_PORT, or to another guest's program. In the sandbox another
 * process makes them, which this one does not wait for. A server whose backlog is full is tried
 * again as long as Linux' connect() waits by default.
 */
#include "daemon/devices/vsock/vsock.h"

#include <errno.h>
#include <stdio.h>
#include <sys/un.h>

#include "base/sock.h"
#include "base/sock_maker.h"

#define PATIENCE_US 2000000
#define ANSWER_US 10000000 /* of that process, which may have to wait for a processor */
#define RETRY_US 2000
#define BURST 64
/* A request's number has the connection's index in these bits. */
#define INDEX_BITS 15

static void refuse(struct vsock_conn *c)
{
	c->v->count.refused++;
	vsock_conn_reset(c);
}

void vsock_dialled(struct vsock_conn *c, int result)
{
	if (result == -EAGAIN && g_get_monotonic_time() < c->dial_end) {
		vsock_set_timer(c, RETRY_US);
		return;
	}
	if (result < 0) {
		refuse(c);
		return;
	}
	vsock_host_attach(c, result);
	if (vsock_is_sibling(c->v, c->key.cid)) {
		vsock_group_greet(c);
		return;
	}
	c->readable = false; /* the watch tells what is there already */
	vsock_dial_open_now(c);
}

void vsock_dial_open_now(struct vsock_conn *c)
{
	vsock_set_timer(c, -1);
	c->state = VSOCK_OPEN;
	c->v->count.opened++;
	vsock_conn_tell(c, VSOCK_NEWS_RESPONSE);
}

static void on_answer(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct vsock *v = container_of(w, struct vsock, maker);
	uint32_t serial;
	unsigned n = 0;
	int result;

	for (; n < BURST && sock_maker_take(&serial, &result); n++) {
		struct vsock_conn *c = &v->conn[(serial & ((1u << INDEX_BITS) - 1)) % v->max_conns];

		if (c->state == VSOCK_DIALLING && c->serial == serial)
			vsock_dialled(c, result);
		else
			fd_close(&result);
	}
	if (!n && revents & (EPOLLHUP | EPOLLERR))
		virtio_watch(d, NULL, w, 0);
	vsock_rx_run(v);
}

/* Has the other process connect. */
static void ask(struct vsock_conn *c, const char *path)
{
	struct vsock *v = c->v;
	int err;

	if (v->maker.fd < 0) {
		v->maker.fd = sock_maker_fd();
		virtio_watch(v->d, NULL, &v->maker, EPOLLIN);
	}
	c->serial = ++v->last_serial << INDEX_BITS | (uint32_t)(c - v->conn);
	err = sock_maker_ask(c->serial, path, c->type == VIRTIO_VSOCK_TYPE_SEQPACKET);
	if (err)
		vsock_dialled(c, err);
	else
		vsock_set_timer(c, ANSWER_US);
}

void vsock_dial(struct vsock_conn *c)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	int64_t now = g_get_monotonic_time();
	bool is_stream = c->type == VIRTIO_VSOCK_TYPE_STREAM;
	int n;

	if (c->v->native && !vsock_is_sibling(c->v, c->key.cid)) {
		vsock_native_dial(c);
		return;
	}
	if (vsock_is_sibling(c->v, c->key.cid))
		n = snprintf(path, sizeof(path), "%s%u",
			is_stream ? c->v->group : c->v->group_records, (uint32_t)c->key.cid);
	else
		n = snprintf(path, sizeof(path), "%s_%u", c->v->path, c->key.host_port);
	if (!c->dial_end)
		c->dial_end = now + PATIENCE_US;
	if (n >= (int)sizeof(path) || now >= c->dial_end)
		refuse(c);
	else if (sock_maker_is_used())
		ask(c, path);
	else
		vsock_dialled(c, is_stream ? sock_try(path) : sock_try_records(path));
}

void vsock_dial_open(struct vsock *v)
{
	v->maker = (struct virtio_watch){ .fd = -1, .ready = on_answer };
}

void vsock_dial_close(struct vsock *v)
{
	virtio_watch(v->d, NULL, &v->maker, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the host: a client at PATH sends "CONNECT PORT\n", and gets "OK PORT\n" with its
 * own port once the guest has accepted. What follows the line is data, also if the client has not
 * waited for the answer.
 */
#include "daemon/devices/vsock/vsock.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/number.h"
#include "base/sock.h"

/* How long a client may take to say what it wants, and the guest to accept. */
#define HELLO_US 4000000
#define ASK_US 4000000
#define AGAIN_US 100000
#define BURST 64
#define HELLO "CONNECT "
#define MAX_HELLO 31
/* The host's ports of these connections. */
#define FIRST_PORT (1u << 30)

/* Chooses a port of the host's that is free. */
static struct vsock_key make_key(struct vsock *v, uint32_t guest_port)
{
	struct vsock_key key = { VSOCK_HOST_CID, guest_port, 0 };

	do
		key.host_port = FIRST_PORT | (v->next_port++ & (FIRST_PORT - 1));
	while (vsock_conn_find(v, &key));
	return key;
}

/* Asks the guest to accept. */
static void ask_guest(struct vsock_conn *c, const struct vsock_key *key)
{
	c->state = VSOCK_ASKED;
	vsock_conn_name(c, key, c->type);
	vsock_set_timer(c, ASK_US);
	vsock_conn_tell(c, VSOCK_NEWS_REQUEST);
}

/* Begins a connection with a client's socket. */
static void begin(struct vsock_conn *c, enum vsock_listener where, int fd)
{
	struct vsock *v = c->v;
	struct vsock_key key;

	c->came_to = where;
	c->type = where == VSOCK_AT_GROUP_RECORDS ? VIRTIO_VSOCK_TYPE_SEQPACKET
						  : VIRTIO_VSOCK_TYPE_STREAM;
	vsock_host_attach(c, fd);
	if (where < VSOCK_AT_NATIVE) {
		vsock_set_timer(c, HELLO_US);
		return;
	}
	c->by_kernel = true;
	key = make_key(v, v->native_port[where - VSOCK_AT_NATIVE]);
	if (vsock_is_type(v, c->type))
		ask_guest(c, &key);
	else
		vsock_conn_free(c);
}

static void on_arrival(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct vsock *v = d->data;

	for (unsigned i = 0; i < BURST; i++) {
		struct vsock_conn *c;
		int fd = sock_accept(w->fd);

		if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED) {
			/* There are too many open files: it would stay ready. */
			virtio_watch(d, NULL, w, 0);
			virtio_timer(d, NULL, &v->listen_again, g_get_monotonic_time() + AGAIN_US);
		}
		if (fd < 0)
			return;
		c = vsock_conn_new(v, VSOCK_HELLO);
		if (!c) {
			v->count.refused++;
			close(fd);
			continue;
		}
		begin(c, (enum vsock_listener)(w - v->listener), fd);
	}
}

static void listen_again(struct virtio_device *d, struct vq *q, struct virtio_timer *t)
{
	struct vsock *v = container_of(t, struct vsock, listen_again);

	for (unsigned i = 0; i < VSOCK_LISTENERS; i++) {
		if (v->listener[i].fd >= 0)
			virtio_watch(d, NULL, &v->listener[i], EPOLLIN);
	}
}

/* Reads the number of a line "CONNECT PORT". */
static bool parse(struct vsock *v, const char *line, struct vsock_key *key)
{
	uint64_t number;

	if (strlen(line) > MAX_HELLO || !g_str_has_prefix(line, HELLO) ||
		!number_parse(line + strlen(HELLO), 0, UINT32_MAX - 1, &number))
		return false;
	*key = make_key(v, (uint32_t)number);
	return true;
}

bool vsock_listen_read_line(struct vsock_conn *c, char line[VSOCK_MAX_LINE + 1])
{
	ssize_t n = recv(c->watch.fd, line, VSOCK_MAX_LINE, MSG_PEEK | MSG_DONTWAIT);
	const char *end = n > 0 ? memchr(line, '\n', (size_t)n) : NULL;
	bool is_message = c->type == VIRTIO_VSOCK_TYPE_SEQPACKET;

	/* Of a message the rest would be lost, or does not come. */
	if (n >= 0 && (is_message ? end != line + n - 1 : !end)) {
		errno = is_message || n == 0 || n == VSOCK_MAX_LINE ? EINVAL : EAGAIN;
		return false;
	}
	if (n < 0)
		return false;
	n = recv(c->watch.fd, line, (size_t)(end - line) + 1, MSG_DONTWAIT);
	if (n <= 0)
		return false;
	line[n - 1] = '\0';
	return true;
}

void vsock_listen_hello(struct vsock_conn *c, bool hung_up)
{
	char line[VSOCK_MAX_LINE + 1];
	struct vsock_key key;

	if (!vsock_listen_read_line(c, line)) {
		if (errno != EAGAIN || hung_up)
			vsock_conn_free(c);
		return;
	}
	if (!vsock_is_type(c->v, c->type) ||
		(c->came_to != VSOCK_AT_PATH ? !vsock_group_parse(c->v, line, &key)
					     : !parse(c->v, line, &key))) {
		c->v->count.refused++;
		vsock_conn_free(c);
		return;
	}
	ask_guest(c, &key);
}

void vsock_listen_accepted(struct vsock_conn *c)
{
	char line[VSOCK_MAX_LINE];
	int n = snprintf(line, sizeof(line), "OK %u\n", c->key.host_port);

	if (c->came_to < VSOCK_AT_NATIVE && sock_send_some(c->watch.fd, line, (size_t)n) != n) {
		vsock_conn_reset(c);
		return;
	}
	vsock_set_timer(c, -1);
	c->state = VSOCK_OPEN;
	c->v->count.opened++;
	vsock_conn_ready(c);
}

/* Takes the socket, unless there is none. */
static bool serve(struct vsock *v, enum vsock_listener where, int fd)
{
	struct virtio_watch *w = &v->listener[where];

	w->fd = fd;
	w->ready = on_arrival;
	if (fd >= 0)
		virtio_watch(v->d, NULL, w, EPOLLIN);
	return fd >= 0;
}

static bool serve_group(struct vsock *v, GError **error)
{
	g_autofree char *streams = g_strdup_printf("%s%u", v->group, v->guest_cid);
	g_autofree char *records = g_strdup_printf("%s%u", v->group_records, v->guest_cid);

	if (serve(v, VSOCK_AT_GROUP, sock_listen(streams, 0600, (gid_t)-1, error)) &&
		serve(v, VSOCK_AT_GROUP_RECORDS, sock_listen_records(records, 0600, error)))
		return true;
	g_prefix_error(error, "--group: ");
	return false;
}

bool vsock_listen_open(struct vsock *v, GError **error)
{
	v->listen_again.expired = listen_again;
	if (v->path && !serve(v, VSOCK_AT_PATH, sock_listen(v->path, 0600, (gid_t)-1, error))) {
		g_prefix_error(error, "--uds-path=%s: ", v->path);
		return false;
	}
	for (unsigned i = 0; i < v->n_native_ports; i++) {
		if (!serve(v, VSOCK_AT_NATIVE + i, vsock_native_listen(v->native_port[i], error)))
			return false;
	}
	return !v->group || serve_group(v, error);
}

void vsock_listen_close(struct vsock *v)
{
	virtio_timer(v->d, NULL, &v->listen_again, -1);
	for (unsigned i = 0; i < VSOCK_LISTENERS; i++) {
		virtio_watch(v->d, NULL, &v->listener[i], 0);
		fd_close(&v->listener[i].fd);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of virtiod-vsock share: the guest's end, and the host's. */
#pragma once

#include "tests/lib/kit.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"
#include "daemon/devices/vsock/vsock.h"
#include "tests/lib/kit_core.h"

#define CID 77
#define PORT 1024 /* the host's */
#define GUEST_PORT 5000
#define ROOM 4096 /* in a buffer of the guest, as Linux has them */
#define BUFFERS 32
#define HEAD sizeof(struct virtio_vsock_hdr)
#define STREAM VIRTIO_VSOCK_TYPE_STREAM
#define SEQPACKET VIRTIO_VSOCK_TYPE_SEQPACKET
#define OP(name) VIRTIO_VSOCK_OP_##name

struct vsock_guest {
	struct kit *k;
	struct kit_request *rx[BUFFERS];
	unsigned next;
	/* What packets say. */
	uint64_t cid, src_cid;
	uint16_t type;
	uint32_t guest_port, port, buf_alloc, fwd_cnt;
};

/* A packet that the guest got; valid until the next one. */
struct vsock_packet {
	struct virtio_vsock_hdr h;
	uint8_t data[ROOM];
	uint32_t len;
};

static inline const char *uds(struct kit *k)
{
	static char text[256];

	g_snprintf(text, sizeof(text), "--uds-path=%s", kit_path(k, "v"));
	return text;
}

/* Gives the device buffers for packets. */
static inline void guest_listen(struct vsock_guest *g)
{
	for (unsigned i = 0; i < BUFFERS; i++)
		g->rx[i] = kit_add(g->k, VSOCK_RX, NULL, 0, HEAD + ROOM);
	g->next = 0;
	kit_kick(g->k, VSOCK_RX);
}

static inline struct vsock_guest guest_new(struct kit *k)
{
	return (struct vsock_guest){
		.k = k,
		.cid = VSOCK_HOST_CID,
		.src_cid = CID,
		.type = STREAM,
		.guest_port = GUEST_PORT,
		.port = PORT,
		.buf_alloc = 256 << 10,
	};
}

static inline struct vsock_guest guest_start(struct kit *k, const char *more)
{
	struct vsock_guest g = guest_new(k);

	kit_start(k, uds(k), "--guest-cid=77", more, NULL);
	guest_listen(&g);
	return g;
}

/* Makes a packet, whose data must be freed. */
static inline uint8_t *make_packet(
	const struct vsock_guest *g, unsigned op, uint32_t flags, const void *data, uint32_t len)
{
	uint8_t *bytes = g_malloc0(HEAD + len);
	struct virtio_vsock_hdr h = {
		.src_cid = htole64(g->src_cid),
		.dst_cid = htole64(g->cid),
		.src_port = htole32(g->guest_port),
		.dst_port = htole32(g->port),
		.len = htole32(len),
		.type = htole16(g->type),
		.op = htole16((uint16_t)op),
		.flags = htole32(flags),
		.buf_alloc = htole32(g->buf_alloc),
		.fwd_cnt = htole32(g->fwd_cnt),
	};

	memcpy(bytes, &h, HEAD);
	if (len)
		memcpy(bytes + HEAD, data, len);
	return bytes;
}

static inline void guest_send(
	struct vsock_guest *g, unsigned op, uint32_t flags, const void *data, uint32_t len)
{
	g_autofree uint8_t *bytes = make_packet(g, op, flags, data, len);

	assert_int_equal(kit_wait(g->k, kit_send(g->k, VSOCK_TX, bytes, HEAD + len, 0)), 0);
}

static inline void guest_say(struct vsock_guest *g, const char *text)
{
	guest_send(
		g, OP(RW), g->type == SEQPACKET ? VSOCK_SEQ_EOM : 0, text, (uint32_t)strlen(text));
}

/* Returns whether a packet has come, without waiting. */
static inline bool guest_has_packet(struct vsock_guest *g)
{
	return kit_is_done(g->k, g->rx[g->next]);
}

/* Takes the next packet. */
static inline const struct vsock_packet *guest_next(struct vsock_guest *g)
{
	static struct vsock_packet seen;
	struct kit_request *r = g->rx[g->next];
	uint32_t used = kit_wait(g->k, r);

	assert_true(used >= HEAD && used <= HEAD + ROOM);
	memcpy(&seen.h, r->in, HEAD);
	seen.len = used - (uint32_t)HEAD;
	memcpy(seen.data, r->in + HEAD, seen.len);
	assert_int_equal(le32toh(seen.h.len), seen.len);
	kit_add_again(g->k, r);
	kit_kick(g->k, VSOCK_RX);
	g->next = (g->next + 1) % BUFFERS;
	return &seen;
}

/* Takes the next packet, but for news of credit, and checks what it is and of which connection. */
static inline const struct vsock_packet *guest_expect(struct vsock_guest *g, unsigned op)
{
	const struct vsock_packet *s;

	do
		s = guest_next(g);
	while (le16toh(s->h.op) == OP(CREDIT_UPDATE) && op != OP(CREDIT_UPDATE));
	assert_int_equal(le16toh(s->h.op), op);
	assert_int_equal(le16toh(s->h.type), g->type);
	assert_int_equal(le64toh(s->h.src_cid), g->cid);
	assert_int_equal(le64toh(s->h.dst_cid), g->src_cid);
	assert_int_equal(le32toh(s->h.src_port), g->port);
	assert_int_equal(le32toh(s->h.dst_port), g->guest_port);
	return s;
}

/* Reads text that is sent to the guest, and permits as much more. */
static inline void guest_hear(struct vsock_guest *g, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		const struct vsock_packet *s = guest_expect(g, OP(RW));

		assert_true(s->len <= len);
		assert_memory_equal(s->data, text, s->len);
		text += s->len;
		len -= s->len;
		g->fwd_cnt += s->len;
	}
}

static inline void guest_expect_shutdown(struct vsock_guest *g, unsigned directions)
{
	assert_int_equal(le32toh(guest_expect(g, OP(SHUTDOWN))->h.flags), directions);
}

/* Listens where the guest's connections to a port go. */
static inline int host_listen(struct kit *k, unsigned port, int type)
{
	g_autofree char *name = g_strdup_printf("v_%u", port);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	g_strlcpy(a.sun_path, kit_path(k, name), sizeof(a.sun_path));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4096), 0);
	return fd;
}

/* Lets the device work until fd is ready for these events. */
static inline void host_wait(struct kit *k, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t end = g_get_monotonic_time() + KIT_PATIENCE_MS * 1000ll;
	struct kit_request none = { 0 };

	while (poll(&p, 1, kit_core(k) ? 0 : 5) == 0) {
		kit_is_done(k, &none);
		assert_true(g_get_monotonic_time() < end);
	}
}

static inline int host_accept(struct kit *k, int listener)
{
	int fd;

	host_wait(k, listener, POLLIN);
	fd = sock_accept(listener);
	assert_true(fd >= 0);
	return fd;
}

/* Reads exactly this. */
static inline void host_hear(struct kit *k, int fd, const char *text)
{
	size_t len = strlen(text), done = 0;
	char got[256];

	assert_true(len < sizeof(got));
	while (done < len) {
		ssize_t n;

		host_wait(k, fd, POLLIN);
		n = read(fd, got + done, len - done);
		assert_true(n > 0);
		done += (size_t)n;
	}
	assert_memory_equal(got, text, len);
}

static inline void host_say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Requires that the socket is at its end. */
static inline void host_expect_end(struct kit *k, int fd)
{
	char byte;

	host_wait(k, fd, POLLIN);
	assert_true(read(fd, &byte, 1) <= 0);
}

/* Connects the guest to a port that the host listens at; returns the host's end. */
static inline int guest_connect(struct vsock_guest *g, int listener)
{
	int fd;

	guest_send(g, OP(REQUEST), 0, NULL, 0);
	fd = host_accept(g->k, listener);
	guest_expect(g, OP(RESPONSE));
	return fd;
}

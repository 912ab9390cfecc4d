/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of virtiod-net share: the driver's side, and a peer on a Unix stream socket. A
 * device that is killed connects again, and what was on its way is lost or comes twice: the peer
 * sends until the guest has it, and skips what it has seen.
 */
#pragma once

#include "tests/lib/kit.h"

#include <linux/virtio_net.h>
#include <sys/socket.h>

#include "base/sock.h"
#include "base/util.h"
#include "net/stream.h"

#define RX 0
#define TX 1
#define CONTROL 2
#define HEADER sizeof(struct virtio_net_hdr_v1)
#define BIT(name) (1ull << VIRTIO_NET_F_##name)
#define MAC_TEXT "52:54:00:00:00:01"

struct net_peer {
	int listener, fd; /* fd -1: none has connected yet */
	bool header; /* frames have one */
	struct net_stream_in in;
	struct net_stream_out out;
};

static inline struct net_peer *peer_new(struct kit *k, const char *name)
{
	struct net_peer *p = g_new0(struct net_peer, 1);

	p->listener = sock_listen(kit_path(k, name), 0600, (gid_t)-1, NULL);
	assert_true(p->listener >= 0);
	p->fd = -1;
	net_stream_in_init(&p->in, 65536, NET_MAX_FRAME + HEADER);
	net_stream_out_init(&p->out, NET_MAX_FRAME + HEADER);
	return p;
}

static inline void peer_disconnect(struct net_peer *p)
{
	fd_close(&p->fd);
	net_stream_in_reset(&p->in);
	net_stream_out_reset(&p->out);
}

static inline void peer_free(struct net_peer *p)
{
	peer_disconnect(p);
	fd_close(&p->listener);
	net_stream_in_free(&p->in);
	net_stream_out_free(&p->out);
	g_free(p);
}

/* Takes a new connection; true: there was one. */
static inline bool peer_accept(struct net_peer *p)
{
	int fd = sock_accept(p->listener);

	if (fd < 0)
		return false;
	peer_disconnect(p);
	p->fd = fd;
	return true;
}

/* Lets the device, which may be in this process, do something. */
static inline void peer_turn(struct kit *k, struct kit_request *r)
{
	if (r)
		kit_is_done(k, r);
}

/* Makes a frame to the guest, or to all; its number is in it. Returns len. */
static inline size_t make_frame(uint8_t *frame, size_t len, uint8_t number)
{
	memset(frame, number, len);
	memcpy(frame, "\x52\x54\0\0\0\1\x52\x54\0\0\0\2\x88\xb5", 14);
	return len;
}

/* Sends a frame of the guest's. */
static inline struct kit_request *send_frame(
	struct kit *k, const struct virtio_net_hdr_v1 *h, const uint8_t *frame, size_t len)
{
	g_autofree uint8_t *out = g_malloc0(HEADER + len);

	if (h)
		memcpy(out, h, HEADER);
	memcpy(out + HEADER, frame, len);
	return kit_send(k, TX, out, HEADER + len, 0);
}

/*
 * Returns the next frame that has come, or 0. A new connection is taken when all that came on the
 * old one was read.
 */
static inline ssize_t peer_next(struct net_peer *p, const uint8_t **frame)
{
	ssize_t len = 0, got = 0;

	if (p->fd >= 0)
		len = net_stream_next(&p->in, frame);
	while (p->fd >= 0 && !len && (got = net_stream_read(&p->in, p->fd)) > 0)
		len = net_stream_next(&p->in, frame);
	if (!len && (p->fd < 0 || got != -EAGAIN))
		peer_accept(p);
	assert_true(len >= 0);
	return len;
}

/* Returns whether this frame has come; others are skipped. */
static inline bool peer_has(struct kit *k, struct net_peer *p, struct kit_request *r,
	const uint8_t *expected, size_t len)
{
	const uint8_t *frame;
	ssize_t n;

	peer_turn(k, r);
	while ((n = peer_next(p, &frame)) > 0) {
		if ((size_t)n == len && memcmp(frame, expected, len) == 0)
			return true;
	}
	return false;
}

/* Waits for a frame of the guest's, in request r. */
static inline void peer_expect(struct kit *k, struct net_peer *p, struct kit_request *r,
	const uint8_t *expected, size_t len)
{
	WAIT_UNTIL(peer_has(k, p, r, expected, len));
}

static inline bool peer_send(struct net_peer *p, const uint8_t *frame, size_t len)
{
	struct iovec iov = { (void *)frame, len };
	const struct net_frame f = { &iov, 1, (uint32_t)len };

	return p->fd >= 0 && net_stream_write(&p->out, p->fd, &f, 1) == 1 &&
		net_stream_flush(&p->out, p->fd) == 0;
}

/* Sends a frame, again on each new connection. Returns whether the guest has it, in r. */
static inline bool peer_gives(struct kit *k, struct net_peer *p, struct kit_request *r,
	const uint8_t *frame, size_t len, bool *sent)
{
	if (peer_accept(p))
		*sent = false;
	if (!*sent)
		*sent = peer_send(p, frame, len);
	return kit_is_done(k, r);
}

/* Sends a frame until the guest has it, in r. */
static inline void peer_give(
	struct kit *k, struct net_peer *p, struct kit_request *r, const uint8_t *frame, size_t len)
{
	bool sent = false;

	WAIT_UNTIL(peer_gives(k, p, r, frame, len, &sent));
}

/* Gives the device a buffer for what is received. */
static inline struct kit_request *give_buffer(struct kit *k, size_t len)
{
	return kit_send(k, RX, NULL, 0, HEADER + len);
}

/* Checks what was received in n buffers. */
static inline void check_received(
	struct kit *k, struct kit_request *const *r, unsigned n, const uint8_t *frame, size_t len)
{
	const struct virtio_net_hdr_v1 *h = (const void *)r[0]->in;

	for (unsigned i = 0; i < n; i++) {
		size_t head = i ? 0 : HEADER, got = kit_wait(k, r[i]) - head;

		assert_true(got <= len);
		assert_memory_equal(r[i]->in + head, frame, got);
		frame += got;
		len -= got;
	}
	assert_int_equal(len, 0);
	assert_int_equal(le16toh(h->num_buffers), n);
}

/* Sends a command, of n bytes after its head, and returns its result. */
static inline uint8_t command(
	struct kit *k, unsigned queue, uint8_t class, uint8_t cmd, const void *data, size_t n)
{
	uint8_t out[4096] = { class, cmd };
	struct kit_request *r;

	if (n)
		memcpy(out + 2, data, n);
	r = kit_send(k, queue, out, 2 + n, 1);
	assert_int_equal(kit_wait(k, r), 1);
	return r->in[0];
}

static inline uint16_t config_status(struct kit *k)
{
	uint16_t status;

	kit_config_read(k, offsetof(struct virtio_net_config, status), &status, sizeof(status));
	return le16toh(status);
}

/* Returns a counter of the first pair. */
static inline unsigned counter(struct kit *k, const char *name)
{
	g_autofree char *key = g_strconcat("\"", name, "\"", NULL);
	const char *at = strstr(kit_call(k, "counters", ""), key);

	assert_non_null(at);
	return (unsigned)strtoul(at + strlen(key) + strspn(at + strlen(key), ": "), NULL, 10);
}

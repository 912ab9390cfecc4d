/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-net with a peer on a stream socket: frames both ways, and peers that come and go. */
#include "daemon/devices/net/test_net.h"

#define SMALL 100
#define LONG 60000

static struct net_peer *start(struct kit *k)
{
	struct net_peer *p = peer_new(k, "peer");
	g_autofree char *option = g_strconcat("--stream=unix:", kit_path(k, "peer"), NULL);

	kit_start(k, option, "--mac=" MAC_TEXT, NULL);
	WAIT_UNTIL(peer_accept(p));
	return p;
}

static void test_frames(struct kit *k)
{
	struct net_peer *p = start(k);
	uint8_t frame[SMALL];
	struct kit_request *r;

	for (uint8_t i = 0; i < 5; i++) {
		make_frame(frame, 14 + i * 20, i);
		r = send_frame(k, NULL, frame, 14 + i * 20);
		peer_expect(k, p, r, frame, 14 + i * 20);
		assert_int_equal(kit_wait(k, r), 0);
		r = give_buffer(k, SMALL);
		peer_give(k, p, r, frame, 14 + i * 20);
		check_received(k, &r, 1, frame, 14 + i * 20);
	}
	peer_free(p);
}

static void test_long(struct kit *k)
{
	struct net_peer *p = start(k);
	g_autofree uint8_t *frame = g_malloc(LONG);
	struct kit_request *r[50];
	bool sent = false;
	unsigned n = 0;

	make_frame(frame, LONG, 7);
	for (unsigned i = 14; i < LONG; i++)
		frame[i] = (uint8_t)(i * 7 + i / 251);
	r[0] = send_frame(k, NULL, frame, LONG);
	peer_expect(k, p, r[0], frame, LONG);
	for (n = 0; n < 30; n++)
		r[n] = give_buffer(k, 1514);
	assert_false(peer_gives(k, p, r[0], frame, LONG, &sent));
	for (; n < G_N_ELEMENTS(r); n++)
		r[n] = give_buffer(k, 1514);
	/* Header and frame are of 60012 bytes, a buffer of 1526. */
	WAIT_UNTIL(peer_gives(k, p, r[0], frame, LONG, &sent));
	check_received(k, r, 40, frame, LONG);
	assert_false(kit_is_done(k, r[40]));
	peer_give(k, p, r[40], frame, SMALL);
	check_received(k, r + 40, 1, frame, SMALL);
	peer_free(p);
}

/* Without MRG_RXBUF a frame fits one buffer, or is dropped. */
static void test_no_merge(struct kit *k)
{
	struct net_peer *p = start(k);
	uint8_t frame[2 * SMALL];
	struct kit_request *r = give_buffer(k, SMALL);

	make_frame(frame, sizeof(frame), 1);
	assert_true(peer_send(p, frame, SMALL + 1));
	make_frame(frame, sizeof(frame), 2);
	assert_true(peer_send(p, frame, SMALL));
	check_received(k, &r, 1, frame, SMALL);
	assert_int_equal(counter(k, "rx_dropped"), 1);
	assert_int_equal(counter(k, "rx_frames"), 1);
	peer_free(p);
}

/* Many frames at a time, to a peer that begins to read late. */
static void test_batch(struct kit *k)
{
	struct net_peer *p = start(k);
	uint8_t out[HEADER + 1514] = { 0 };
	struct kit_request *r[100];
	unsigned rounds = kit_rounds(k, 10), n = 0;

	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < G_N_ELEMENTS(r); i++) {
			make_frame(out + HEADER, 1514, (uint8_t)i);
			r[i] = kit_add(k, TX, out, sizeof(out), 0);
		}
		kit_kick(k, TX);
		/* Only 200 KiB fit the socket. */
		for (n = 0; n < G_N_ELEMENTS(r); n++) {
			make_frame(out + HEADER, 1514, (uint8_t)n);
			peer_expect(k, p, r[99], out + HEADER, 1514);
		}
		for (n = 0; n < G_N_ELEMENTS(r); n++)
			assert_int_equal(kit_wait(k, r[n]), 0);
	}
	peer_free(p);
}

/* What the socket took in part comes without another frame behind it. */
static void test_rest(struct kit *k)
{
	struct net_peer *p = start(k);
	uint8_t *out = g_malloc0(HEADER + LONG);
	struct kit_request *r = NULL;

	for (uint8_t n = 1; n < 7; n++) {
		for (uint8_t i = 0; i < n; i++) {
			make_frame(out + HEADER, LONG, i);
			r = kit_send(k, TX, out, HEADER + LONG, 0);
		}
		for (uint8_t i = 0; i < n; i++) {
			make_frame(out + HEADER, LONG, i);
			peer_expect(k, p, r, out + HEADER, LONG);
		}
	}
	g_free(out);
	peer_free(p);
}

/* A frame in many small buffers. */
static void test_small_buffers(struct kit *k)
{
	struct net_peer *p = start(k);
	uint8_t frame[6000];
	struct kit_request *r[120];

	make_frame(frame, sizeof(frame), 1);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		r[i] = give_buffer(k, 40);
	/* 116 of 52 bytes. */
	assert_true(peer_send(p, frame, sizeof(frame)));
	check_received(k, r, 116, frame, sizeof(frame));
	peer_free(p);
}

static void test_full(struct kit *k)
{
	struct net_peer *p = start(k);
	uint8_t *out = g_malloc0(HEADER + LONG);
	struct kit_request *r[20];

	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++) {
		make_frame(out + HEADER, LONG, (uint8_t)i);
		r[i] = kit_send(k, TX, out, HEADER + LONG, 0);
	}
	assert_int_equal(kit_wait(k, r[0]), 0);
	assert_false(kit_is_done(k, r[19]));
	/* What waits for the peer is dropped when that is gone. */
	peer_disconnect(p);
	assert_int_equal(kit_wait(k, r[19]), 0);
	WAIT_UNTIL(!(config_status(k) & VIRTIO_NET_S_LINK_UP) || peer_accept(p));
	g_free(out);
	peer_free(p);
}

/* Frames that cannot be sent are dropped; what no driver does breaks the queue. */
static void test_wrong_frames(struct kit *k)
{
	struct net_peer *p = start(k);
	const struct virtio_net_hdr_v1 large = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = 100 };
	struct virtio_net_hdr_v1 flags = { .flags = 0xff, .csum_start = 0xffff, .num_buffers = 9 };
	uint8_t *frame = g_malloc(NET_MAX_FRAME + 1);

	make_frame(frame, NET_MAX_FRAME + 1, 1);
	assert_int_equal(kit_wait(k, send_frame(k, NULL, frame, 13)), 0);
	assert_int_equal(kit_wait(k, send_frame(k, NULL, frame, 0)), 0);
	assert_int_equal(kit_wait(k, send_frame(k, NULL, frame, NET_MAX_FRAME + 1)), 0);
	assert_int_equal(kit_wait(k, send_frame(k, &large, frame, 200)), 0);
	assert_int_equal(counter(k, "tx_dropped"), 4);
	/* What was not negotiated has no meaning. */
	peer_expect(k, p, send_frame(k, &flags, frame, 200), frame, 200);
	assert_int_equal(counter(k, "tx_frames"), 1);
	kit_send(k, TX, frame, HEADER - 1, 0);
	kit_wait_broken(k, "has no header");
	peer_free(p);
	g_free(frame);
}

static void test_short_buffer(struct kit *k)
{
	struct net_peer *p = start(k);
	uint8_t frame[SMALL];

	make_frame(frame, SMALL, 1);
	kit_send(k, RX, NULL, 0, HEADER - 1);
	peer_send(p, frame, SMALL);
	kit_wait_broken(k, "no room for a header");
	peer_free(p);
}

static void test_reconnect(struct kit *k)
{
	static const uint32_t wrong[] = { 0, UINT32_MAX };
	struct net_peer *p = start(k);
	uint8_t frame[SMALL];
	struct kit_request *r = give_buffer(k, SMALL);

	make_frame(frame, SMALL, 1);
	for (unsigned i = 0; i < 3; i++) {
		/* It leaves in the middle of a frame, or sends what is none. */
		if (i < 2)
			sock_send(p->fd, &wrong[i], 4, NULL, 0, TEST_WAIT_MS);
		else
			sock_send(p->fd,
				"\0\0\0\x64"
				"half",
				8, NULL, 0, TEST_WAIT_MS);
		if (i == 2)
			peer_disconnect(p);
		kit_wait(k, send_frame(k, NULL, frame, SMALL));
		WAIT_UNTIL((kit_is_done(k, r),
			config_status(k) == (VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE)));
		assert_int_equal(command(k, CONTROL, VIRTIO_NET_CTRL_ANNOUNCE,
					 VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0),
			VIRTIO_NET_OK);
		assert_int_equal(config_status(k), VIRTIO_NET_S_LINK_UP);
		make_frame(frame, SMALL, (uint8_t)i);
		peer_give(k, p, r, frame, SMALL);
		check_received(k, &r, 1, frame, SMALL);
		r = give_buffer(k, SMALL);
	}
	peer_free(p);
}

/* A switch may come after the guest. */
static void test_late_peer(struct kit *k)
{
	g_autofree char *option = g_strconcat("--switch=unix:", kit_path(k, "peer"), NULL);
	struct kit_request *r;
	struct net_peer *p;
	uint8_t frame[SMALL];

	make_frame(frame, SMALL, 1);
	kit_start(k, option, NULL);
	assert_int_equal(config_status(k), 0);
	kit_wait(k, send_frame(k, NULL, frame, SMALL));
	r = give_buffer(k, SMALL);
	p = peer_new(k, "peer");
	peer_give(k, p, r, frame, SMALL);
	check_received(k, &r, 1, frame, SMALL);
	assert_true(config_status(k) & VIRTIO_NET_S_LINK_UP);
	kit_wait_config(k, 1);
	peer_free(p);
}

/* The other end of a wire: frames keep their headers. */
static void test_wire(struct kit *k)
{
	const struct virtio_net_hdr_v1 h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = htole16(50),
		.hdr_len = htole16(54),
		.csum_start = htole16(34),
		.csum_offset = htole16(16) };
	g_autofree char *option = g_strconcat("--vhost-pair=unix:", kit_path(k, "peer"), NULL);
	struct net_peer *p = peer_new(k, "peer");
	uint8_t frame[HEADER + SMALL];
	struct kit_request *r;

	kit_start(k, option, NULL);
	WAIT_UNTIL(peer_accept(p));
	memcpy(frame, &h, HEADER);
	make_frame(frame + HEADER, SMALL, 3);
	r = send_frame(k, &h, frame + HEADER, SMALL);
	peer_expect(k, p, r, frame, sizeof(frame));
	r = give_buffer(k, SMALL);
	peer_give(k, p, r, frame, sizeof(frame));
	check_received(k, &r, 1, frame + HEADER, SMALL);
	assert_memory_equal(r->in, &h, HEADER - 2);
	peer_free(p);
}

/* The first of two listens. */
static void test_wire_first(struct kit *k)
{
	g_autofree char *option = g_strconcat("--vhost-pair=unix:", kit_path(k, "wire"), NULL);
	struct net_peer p = { .listener = -1 };
	uint8_t frame[HEADER + SMALL] = { 0 };
	struct kit_request *r;
	const uint8_t *got;

	kit_start(k, option, NULL);
	net_stream_in_init(&p.in, 65536, NET_MAX_FRAME);
	net_stream_out_init(&p.out, NET_MAX_FRAME);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(config_status(k) & VIRTIO_NET_S_LINK_UP, 0);
		r = give_buffer(k, SMALL);
		p.fd = sock_connect(kit_path(k, "wire"), NULL);
		assert_true(p.fd >= 0);
		make_frame(frame + HEADER, SMALL, 3);
		assert_true(peer_send(&p, frame, sizeof(frame)));
		check_received(k, &r, 1, frame + HEADER, SMALL);
		kit_wait(k, send_frame(k, NULL, frame + HEADER, SMALL));
		test_wait_fd(p.fd, POLLIN);
		assert_true(net_stream_read(&p.in, p.fd) > 0);
		assert_int_equal(net_stream_next(&p.in, &got), sizeof(frame));
		peer_disconnect(&p);
		r = give_buffer(k, SMALL);
		WAIT_UNTIL((kit_is_done(k, r), !(config_status(k) & VIRTIO_NET_S_LINK_UP)));
		if (!i)
			kit_reset(k);
	}
	net_stream_in_free(&p.in);
	net_stream_out_free(&p.out);
}

static const struct kit_test tests[] = {
	{ "frames", test_frames },
	{ "long", test_long, .skip = KIT_NO_KILL },
	{ "no merge", test_no_merge, .features = BIT(STATUS), .skip = KIT_NO_KILL },
	{ "batch", test_batch, .skip = KIT_NO_KILL },
	{ "rest", test_rest, .skip = KIT_NO_KILL },
	{ "small buffers", test_small_buffers, .skip = KIT_NO_KILL },
	{ "full", test_full, .skip = KIT_NO_KILL },
	{ "wrong frames", test_wrong_frames, .skip = KIT_NO_KILL },
	{ "short buffer", test_short_buffer, .skip = KIT_NO_KILL },
	{ "reconnect", test_reconnect, .skip = KIT_NO_KILL },
	{ "late peer", test_late_peer, .skip = KIT_NO_KILL },
	{ "wire", test_wire },
	{ "wire first", test_wire_first, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

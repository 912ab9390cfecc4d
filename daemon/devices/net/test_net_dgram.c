/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-net with a peer that exchanges datagrams: frames both ways; peers come and go. */
#include "daemon/devices/net/test_net.h"

#define SMALL 100
/* More than a socket keeps, by its bytes: systemd has the kernel keep any number of small ones. */
#define MANY 60
#define LARGE 8000

struct dgram_peer {
	int in, out; /* out -1: not connected */
};

static void peer_open(struct kit *k, struct dgram_peer *p)
{
	p->in = sock_bind_datagram(kit_path(k, "remote"), 0600, NULL);
	assert_true(p->in >= 0);
	p->out = -1;
}

static void peer_close(struct dgram_peer *p)
{
	fd_close(&p->in);
	fd_close(&p->out);
}

static void start(struct kit *k)
{
	g_autofree char *option = g_strconcat(
		"--dgram=unix:", kit_path(k, "local"), ",unix:", kit_path(k, "remote"), NULL);

	kit_start(k, option, "--mac=" MAC_TEXT, NULL);
}

/* Sends a datagram, without waiting; a device that was killed has another socket now. */
static bool tell(struct kit *k, struct dgram_peer *p, const uint8_t *frame, size_t len)
{
	if (p->out < 0)
		p->out = sock_connect_datagram(kit_path(k, "local"));
	if (p->out >= 0 && send(p->out, frame, len, MSG_DONTWAIT) == (ssize_t)len)
		return true;
	if (errno != EAGAIN)
		fd_close(&p->out);
	return false;
}

/* Sends a frame until the guest has it, in r. */
static bool gives(struct kit *k, struct dgram_peer *p, struct kit_request *r, const uint8_t *frame,
	size_t len, bool *sent)
{
	char c;

	if (p->out >= 0 && send(p->out, &c, 0, MSG_DONTWAIT) < 0 && errno != EAGAIN)
		*sent = false;
	if (!*sent)
		*sent = tell(k, p, frame, len);
	return kit_is_done(k, r);
}

static void give(struct kit *k, struct dgram_peer *p, struct kit_request *r, const uint8_t *frame,
	size_t len)
{
	bool sent = false;

	WAIT_UNTIL(gives(k, p, r, frame, len, &sent));
}

/* Returns whether this frame has come; others are skipped. */
static bool has(struct kit *k, struct dgram_peer *p, struct kit_request *r, const uint8_t *frame,
	size_t len)
{
	uint8_t got[2048];
	ssize_t n;

	peer_turn(k, r);
	while ((n = recv(p->in, got, sizeof(got), MSG_DONTWAIT)) >= 0) {
		if ((size_t)n == len && memcmp(got, frame, len) == 0)
			return true;
	}
	return false;
}

static void test_frames(struct kit *k)
{
	struct dgram_peer p;
	uint8_t frame[SMALL];
	struct kit_request *r;

	peer_open(k, &p);
	start(k);
	for (uint8_t i = 0; i < 5; i++) {
		size_t len = make_frame(frame, 14 + i * 20, i);

		r = send_frame(k, NULL, frame, len);
		WAIT_UNTIL(has(k, &p, r, frame, len));
		assert_int_equal(kit_wait(k, r), 0);
		r = give_buffer(k, SMALL);
		give(k, &p, r, frame, len);
		check_received(k, &r, 1, frame, len);
	}
	peer_close(&p);
}

/* More than the sockets keep, each way, in order. */
static void test_many(struct kit *k)
{
	struct kit_request *r[MANY];
	uint8_t frame[LARGE];
	struct dgram_peer p;

	peer_open(k, &p);
	start(k);
	for (unsigned i = 0; i < MANY; i++) {
		make_frame(frame, LARGE, (uint8_t)i);
		r[i] = send_frame(k, NULL, frame, LARGE);
	}
	for (unsigned i = 0; i < MANY; i++) {
		uint8_t got[LARGE];

		make_frame(frame, LARGE, (uint8_t)i);
		WAIT_UNTIL(
			(peer_turn(k, r[MANY - 1]), recv(p.in, got, LARGE, MSG_DONTWAIT) == LARGE));
		assert_memory_equal(got, frame, LARGE);
	}
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(kit_wait(k, r[i]), 0);
	for (unsigned i = 0; i < MANY; i++)
		r[i] = give_buffer(k, LARGE);
	for (unsigned i = 0; i < MANY; i++) {
		make_frame(frame, LARGE, (uint8_t)i);
		WAIT_UNTIL((peer_turn(k, r[MANY - 1]), tell(k, &p, frame, LARGE)));
	}
	for (unsigned i = 0; i < MANY; i++) {
		make_frame(frame, LARGE, (uint8_t)i);
		check_received(k, &r[i], 1, frame, LARGE);
	}
	peer_close(&p);
}

/* What is sent to nobody is dropped; a peer that comes, or comes back, is found. */
static void test_peer_leaves(struct kit *k)
{
	struct dgram_peer p;
	uint8_t frame[SMALL];

	start(k);
	assert_true(config_status(k) & VIRTIO_NET_S_LINK_UP);
	for (uint8_t i = 0; i < 3; i++) {
		bool found = false;

		make_frame(frame, SMALL, i);
		kit_wait(k, send_frame(k, NULL, frame, SMALL));
		assert_true(counter(k, "tx_dropped") > i);
		peer_open(k, &p);
		while (!found) {
			struct kit_request *r = send_frame(k, NULL, frame, SMALL);

			WAIT_UNTIL((found = has(k, &p, r, frame, SMALL)) || kit_is_done(k, r));
		}
		peer_close(&p);
	}
}

/* The peer stops in the middle of much. */
static void test_peer_leaves_full(struct kit *k)
{
	struct kit_request *r[MANY];
	struct dgram_peer p;
	uint8_t frame[LARGE];

	peer_open(k, &p);
	start(k);
	make_frame(frame, LARGE, 1);
	for (unsigned i = 0; i < MANY; i++)
		r[i] = send_frame(k, NULL, frame, LARGE);
	kit_wait(k, r[0]);
	assert_false(kit_is_done(k, r[MANY - 1]));
	peer_close(&p);
	kit_wait(k, r[MANY - 1]);
	assert_true(counter(k, "tx_dropped") > 0);
}

static void test_wrong_datagrams(struct kit *k)
{
	struct dgram_peer p;
	uint8_t *frame = g_malloc0(NET_MAX_FRAME + 1);
	struct kit_request *r;

	peer_open(k, &p);
	start(k);
	r = give_buffer(k, SMALL);
	assert_true(tell(k, &p, frame, 0));
	assert_true(tell(k, &p, frame, 13));
	assert_true(tell(k, &p, frame, NET_MAX_FRAME + 1));
	make_frame(frame, SMALL, 1);
	assert_true(tell(k, &p, frame, SMALL));
	check_received(k, &r, 1, frame, SMALL);
	assert_int_equal(counter(k, "rx_dropped"), 3);
	peer_close(&p);
	g_free(frame);
}

static const struct kit_test tests[] = {
	{ "frames", test_frames },
	{ "many", test_many, .skip = KIT_NO_KILL },
	{ "peer leaves", test_peer_leaves, .skip = KIT_NO_KILL },
	{ "peer leaves full", test_peer_leaves_full, .skip = KIT_NO_KILL },
	{ "wrong datagrams", test_wrong_datagrams, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-vsock under load: much data each way, of streams and of messages, and kills in the middle
 * of it. argv[2]: how many MiB, and how many kills.
 */
#include "daemon/devices/vsock/test_vsock.h"

#define BLOCK 2048
#define MIB (1u << 20)
#define CONNECTIONS 8
#define DEPTH 4 /* packets of a connection on their way */

/* Returns byte `at` of what goes through connection n. */
static uint8_t byte_at(unsigned n, uint64_t at)
{
	return (uint8_t)(at * 7 + at / 251 + n * 31);
}

static void make_block(uint8_t *to, unsigned n, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = byte_at(n, at + i);
}

/* Requires that the next bytes are what was sent; returns where the next ones are. */
static uint64_t check_block(const uint8_t *from, unsigned n, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(from[i], byte_at(n, at + i));
	return at + len;
}

/* Both ends of a connection whose host sends back what it gets. */
struct echo {
	struct vsock_guest g;
	int fd;
	struct kit_request *data, *credit; /* packets, used again and again */
	uint64_t sent, echoed, heard;
	uint8_t bytes[64 << 10]; /* on their way back */
	size_t n_bytes;
	uint32_t allowed, forwarded; /* as the device has said */
};

static uint32_t room(const struct echo *e)
{
	uint32_t ahead = (uint32_t)e->sent - e->forwarded;

	return ahead < e->allowed ? e->allowed - ahead : 0;
}

/* Does the host's part, as far as it can be done now. */
static void echo_host(struct echo *e)
{
	ssize_t n = 0;

	if (e->n_bytes < BLOCK)
		n = recv(e->fd, e->bytes + e->n_bytes, BLOCK, MSG_DONTWAIT);
	if (n > 0)
		e->n_bytes += (size_t)n;
	if (!e->n_bytes)
		return;
	n = send(e->fd, e->bytes, e->n_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n <= 0)
		return;
	e->n_bytes -= (size_t)n;
	memmove(e->bytes, e->bytes + n, e->n_bytes);
}

/* Sends a packet, which the last one makes room for; returns it. */
static struct kit_request *send_again(
	struct vsock_guest *g, struct kit_request *r, unsigned op, const void *data, uint32_t len)
{
	uint32_t flags = op == OP(RW) && g->type == SEQPACKET ? VSOCK_SEQ_EOM : 0;
	g_autofree uint8_t *bytes = make_packet(g, op, flags, data, len);

	if (r) {
		kit_wait(g->k, r);
		memcpy(r->out, bytes, HEAD + len);
		kit_add_again(g->k, r);
	} else {
		r = kit_add(g->k, VSOCK_TX, bytes, HEAD + len, 0);
	}
	kit_kick(g->k, VSOCK_TX);
	return r;
}

/* Takes what has come for the guest. */
static void echo_take(struct echo *e)
{
	while (guest_has_packet(&e->g)) {
		const struct vsock_packet *s = guest_next(&e->g);

		e->allowed = le32toh(s->h.buf_alloc);
		e->forwarded = le32toh(s->h.fwd_cnt);
		assert_true(le16toh(s->h.op) == OP(RW) || le16toh(s->h.op) == OP(CREDIT_UPDATE) ||
			le16toh(s->h.op) == OP(CREDIT_REQUEST));
		e->heard = check_block(s->data, 0, e->heard, s->len);
		e->g.fwd_cnt += s->len;
		if (le16toh(s->h.op) == OP(CREDIT_REQUEST))
			e->credit = send_again(&e->g, e->credit, OP(CREDIT_UPDATE), NULL, 0);
	}
}

/* Sends blocks while there is credit, takes what comes; false: all has come back. */
static bool echo_turn(struct echo *e, uint64_t total)
{
	uint8_t block[BLOCK];

	if (e->sent < total && room(e) >= BLOCK) {
		make_block(block, 0, e->sent, BLOCK);
		e->data = send_again(&e->g, e->data, OP(RW), block, BLOCK);
		e->sent += BLOCK;
	}
	echo_host(e);
	echo_take(e);
	return e->heard < total;
}

static void check_bulk(struct kit *k, uint16_t type)
{
	uint64_t total = (uint64_t)kit_rounds(k, 1) * 2 * MIB;
	struct echo *e = g_new0(struct echo, 1);
	autofd listener = -1;

	e->g = guest_start(k, NULL);
	e->g.type = type;
	listener = host_listen(k, PORT, type == SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM);
	guest_send(&e->g, OP(REQUEST), 0, NULL, 0);
	e->fd = host_accept(k, listener);
	e->allowed = le32toh(guest_expect(&e->g, OP(RESPONSE))->h.buf_alloc);
	while (echo_turn(e, total))
		;
	/* One direction ends, and the other goes on. */
	guest_send(&e->g, OP(SHUTDOWN), VSOCK_NO_SEND, NULL, 0);
	host_expect_end(k, e->fd);
	host_say(e->fd, "rest");
	guest_hear(&e->g, "rest");
	close(e->fd);
	guest_expect_shutdown(&e->g, VSOCK_NEITHER);
	g_free(e);
}

static void test_stream(struct kit *k)
{
	check_bulk(k, STREAM);
}

static void test_messages(struct kit *k)
{
	check_bulk(k, SEQPACKET);
}

/* Takes all that comes, until the host's end of a connection ends; that has to be what was sent. */
static void drain(struct kit *k, int fd, unsigned n)
{
	uint8_t got[BLOCK];
	uint64_t at = 0;
	ssize_t len;

	for (;;) {
		host_wait(k, fd, POLLIN);
		len = recv(fd, got, sizeof(got), 0);
		if (len <= 0)
			break;
		at = check_block(got, n, at, (size_t)len);
	}
	assert_true(at <= DEPTH * BLOCK);
	close(fd);
}

/*
 * Takes a packet: the answer to this connection's request, or what is left of those of earlier
 * rounds.
 */
static bool is_answer(struct vsock_guest *g)
{
	const struct vsock_packet *s = guest_next(g);
	bool ours = le32toh(s->h.dst_port) == g->guest_port;

	assert_int_equal(le16toh(s->h.op), ours ? OP(RESPONSE) : OP(RST));
	return ours;
}

/* Connects the guest; returns the host's end. */
static int begin(struct vsock_guest *g, int listener, unsigned n)
{
	g->guest_port = GUEST_PORT + n;
	guest_send(g, OP(REQUEST), 0, NULL, 0);
	while (!is_answer(g))
		;
	return host_accept(g->k, listener);
}

/* Has data of a connection on their way in both directions. */
static void flood(struct vsock_guest *g, int fd, unsigned n)
{
	uint8_t block[BLOCK];

	g->guest_port = GUEST_PORT + n;
	for (unsigned i = 0; i < DEPTH; i++) {
		g_autofree uint8_t *packet = NULL;

		make_block(block, n, i * BLOCK, BLOCK);
		packet = make_packet(g, OP(RW), 0, block, BLOCK);
		kit_add(g->k, VSOCK_TX, packet, HEAD + BLOCK, 0);
	}
	make_block(block, n, 0, BLOCK);
	assert_int_equal(send(fd, block, BLOCK, MSG_DONTWAIT | MSG_NOSIGNAL), BLOCK);
}

/* Takes what the guest was sent before the kill, and what packets after it were answered. */
static void take_rest(struct vsock_guest *g)
{
	while (guest_has_packet(g)) {
		const struct vsock_packet *s = guest_next(g);

		if (le16toh(s->h.op) == OP(RW))
			check_block(s->data, le32toh(s->h.dst_port) - GUEST_PORT, 0, s->len);
		else
			assert_int_equal(le16toh(s->h.op), OP(RST));
	}
}

/* The driver is told of the reset, the host sees the end, and both connect again. */
static void test_kills(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM);
	unsigned kills = kit_rounds(k, 4);
	struct kit_request *event =
		kit_send(k, VSOCK_EVENT, NULL, 0, sizeof(struct virtio_vsock_event));
	int fd[CONNECTIONS];

	for (unsigned first = 0; first < kills * CONNECTIONS; first += CONNECTIONS) {
		for (unsigned n = 0; n < CONNECTIONS; n++)
			fd[n] = begin(&g, listener, first + n);
		for (unsigned n = 0; n < CONNECTIONS; n++)
			flood(&g, fd[n], first + n);
		kit_kick(k, VSOCK_TX);
		kit_restart(k);
		assert_int_equal(kit_wait(k, event), sizeof(struct virtio_vsock_event));
		for (unsigned n = 0; n < CONNECTIONS; n++)
			drain(k, fd[n], first + n);
		take_rest(&g);
		kit_add_again(k, event);
		kit_kick(k, VSOCK_EVENT);
	}
}

static const struct kit_test tests[] = {
	{ "stream", test_stream, .skip = KIT_NO_PAUSE | KIT_NO_KILL | KIT_NO_HOSTILE },
	{ "messages", test_messages, .skip = KIT_NO_PAUSE | KIT_NO_KILL | KIT_NO_HOSTILE },
	{ "kills", test_kills, .skip = KIT_NO_PAUSE | KIT_NO_KILL | KIT_NO_HOSTILE },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-vsock: credit in both directions, readers that are slow, messages. */
#include "daemon/devices/vsock/test_vsock.h"

#define PACKET (16u << 10)
#define MAX_PACKETS 256

/* Returns the n-th byte of a stream. */
static uint8_t byte_at(size_t n)
{
	return (uint8_t)(n * 7 + n / 251);
}

static void fill(uint8_t *to, size_t len, size_t at)
{
	for (size_t i = 0; i < len; i++)
		to[i] = byte_at(at + i);
}

static void check(const uint8_t *bytes, size_t len, size_t at)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != byte_at(at + i))
			fail_msg("byte %zu is another one", at + i);
	}
}

/* Sends bytes of a stream in one packet, by a request that is used again. */
struct sender {
	struct vsock_guest *g;
	struct kit_request *r;
	uint32_t sent;
	uint32_t credit, forwarded; /* as the device says */
};

static void take_packet(struct sender *s)
{
	const struct vsock_packet *seen = guest_next(s->g);

	assert_int_equal(le16toh(seen->h.op), OP(CREDIT_UPDATE));
	s->credit = le32toh(seen->h.buf_alloc);
	s->forwarded = le32toh(seen->h.fwd_cnt);
}

static void send_some(struct sender *s)
{
	g_autofree uint8_t *data = g_malloc(PACKET), *bytes = NULL;

	fill(data, PACKET, s->sent);
	bytes = make_packet(s->g, OP(RW), 0, data, PACKET);
	if (!s->r) {
		s->r = kit_send(s->g->k, VSOCK_TX, bytes, HEAD + PACKET, 0);
	} else {
		memcpy(s->r->out, bytes, HEAD + PACKET);
		kit_add_again(s->g->k, s->r);
		kit_kick(s->g->k, VSOCK_TX);
	}
	kit_wait(s->g->k, s->r);
	s->sent += PACKET;
}

/* Sends all that there is credit for, to a host that reads nothing. */
static void fill_up(struct sender *s)
{
	for (;;) {
		while (guest_has_packet(s->g))
			take_packet(s);
		if (s->credit - (s->sent - s->forwarded) < PACKET)
			return;
		send_some(s);
	}
}

static struct sender sender_new(struct vsock_guest *g, int listener, int *fd)
{
	struct sender s = { .g = g };

	guest_send(g, OP(REQUEST), 0, NULL, 0);
	*fd = host_accept(g->k, listener);
	s.credit = le32toh(guest_expect(g, OP(RESPONSE))->h.buf_alloc);
	return s;
}

/* Reads, and checks, bytes of a stream. */
static void drain(struct kit *k, int fd, size_t from, size_t to)
{
	g_autofree uint8_t *bytes = g_malloc(PACKET);

	while (from < to) {
		ssize_t n;

		host_wait(k, fd, POLLIN);
		n = read(fd, bytes, MIN(PACKET, to - from));
		assert_true(n > 0);
		check(bytes, (size_t)n, from);
		from += (size_t)n;
	}
}

/* One host does not read: another connection does not notice, and nothing is lost. */
static void test_slow_reader(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL), other = g;
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = -1, fd2 = -1;
	struct sender s = sender_new(&g, listener, &fd);

	fill_up(&s);
	other = g;
	other.guest_port++;
	fd2 = guest_connect(&other, listener);
	guest_say(&other, "hello");
	host_hear(k, fd2, "hello");
	host_say(fd2, "answer");
	guest_hear(&other, "answer");
	g.next = other.next;
	host_say(fd, "x"); /* the other direction of the slow one works, too */
	guest_hear(&g, "x");
	drain(k, fd, 0, s.sent);
	/* What is told later than that is less than half of it. */
	while (s.forwarded + s.credit / 2 < s.sent)
		take_packet(&s);
	send_some(&s);
	drain(k, fd, s.sent - PACKET, s.sent);
}

/* What was sent arrives, although the guest has closed and forgotten the connection. */
static void test_linger(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = -1, next = -1;
	struct sender s = sender_new(&g, listener, &fd);

	fill_up(&s);
	guest_send(&g, OP(SHUTDOWN), VSOCK_NEITHER, NULL, 0);
	guest_expect(&g, OP(RST));
	assert_non_null(strstr(kit_call(k, "connections", ""), "\"state\":\"lingering\""));
	next = guest_connect(&g, listener); /* the same ports */
	guest_say(&g, "new");
	host_hear(k, next, "new");
	drain(k, fd, 0, s.sent);
	host_expect_end(k, fd);
	assert_non_null(strstr(kit_call(k, "counters", ""), "\"connections\":1,"));
}

/* The same by RST, after the guest has ended its direction; the host does not wait for the rest. */
static void test_linger_in_vain(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = -1;
	struct sender s = sender_new(&g, listener, &fd);
	struct kit_request none = { 0 };

	fill_up(&s);
	guest_send(&g, OP(SHUTDOWN), VSOCK_NO_SEND, NULL, 0);
	guest_send(&g, OP(RST), 0, NULL, 0);
	assert_non_null(strstr(kit_call(k, "connections", ""), "\"state\":\"lingering\""));
	fd_close(&fd);
	while (!strstr(kit_call(k, "counters", ""), "\"connections\":0,"))
		kit_is_done(k, &none);
}

static void test_too_much(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = -1;
	struct sender s = sender_new(&g, listener, &fd);
	unsigned n = 0;

	for (fill_up(&s); n < 2 && !guest_has_packet(&g); n++)
		send_some(&s);
	guest_expect(&g, OP(RST));
}

static void test_credit_request(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = guest_connect(&g, listener);
	const struct vsock_packet *s;

	guest_say(&g, "12345");
	host_hear(k, fd, "12345");
	guest_send(&g, OP(CREDIT_REQUEST), 0, NULL, 0);
	s = guest_expect(&g, OP(CREDIT_UPDATE));
	assert_int_equal(le32toh(s->h.fwd_cnt), 5);
	assert_true(le32toh(s->h.buf_alloc) >= 16 << 10);
}

/* The guest takes 1000 bytes at a time. */
static void test_guest_credit(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_STREAM), fd = -1;
	g_autofree uint8_t *bytes = g_malloc(5000);
	uint32_t got = 0;

	g.buf_alloc = 1000;
	fd = guest_connect(&g, listener);
	fill(bytes, 5000, 0);
	assert_int_equal(write(fd, bytes, 5000), 5000);
	while (got < 5000) {
		const struct vsock_packet *s = guest_next(&g);

		if (le16toh(s->h.op) == OP(RW)) {
			check(s->data, s->len, got);
			got += s->len;
			assert_true(got - g.fwd_cnt <= 1000);
			continue;
		}
		assert_int_equal(le16toh(s->h.op), OP(CREDIT_REQUEST));
		assert_int_equal(got - g.fwd_cnt, 1000);
		/* Asked once. */
		assert_false(guest_has_packet(&g));
		guest_send(&g, OP(CREDIT_UPDATE), 0, NULL, 0);
		assert_false(guest_has_packet(&g));
		g.fwd_cnt = got;
		guest_send(&g, OP(CREDIT_UPDATE), 0, NULL, 0);
	}
	/* Counters that make no sense are no credit. */
	g.fwd_cnt += 5000;
	guest_send(&g, OP(CREDIT_UPDATE), 0, NULL, 0);
	host_say(fd, "x");
	guest_expect(&g, OP(CREDIT_REQUEST));
}

static void host_expect_message(struct kit *k, int fd, const void *bytes, size_t len)
{
	g_autofree uint8_t *got = g_malloc(len + 1);

	host_wait(k, fd, POLLIN);
	assert_int_equal(recv(fd, got, len + 1, 0), len);
	assert_memory_equal(got, bytes, len);
}

static void test_message_from_guest(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_SEQPACKET), fd = -1;

	g.type = SEQPACKET;
	fd = guest_connect(&g, listener);
	guest_send(&g, OP(RW), 0, "one, ", 5);
	guest_send(&g, OP(RW), VSOCK_SEQ_EOM | 2, "two", 3); /* EOR, too */
	guest_send(&g, OP(RW), VSOCK_SEQ_EOM, "three", 5);
	guest_send(&g, OP(RW), 0, "four", 4);
	guest_send(&g, OP(RW), VSOCK_SEQ_EOM, NULL, 0);
	guest_send(&g, OP(RW), VSOCK_SEQ_EOM, "five", 4);
	host_expect_message(k, fd, "one, two", 8);
	host_expect_message(k, fd, "three", 5);
	host_expect_message(k, fd, "four", 4);
	host_expect_message(k, fd, "five", 4);
	/* A message without an end is none. */
	guest_send(&g, OP(RW), 0, "six", 3);
	guest_send(&g, OP(SHUTDOWN), VSOCK_NEITHER, NULL, 0);
	guest_expect(&g, OP(RST));
	host_expect_end(k, fd);
}

/* Many messages of different lengths, which the host reads when no more can be sent. */
static void test_messages_kept(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_SEQPACKET), fd = -1;
	g_autofree uint8_t *bytes = g_malloc(4000);
	unsigned count = kit_has_pauses(k) || test_under_valgrind() ? 200 : 800;

	g.type = SEQPACKET;
	fd = guest_connect(&g, listener);
	fill(bytes, 4000, 0);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < count; i++)
			guest_send(&g, OP(RW), VSOCK_SEQ_EOM, bytes, 1 + i * 37 % 500);
		for (unsigned i = 0; i < count; i++)
			host_expect_message(k, fd, bytes, 1 + i * 37 % 500);
	}
}

static void test_message_to_guest(struct kit *k)
{
	static const unsigned sizes[] = { 1, ROOM, ROOM + 1, 50000, 3, 3 * ROOM };
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_SEQPACKET), fd = -1;
	g_autofree uint8_t *bytes = g_malloc(50000);

	g.type = SEQPACKET;
	g.buf_alloc = 60000;
	fd = guest_connect(&g, listener);
	fill(bytes, 50000, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++)
		assert_int_equal(send(fd, bytes, sizes[i], 0), sizes[i]);
	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		uint32_t got = 0, flags = 0;

		while (!(flags & VSOCK_SEQ_EOM)) {
			const struct vsock_packet *s = guest_next(&g);

			if (le16toh(s->h.op) == OP(CREDIT_REQUEST)) {
				assert_int_equal(got, 0); /* between messages */
				guest_send(&g, OP(CREDIT_UPDATE), 0, NULL, 0);
				continue;
			}
			assert_int_equal(le16toh(s->h.op), OP(RW));
			check(s->data, s->len, got);
			got += s->len;
			flags = le32toh(s->h.flags);
			g.fwd_cnt += s->len;
		}
		assert_int_equal(got, sizes[i]);
	}
}

/* A guest that is asked for room while it has none, and does not tell when it has. */
static void test_asked_again(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_SEQPACKET), fd = -1;

	g.type = SEQPACKET;
	g.buf_alloc = 10;
	fd = guest_connect(&g, listener);
	assert_int_equal(send(fd, "123456", 6, 0), 6);
	assert_int_equal(send(fd, "abcdef", 6, 0), 6);
	assert_memory_equal(guest_expect(&g, OP(RW))->data, "123456", 6);
	guest_expect(&g, OP(CREDIT_REQUEST));
	guest_send(&g, OP(CREDIT_UPDATE), 0, NULL, 0);
	guest_expect(&g, OP(CREDIT_REQUEST));
	g.fwd_cnt = 6;
	guest_send(&g, OP(CREDIT_UPDATE), 0, NULL, 0);
	assert_memory_equal(guest_expect(&g, OP(RW))->data, "abcdef", 6);
}

/* A message that the guest has no room for ends the connection. */
static void test_message_too_long(struct kit *k)
{
	struct vsock_guest g = guest_start(k, NULL);
	autofd listener = host_listen(k, PORT, SOCK_SEQPACKET), fd = -1;
	g_autofree uint8_t *bytes = g_malloc0(3000);

	g.type = SEQPACKET;
	g.buf_alloc = 2999;
	fd = guest_connect(&g, listener);
	assert_int_equal(send(fd, bytes, 3000, 0), 3000);
	guest_expect(&g, OP(RST));
	kit_wait_log(k, "a message of 3000 bytes is more than the guest takes (2999)");
}

static const struct kit_test tests[] = {
	{ "slow reader", test_slow_reader, .skip = KIT_NO_KILL },
	{ "linger", test_linger, .skip = KIT_NO_KILL },
	{ "linger in vain", test_linger_in_vain, .skip = KIT_NO_KILL },
	{ "too much", test_too_much, .skip = KIT_NO_KILL },
	{ "credit request", test_credit_request, .skip = KIT_NO_KILL },
	{ "guest's credit", test_guest_credit, .skip = KIT_NO_KILL },
	{ "message from guest", test_message_from_guest, .skip = KIT_NO_KILL },
	{ "messages kept", test_messages_kept, .skip = KIT_NO_KILL | KIT_NO_HOSTILE },
	{ "message to guest", test_message_to_guest, .skip = KIT_NO_KILL },
	{ "asked again", test_asked_again, .skip = KIT_NO_KILL },
	{ "message too long", test_message_too_long, .skip = KIT_NO_KILL },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}

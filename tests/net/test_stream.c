/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's framing: batches, what comes and goes in part, and peers that do it wrong. */
#include "tests/lib/test.h"

#include <sys/socket.h>

#include "base/sock.h"
#include "base/util.h"
#include "net/stream.h"

#define LONGEST 2000
#define SIZE 8192

struct stream_test {
	struct test test;
	int fds[2];
	struct net_stream_in in;
	struct net_stream_out out;
};

static int setup(void **state)
{
	struct stream_test *w = g_new0(struct stream_test, 1);

	test_begin(&w->test);
	assert_true(sock_pair(w->fds));
	net_stream_in_init(&w->in, SIZE, LONGEST);
	net_stream_out_init(&w->out, LONGEST);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct stream_test *w = *state;

	net_stream_in_free(&w->in);
	net_stream_out_free(&w->out);
	fds_close(w->fds, 2);
	test_end(&w->test);
	g_free(w);
	return 0;
}

/* Sends bytes as they are. */
static void put(struct stream_test *w, const void *bytes, size_t len)
{
	assert_int_equal(sock_send(w->fds[1], bytes, len, NULL, 0, TEST_WAIT_MS), 0);
}

/* Fills in frame number i, of a length that follows from it, and returns that. */
static uint32_t make(unsigned i, uint8_t *frame)
{
	uint32_t len = 14 + i * 7919 % (LONGEST - 13);

	for (uint32_t k = 0; k < len; k++)
		frame[k] = (uint8_t)(i + k);
	return len;
}

/* Takes all whole frames that were read, the first of them being number *next. */
static void take(struct net_stream_in *in, unsigned *next)
{
	uint8_t expected[LONGEST];
	const uint8_t *frame;
	ssize_t len;

	while ((len = net_stream_next(in, &frame)) > 0) {
		assert_int_equal(len, make((*next)++, expected));
		assert_memory_equal(frame, expected, len);
	}
	assert_int_equal(len, 0);
}

static void test_batch(void **state)
{
	struct stream_test *w = *state;
	struct net_frame frames[NET_STREAM_BATCH];
	struct iovec iov[2 * NET_STREAM_BATCH];
	uint8_t(*bytes)[LONGEST] = g_malloc(NET_STREAM_BATCH * LONGEST);
	unsigned sent = 0, received = 0;

	while (received < 2000) {
		unsigned first = sent % NET_STREAM_BATCH, n = NET_STREAM_BATCH - first;
		int done;

		for (unsigned i = 0; i < n; i++) {
			uint32_t len = make(sent + i, bytes[first + i]);

			iov[2 * i] = (struct iovec){ bytes[first + i], len / 3 };
			iov[2 * i + 1] =
				(struct iovec){ bytes[first + i] + len / 3, len - len / 3 };
			frames[i] = (struct net_frame){ iov + 2 * i, 2, len };
		}
		done = net_stream_write(&w->out, w->fds[1], frames, n);
		assert_true(done > 0 || done == -EAGAIN);
		sent += MAX(done, 0);
		if (done == (int)n)
			continue;
		while (net_stream_read(&w->in, w->fds[0]) > 0)
			take(&w->in, &received);
		net_stream_flush(&w->out, w->fds[1]);
	}
	g_free(bytes);
}

static void test_byte_by_byte(void **state)
{
	struct stream_test *w = *state;
	uint8_t bytes[NET_STREAM_HEAD + LONGEST] = { 0 };
	unsigned received = 0;

	for (unsigned i = 0; i < 3; i++) {
		uint32_t len = make(i, bytes + NET_STREAM_HEAD);
		uint32_t head = htobe32(len);

		memcpy(bytes, &head, sizeof(head));
		for (unsigned k = 0; k < NET_STREAM_HEAD + len; k++) {
			assert_int_equal(received, i);
			put(w, bytes + k, 1);
			assert_int_equal(net_stream_read(&w->in, w->fds[0]), 1);
			take(&w->in, &received);
		}
	}
	assert_int_equal(received, 3);
	assert_int_equal(net_stream_read(&w->in, w->fds[0]), -EAGAIN);
	fd_close(&w->fds[1]);
	assert_int_equal(net_stream_read(&w->in, w->fds[0]), 0);
}

static void test_no_room(void **state)
{
	struct stream_test *w = *state;
	uint8_t bytes[NET_STREAM_HEAD + LONGEST] = { 0 };
	uint32_t head = htobe32(LONGEST);
	const uint8_t *frame, *again;
	unsigned taken = 0;
	ssize_t n;

	memcpy(bytes, &head, sizeof(head));
	for (unsigned i = 0; i < 2 * SIZE / sizeof(bytes); i++)
		put(w, bytes, sizeof(bytes));
	while ((n = net_stream_read(&w->in, w->fds[0])) > 0)
		;
	assert_int_equal(n, -ENOBUFS);
	assert_int_equal(net_stream_next(&w->in, &frame), LONGEST);
	net_stream_untake(&w->in, LONGEST);
	assert_int_equal(net_stream_next(&w->in, &again), LONGEST);
	assert_ptr_equal(frame, again);
	for (taken = 1; taken < 2 * SIZE / sizeof(bytes); taken++) {
		while (!(n = net_stream_next(&w->in, &frame)))
			assert_true(net_stream_read(&w->in, w->fds[0]) > 0);
		assert_int_equal(n, LONGEST);
	}
}

static void test_wrong_length(void **state)
{
	static const uint32_t wrong[] = { 0, LONGEST + 1, 0x80000000, UINT32_MAX };
	struct stream_test *w = *state;
	const uint8_t *frame;

	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
		uint32_t head = htobe32(wrong[i]);

		put(w, &head, sizeof(head));
		assert_int_equal(net_stream_read(&w->in, w->fds[0]), sizeof(head));
		assert_int_equal(net_stream_next(&w->in, &frame), -EPROTO);
		net_stream_in_reset(&w->in);
	}
}

/* Sends a frame of one byte pieces, too many for a call. */
static void test_pieces(void **state)
{
	struct stream_test *w = *state;
	uint8_t frame[LONGEST];
	struct iovec iov[LONGEST];
	unsigned received = 1;
	uint32_t len = make(1, frame);
	const struct net_frame f[] = { { iov, len, len }, { iov, len, len } };

	assert_true(len > 1024);
	for (uint32_t i = 0; i < len; i++)
		iov[i] = (struct iovec){ frame + i, 1 };
	assert_int_equal(net_stream_write(&w->out, w->fds[1], f, 2), 1);
	assert_true(net_stream_read(&w->in, w->fds[0]) > 0);
	take(&w->in, &received);
	assert_int_equal(received, 2);
}

static void test_peer_is_gone(void **state)
{
	struct stream_test *w = *state;
	struct iovec iov = { "0123456789abcd", 14 };
	const struct net_frame f = { &iov, 1, 14 };

	fd_close(&w->fds[0]);
	assert_int_equal(net_stream_write(&w->out, w->fds[1], &f, 1), -EPIPE);
}

/* Pieces go out as they are, and what there is no room for does not. */
static void test_send(void **state)
{
	struct stream_test *w = *state;
	static uint8_t bytes[1 << 20];
	const struct iovec iov[] = { { bytes, 2 }, { bytes + 100, 3 } };
	const struct iovec many = { bytes, sizeof(bytes) };
	uint8_t got[6];
	ssize_t n;

	memcpy(bytes, "ab", 2);
	memcpy(bytes + 100, "cde", 3);
	assert_int_equal(net_stream_send(w->fds[1], iov, 2), 5);
	assert_int_equal(read(w->fds[0], got, sizeof(got)), 5);
	assert_memory_equal(got, "abcde", 5);
	n = net_stream_send(w->fds[1], &many, 1);
	assert_in_range(n, 1, sizeof(bytes) - 1);
	while (n > 0)
		n = net_stream_send(w->fds[1], &many, 1);
	assert_int_equal(n, -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {

		TEST(test_batch),
		TEST(test_byte_by_byte),
		TEST(test_no_room),
		TEST(test_wrong_length),
		TEST(test_pieces),
		TEST(test_send),
		TEST(test_peer_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

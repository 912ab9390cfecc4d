/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of a slow port: bytes in order, and room for each source. */
#include "tools/switch/send_queue.h"

#include "tests/lib/test.h"

#define SOURCES 4

static int setup(void **state)
{
	struct send_queue *q = g_new(struct send_queue, 1);

	send_queue_init(q, SOURCES);
	*state = q;
	return 0;
}

static int teardown(void **state)
{
	send_queue_free(*state);
	g_free(*state);
	return 0;
}

static bool put(struct send_queue *q, unsigned from, uint8_t *bytes, uint32_t len)
{
	struct iovec iov = { bytes, len };
	struct iov_cursor c = iov_cursor(&iov, 1, len);
	bool ok = send_queue_put(q, from, &c, len);

	assert_int_equal(iov_left(&c), ok ? 0 : len);
	return ok;
}

/* Takes `len` bytes, which follow the one before *at. */
static void take(struct send_queue *q, uint32_t len, uint8_t *at)
{
	uint32_t left = len;
	struct iovec iov[2];
	unsigned n = send_queue_peek(q, iov);

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *b = iov[i].iov_base;

		for (size_t k = 0; left && k < iov[i].iov_len; k++, left--)
			assert_int_equal(b[k], (*at)++);
	}
	assert_int_equal(left, 0);
	send_queue_take(q, len);
}

static void fill(uint8_t *bytes, uint32_t len, uint8_t *next)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (*next)++;
}

/* Lengths that have nothing to do with the ring's, for several times around it. */
static void test_order(void **state)
{
	struct send_queue *q = *state;
	uint8_t bytes[1601], in = 0, out = 0;
	uint64_t total = 0;
	struct iovec iov[2];

	for (unsigned i = 0; total < 5 * SEND_QUEUE_SIZE; i++) {
		uint32_t len = 18 + i * 7 % (sizeof(bytes) - 18);

		fill(bytes, len, &in);
		assert_true(put(q, i % SOURCES, bytes, len));
		total += len;
		if (q->used > SEND_QUEUE_SIZE / 4)
			take(q, q->used / 2 + 1, &out);
	}
	take(q, q->used, &out);
	assert_int_equal(q->n, 0);
	assert_int_equal(q->cost, 0);
	assert_int_equal(send_queue_peek(q, iov), 0);
	for (unsigned i = 0; i < SOURCES; i++)
		assert_int_equal(q->held[i], 0);
}

static unsigned put_all(struct send_queue *q, unsigned from, uint32_t len)
{
	static uint8_t bytes[70000];
	unsigned n = 0;

	while (put(q, from, bytes, len))
		n++;
	return n;
}

/* One that floods has half, the next half of the rest; small frames have their own cost. */
static void test_shares(void **state)
{
	struct send_queue *q = *state;
	unsigned whole = SEND_QUEUE_SIZE / (1000 + SEND_QUEUE_FRAME);
	unsigned first = put_all(q, 0, 1000), second = put_all(q, 1, 1000);

	assert_in_range(first, whole / 2 - 1, whole / 2 + 1);
	assert_in_range(second, whole / 4 - 1, whole / 4 + 1);
	assert_true(put_all(q, 2, 1000) > 0);
	send_queue_reset(q, SOURCES);
	assert_in_range(put_all(q, 0, 18), SEND_QUEUE_FRAMES / 4, SEND_QUEUE_FRAMES / 2);
	assert_true(put_all(q, 1, 18) > 0);
}

/* With two that flood at the same pace, none has more than the other. */
static void test_fair(void **state)
{
	struct send_queue *q = *state;
	uint8_t bytes[1000] = { 0 };
	unsigned n[2] = { 0 };

	for (unsigned i = 0; i < 100000; i++) {
		n[i % 2] += put(q, i % 2, bytes, sizeof(bytes));
		if (i % 8 == 0 && q->used >= 2000)
			send_queue_take(q, 2000);
	}
	assert_in_range(n[0], n[1] * 9 / 10, n[1] * 11 / 10);
}

/* One that sends less than its share loses nothing, whatever another one sends. */
static void test_modest(void **state)
{
	struct send_queue *q = *state;
	uint8_t bytes[1000] = { 0 };

	for (unsigned i = 0; i < 100000; i++) {
		put_all(q, 0, 64);
		if (i % 4 == 0)
			assert_true(put(q, 1, bytes, sizeof(bytes)));
		send_queue_take(q, MIN(q->used, 1000));
	}
}

static void test_keep(void **state)
{
	struct send_queue *q = *state;
	uint8_t bytes[500], in = 0, out = 0;
	struct iovec iov = { bytes, sizeof(bytes) };
	struct iov_cursor c = iov_cursor(&iov, 1, sizeof(bytes));

	fill(bytes, sizeof(bytes), &in);
	iov_skip(&c, 100);
	out += 100;
	send_queue_keep(q, 1, &c, 400);
	take(q, 399, &out);
	assert_int_equal(q->n, 1);
	take(q, 1, &out);
	assert_int_equal(q->n, 0);
	assert_int_equal(q->held[1], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_order), TEST(test_shares), TEST(test_fair),
		TEST(test_modest), TEST(test_keep) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

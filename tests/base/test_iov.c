/* SPDX-License-Identifier: Apache-2.0 */
/* The cursor against a flat model: random lists, random operations; and the edges one by one. */
#include "tests/lib/test.h"

#include "base/iov.h"

#define MAX_IOVS 9
#define MAX_LEN 12 /* of one iovec: short, so that most operations cross several */
#define MAX_TOTAL (MAX_IOVS * MAX_LEN)
#define GAP 3 /* bytes between iovecs, which must stay untouched */
#define MEMORY_BYTES (MAX_IOVS * (MAX_LEN + GAP) + GAP)

/* A random list over memory[]; at[i] is where byte i of it lies; expected[] is memory's model. */
struct iov_test {
	GRand *rand;
	struct iovec iov[MAX_IOVS];
	unsigned n_iov;
	unsigned char memory[MEMORY_BYTES];
	unsigned char expected[MEMORY_BYTES];
	size_t at[MAX_TOTAL];
	size_t total;
};

static size_t random_below(struct iov_test *w, size_t bound)
{
	return g_rand_int_range(w->rand, 0, bound);
}

static void world_make(struct iov_test *w)
{
	size_t next = GAP;

	for (size_t i = 0; i < MEMORY_BYTES; i++)
		w->memory[i] = w->expected[i] = random_below(w, 256);
	w->n_iov = random_below(w, MAX_IOVS + 1);
	w->total = 0;
	for (unsigned i = 0; i < w->n_iov; i++) {
		size_t len = random_below(w, 3) ? random_below(w, MAX_LEN + 1) : 0;

		w->iov[i] = (struct iovec){ .iov_base = w->memory + next, .iov_len = len };
		for (size_t j = 0; j < len; j++)
			w->at[w->total++] = next + j;
		next += len + GAP;
	}
}

/* Compares member by member, not by memcmp(): the struct has padding. */
static void assert_same(const struct iov_cursor *a, const struct iov_cursor *b)
{
	assert_ptr_equal(a->iov, b->iov);
	assert_int_equal(a->n_iov, b->n_iov);
	assert_int_equal(a->offset, b->offset);
	assert_int_equal(a->left, b->left);
	assert_int_equal(a->done, b->done);
}

static void check_pull(
	struct iov_test *w, struct iov_cursor *c, size_t pos, size_t len, size_t moved)
{
	unsigned char got[2 * MAX_TOTAL];

	memset(got, 0xa5, sizeof(got));
	assert_int_equal(iov_pull(c, got, len), moved);
	for (size_t i = 0; i < moved; i++)
		assert_int_equal(got[i], w->expected[w->at[pos + i]]);
	for (size_t i = moved; i < sizeof(got); i++)
		assert_int_equal(got[i], 0xa5);
}

static void check_push(
	struct iov_test *w, struct iov_cursor *c, size_t pos, size_t len, size_t moved)
{
	unsigned char give[2 * MAX_TOTAL];

	for (size_t i = 0; i < sizeof(give); i++)
		give[i] = random_below(w, 256);
	assert_int_equal(iov_push(c, give, len), moved);
	for (size_t i = 0; i < moved; i++)
		w->expected[w->at[pos + i]] = give[i];
}

static void check_zeroes(
	struct iov_test *w, struct iov_cursor *c, size_t pos, size_t len, size_t moved)
{
	assert_int_equal(iov_push_zeroes(c, len), moved);
	for (size_t i = 0; i < moved; i++)
		w->expected[w->at[pos + i]] = 0;
}

static void check_peek(
	struct iov_test *w, const struct iov_cursor *c, size_t pos, size_t len, size_t available)
{
	struct iovec got[MAX_IOVS + 1];
	unsigned max = random_below(w, MAX_IOVS + 1), n = 99;
	struct iov_cursor before = *c;
	size_t bytes = iov_peek(c, len, got, max, &n), seen = 0;

	assert_same(c, &before);
	assert_true(n <= max);
	for (unsigned i = 0; i < n; i++) {
		assert_true(got[i].iov_len > 0);
		for (size_t j = 0; j < got[i].iov_len; j++, seen++)
			assert_ptr_equal(
				(char *)got[i].iov_base + j, w->memory + w->at[pos + seen]);
	}
	assert_int_equal(seen, bytes);
	/* Fewer bytes than asked for only when max is used up, and then in whole iovecs. */
	if (bytes != available) {
		assert_true(bytes < available);
		assert_int_equal(n, max);
		if (bytes)
			assert_int_not_equal(w->at[pos + bytes], w->at[pos + bytes - 1] + 1);
	}
}

/*
 * Does random operations on c, whose bytes are [pos, pos + left) of the list. Returns where it
 * stops.
 */
static size_t drive(struct iov_test *w, struct iov_cursor *c, size_t pos, size_t left)
{
	size_t done = 0;

	for (unsigned ops = random_below(w, 12); ops; ops--) {
		size_t len = random_below(w, 4) ? random_below(w, 20) : random_below(w, MAX_TOTAL);
		size_t moved = MIN(len, left);

		switch (random_below(w, 5)) {
		case 0:
			check_pull(w, c, pos, len, moved);
			break;
		case 1:
			check_push(w, c, pos, len, moved);
			break;
		case 2:
			check_zeroes(w, c, pos, len, moved);
			break;
		case 3:
			assert_int_equal(iov_skip(c, len), moved);
			break;
		case 4:
			check_peek(w, c, pos, len, moved);
			moved = 0;
			break;
		}
		pos += moved;
		done += moved;
		left -= moved;
		assert_int_equal(iov_left(c), left);
		assert_int_equal(iov_done(c), done);
		assert_memory_equal(w->memory, w->expected, MEMORY_BYTES);
	}
	return pos;
}

/* Checks that the short ways are the long ones: c's bytes are [pos, pos + left) of the list. */
static void check_short_ways(
	struct iov_test *w, const struct iov_cursor *at, size_t pos, size_t left)
{
	struct iov_cursor c = *at;
	struct iovec first = { 0 };
	uint8_t *last, value;
	unsigned n;

	iov_peek(&c, SIZE_MAX, &first, 1, &n);
	assert_ptr_equal(iov_whole(&c), left && first.iov_len == left ? first.iov_base : NULL);
	last = iov_split_last(&c);
	if (!left) {
		assert_null(last);
		assert_same(&c, at);
		return;
	}
	assert_ptr_equal(last, w->memory + w->at[pos + left - 1]);
	assert_int_equal(iov_left(&c), left - 1);
	value = w->expected[w->at[pos + left - 1]] += 1;
	iov_put_last(&c, last, value);
	assert_int_equal(iov_done(&c), pos + (left == 1));
	iov_finish(&c);
	assert_int_equal(iov_left(&c), 0);
	assert_int_equal(iov_done(&c), left == 1 ? pos + 1 : pos + left - 1);
	assert_memory_equal(w->memory, w->expected, MEMORY_BYTES);
}

static void run_one(struct iov_test *w)
{
	size_t limit = random_below(w, 3) ? SIZE_MAX : random_below(w, MAX_TOTAL + 1);
	struct iov_cursor c, tail, unchanged;
	size_t left, pos, cut, done;

	world_make(w);
	c = iov_cursor(w->iov, w->n_iov, limit);
	left = MIN(w->total, limit);
	assert_int_equal(iov_left(&c), left);
	assert_int_equal(iov_done(&c), 0);
	pos = drive(w, &c, 0, left);
	check_short_ways(w, &c, pos, left - pos);

	unchanged = c;
	assert_false(iov_split_tail(&c, left - pos + 1, &tail));
	assert_same(&c, &unchanged);
	cut = random_below(w, left - pos + 1);
	assert_true(iov_split_tail(&c, cut, &tail));
	assert_int_equal(iov_left(&c), left - pos - cut);
	assert_int_equal(iov_done(&c), pos);
	assert_int_equal(iov_left(&tail), cut);
	assert_int_equal(iov_done(&tail), 0);

	done = drive(w, &tail, left - cut, cut) - (left - cut);
	if (random_below(w, 2))
		iov_skip(&c, SIZE_MAX);
	pos = iov_done(&c);
	iov_join_tail(&c, &tail);
	assert_int_equal(iov_done(&c), pos == left - cut ? pos + done : pos);
}

static void test_random(void **state)
{
	struct iov_test w = { 0 };

	for (guint32 seed = 1; seed <= 20000; seed++) {
		w.rand = g_rand_new_with_seed(seed);
		run_one(&w);
		g_rand_free(w.rand);
	}
}

static void test_nothing(void **state)
{
	struct iovec empty[2] = { { .iov_len = 0 }, { .iov_len = 0 } }, out[1];
	struct iov_cursor lists[] = {
		iov_cursor(NULL, 0, SIZE_MAX),
		iov_cursor(empty, 2, SIZE_MAX),
		iov_cursor(empty, 2, 0),
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++) {
		struct iov_cursor *c = &lists[i], tail;
		unsigned n = 99;
		char byte = 'x';

		assert_int_equal(iov_left(c), 0);
		assert_int_equal(iov_pull(c, &byte, 1), 0);
		assert_int_equal(byte, 'x');
		assert_int_equal(iov_push(c, &byte, 1), 0);
		assert_int_equal(iov_push_zeroes(c, SIZE_MAX), 0);
		assert_int_equal(iov_skip(c, SIZE_MAX), 0);
		assert_int_equal(iov_peek(c, SIZE_MAX, out, 1, &n), 0);
		assert_int_equal(n, 0);
		assert_false(iov_split_tail(c, 1, &tail));
		assert_true(iov_split_tail(c, 0, &tail));
		assert_int_equal(iov_left(&tail), 0);
	}
}

/* Lengths that add up to more than SIZE_MAX: only `bytes` of them count. */
static void test_sum_overflow(void **state)
{
	char byte = 'x';
	struct iovec iov[] = {
		{ .iov_base = &byte, .iov_len = 1 },
		{ .iov_base = &byte, .iov_len = SIZE_MAX },
		{ .iov_base = &byte, .iov_len = SIZE_MAX },
	};
	struct iov_cursor c = iov_cursor(iov, 3, 100);

	assert_int_equal(iov_left(&c), 100);
	c = iov_cursor(iov, 3, SIZE_MAX);
	assert_true(iov_left(&c) == SIZE_MAX);
}

static void test_tail_over_several(void **state)
{
	char a[2] = "AB", b[1] = "C", d[1] = "D";
	struct iovec iov[] = { { a, 2 }, { NULL, 0 }, { b, 1 }, { NULL, 0 }, { d, 1 } };
	struct iov_cursor c = iov_cursor(iov, 5, SIZE_MAX), tail;
	char got[4] = "";

	assert_true(iov_split_tail(&c, 3, &tail));
	assert_int_equal(iov_pull(&tail, got, sizeof(got)), 3);
	assert_memory_equal(got, "BCD", 3);
	/* c stops where the tail starts. */
	assert_int_equal(iov_push(&c, "xyz", 3), 1);
	assert_memory_equal(a, "xB", 2);
	iov_join_tail(&c, &tail);
	assert_int_equal(iov_done(&c), 4);
}

static void test_join_needs_the_end(void **state)
{
	char a[4] = "";
	struct iovec iov[] = { { a, 4 } };
	struct iov_cursor c = iov_cursor(iov, 1, SIZE_MAX), tail;

	assert_true(iov_split_tail(&c, 1, &tail));
	assert_int_equal(iov_push(&c, "ab", 2), 2);
	assert_int_equal(iov_push(&tail, "s", 1), 1);
	iov_join_tail(&c, &tail);
	assert_int_equal(iov_done(&c), 2);
	assert_int_equal(iov_push(&c, "c", 1), 1);
	iov_join_tail(&c, &tail);
	assert_int_equal(iov_done(&c), 4);
	assert_memory_equal(a, "abcs", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_sum_overflow),
		cmocka_unit_test(test_tail_over_several),
		cmocka_unit_test(test_join_needs_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Data that shows whether it is right: every kind of corruption is found and named. */
#include "tests/lib/test.h"

#include "tools/bench/bench_verify.h"

#define N_BLOCKS 8
#define BLOCK 4096u

struct fixture {
	struct bench_verify v;
	uint64_t data[BLOCK / 8];
};

static int setup(void **state)
{
	struct fixture *x = g_new0(struct fixture, 1);

	*state = x;
	return bench_verify_init(&x->v, N_BLOCKS, BLOCK, 77, false) ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	bench_verify_clear(&x->v);
	g_free(x);
	return 0;
}

/* Does a write that ends well; data is what was written. */
static void write_block(struct fixture *x, uint64_t block)
{
	uint64_t taken = block;

	assert_true(bench_verify_take(&x->v, &taken));
	assert_int_equal(taken, block);
	bench_verify_fill(&x->v, block, block * BLOCK, x->data);
	bench_verify_written(&x->v, block, true);
}

static void assert_wrong(char *message, const char *expected)
{
	assert_non_null(message);
	if (!strstr(message, expected))
		fail_msg("'%s' has no '%s'", message, expected);
	g_free(message);
}

static void test_right(void **state)
{
	struct fixture *x = *state;

	for (unsigned generation = 1; generation < 4; generation++) {
		write_block(x, 3);
		assert_null(bench_verify_check(&x->v, 3, 3 * BLOCK, x->data));
	}
}

static void test_every_byte_counts(void **state)
{
	struct fixture *x = *state;
	uint8_t *bytes = (uint8_t *)x->data;

	write_block(x, 2);
	for (unsigned i = 0; i < BLOCK; i++) {
		g_autofree char *where =
			g_strdup_printf("the byte at %u is 0x%02x, expected 0x%02x", 2 * BLOCK + i,
				bytes[i] ^ 0x80, bytes[i]);

		bytes[i] ^= 0x80;
		assert_wrong(bench_verify_check(&x->v, 2, 2 * BLOCK, x->data), where);
		bytes[i] ^= 0x80;
	}
	assert_null(bench_verify_check(&x->v, 2, 2 * BLOCK, x->data));
}

static void test_stale(void **state)
{
	struct fixture *x = *state;
	g_autofree void *old = NULL;

	write_block(x, 0);
	old = g_memdup2(x->data, BLOCK);
	write_block(x, 0);
	assert_wrong(
		bench_verify_check(&x->v, 0, 0, old), "generation 1 of the sector at 0, of this");
	/* Half of it new, as of a write that was cut short. */
	memcpy(old, x->data, BLOCK / 2);
	assert_wrong(bench_verify_check(&x->v, 0, 0, old), "generation 1 of the sector at 2048");
}

static void test_other_place(void **state)
{
	struct fixture *x = *state;

	write_block(x, 1);
	write_block(x, 0);
	assert_wrong(bench_verify_check(&x->v, 1, BLOCK, x->data), "sector at 0, of this run");
}

static void test_other_run(void **state)
{
	struct fixture *x = *state;
	struct bench_verify earlier;

	assert_true(bench_verify_init(&earlier, N_BLOCKS, BLOCK, 78, false));
	write_block(x, 0);
	bench_verify_fill(&earlier, 0, 0, x->data);
	assert_wrong(bench_verify_check(&x->v, 0, 0, x->data), "of another run");
	bench_verify_clear(&earlier);
}

static void test_any_run(void **state)
{
	struct fixture *x = *state;
	struct bench_verify later;

	assert_true(bench_verify_init(&later, N_BLOCKS, BLOCK, 79, true));
	assert_true(bench_verify_is_known(&later, 5));
	write_block(x, 5);
	assert_null(bench_verify_check(&later, 5, 5 * BLOCK, x->data));
	assert_wrong(bench_verify_check(&later, 4, 4 * BLOCK, x->data), "sector at 20480");
	x->data[BLOCK / 8 - 1] ^= 1;
	assert_wrong(bench_verify_check(&later, 5, 5 * BLOCK, x->data), "the byte at 24568");
	memset(x->data, 0, BLOCK);
	assert_wrong(bench_verify_check(&later, 5, 5 * BLOCK, x->data), "no sector that virtioctl");
	bench_verify_clear(&later);
}

static void test_one_request_a_block(void **state)
{
	struct fixture *x = *state;
	uint64_t block;

	for (unsigned i = 0; i < N_BLOCKS; i++) {
		block = 6; /* the next that is free is taken, and it wraps */
		assert_true(bench_verify_take(&x->v, &block));
		assert_int_equal(block, (6 + i) % N_BLOCKS);
	}
	assert_false(bench_verify_take(&x->v, &block));
	bench_verify_release(&x->v, 4);
	assert_true(bench_verify_take(&x->v, &block));
	assert_int_equal(block, 4);
}

static void test_known_and_next(void **state)
{
	struct fixture *x = *state;
	uint64_t block = 4;

	assert_false(bench_verify_is_known(&x->v, 2));
	write_block(x, 2);
	write_block(x, 7);
	write_block(x, 4);
	assert_true(bench_verify_is_known(&x->v, 2));
	/* After a failed write the content is unknown. */
	assert_true(bench_verify_take(&x->v, &block));
	bench_verify_written(&x->v, 4, false);
	assert_false(bench_verify_is_known(&x->v, 4));

	assert_true(bench_verify_next(&x->v, &block));
	assert_int_equal(block, 2);
	assert_true(bench_verify_next(&x->v, &block));
	assert_int_equal(block, 7);
	assert_false(bench_verify_next(&x->v, &block));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_right),
		TEST(test_every_byte_counts),
		TEST(test_stale),
		TEST(test_other_place),
		TEST(test_other_run),
		TEST(test_any_run),
		TEST(test_one_request_a_block),
		TEST(test_known_and_next),
	};

	return cmocka_run_group_tests_name("bench_verify", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowing: look-up, ranges that straddle regions, faults. */
#include "borrow_world.h"

static void test_straddle(void **state)
{
	struct borrow_request q;

	request_init(&q);
	request_range(&q, PAGE, PAGE, false);
	request_range(&q, 2 * PAGE - 16, PAGE + 16, false);
	request_range(&q, 4 * PAGE, 10, true);
	assert_int_equal(request_borrow(&q), 0);
	assert_int_equal(q.mapping.n_iov, 4);
	assert_int_equal(q.mapping.n_iov_out, 3);
	assert_iov(&q, 0, PAGE, 0xf3);
	assert_iov(&q, 1, 16, 0xf3);
	assert_iov(&q, 2, PAGE, 0xf0);
	assert_iov(&q, 3, 10, 0xf1);
	request_give_back(&q);
}

static void test_outside(void **state)
{
	assert_fault(3 * PAGE, 1);
	assert_fault(3 * PAGE - 1, 2);
	assert_fault(4 * PAGE - 1, 2);
	assert_fault(0, UINT32_MAX);
	assert_fault(5 * PAGE, 1);
	assert_fault(UINT64_MAX, 1);
	assert_fault(UINT64_MAX, 2);
	assert_fault(UINT64_MAX - 1, UINT32_MAX);
}

static void test_empty(void **state)
{
	struct borrow_request q;

	request_init(&q);
	assert_int_equal(request_borrow(&q), 0);
	assert_int_equal(q.mapping.n_iov, 0);
	request_give_back(&q);

	/* Nothing of it is accessed, so its address does not matter. */
	request_init(&q);
	request_range(&q, UINT64_MAX, 0, false);
	request_range(&q, 8, 8, false);
	request_range(&q, 3 * PAGE, 0, true);
	assert_int_equal(request_borrow(&q), 0);
	assert_int_equal(q.mapping.n_iov, 1);
	assert_int_equal(q.mapping.n_iov_out, 1);
	request_give_back(&q);
}

static void test_no_room(void **state)
{
	struct borrow_request q;

	request_init(&q);
	request_range(&q, 2 * PAGE - 1, 2, false);
	q.mapping.max_iov = 1;
	assert_int_equal(request_borrow(&q), -ENOBUFS);
	assert_int_equal(q.mapping.n_iov, 0);
	q.mapping.max_iov = 2;
	assert_int_equal(request_borrow(&q), 0);
	assert_int_equal(q.mapping.n_iov, 2);
	request_give_back(&q);
}

/* One mapping's fault is not another's. */
static void test_batch(void **state)
{
	struct borrow_request q[3];
	struct mem_mapping *mappings[3];

	for (unsigned i = 0; i < 3; i++) {
		request_init(&q[i]);
		request_range(&q[i], i == 1 ? 3 * PAGE : i * 2 * PAGE, 8, true);
		mappings[i] = &q[i].mapping;
	}
	guest_mem_borrow(&borrower, mappings, 3);
	assert_int_equal(q[0].mapping.status, 0);
	assert_int_equal(q[1].mapping.status, -EFAULT);
	assert_int_equal(q[2].mapping.status, 0);
	assert_int_equal(borrower.mappings_out, 2);
	assert_iov(&q[0], 0, 8, 0xf2);
	assert_iov(&q[2], 0, 8, 0xf1);
	mappings[1] = mappings[2];
	guest_mem_give_back(&borrower, mappings, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(world_setup, test_straddle),
		with(world_setup, test_outside),
		with(world_setup, test_empty),
		with(world_setup, test_no_room),
		with(world_setup, test_batch),
		/* The same with bounced regions in the table, too. */
		with(world_setup_bounce, test_straddle),
		with(world_setup_bounce, test_outside),
		with(world_setup_bounce, test_empty),
		with(world_setup_bounce, test_no_room),
		with(world_setup_bounce, test_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

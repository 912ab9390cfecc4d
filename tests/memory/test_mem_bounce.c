/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowing from a memory type that maps for each borrow, as Xen grants do. */
#include "borrow_world.h"

static void test_bounce(void **state)
{
	struct borrow_request q[2];
	struct mem_mapping *mappings[2] = { &q[0].mapping, &q[1].mapping };

	assert_false(guest_mem_can_pin(memory));
	request_init(&q[0]);
	request_range(&q[0], BOUNCE_BASE, 16, false);
	request_range(&q[0], 2 * PAGE - 1, 2, false); /* file memory, in two pieces */
	request_range(&q[0], BOUNCE_BASE + PAGE, 0, true);
	request_range(&q[0], BOUNCE_BASE + PAGE, 100, true);
	request_range(&q[0], 4 * PAGE, 10, true);
	request_range(&q[0], BOUNCE_BASE + 2 * PAGE, 100, true);
	request_init(&q[1]);
	request_range(&q[1], BOUNCE_BASE + 3 * PAGE, PAGE, true);

	guest_mem_borrow(&borrower, mappings, 2);
	assert_int_equal(q[0].mapping.status, 0);
	assert_int_equal(q[1].mapping.status, 0);
	assert_int_equal(bounce.borrows, 1);
	assert_int_equal(bounce.most, 4);
	assert_int_equal(bounce.out, 4);
	assert_int_equal(q[0].mapping.n_iov, 6);
	assert_int_equal(q[0].mapping.n_iov_out, 3);
	assert_iov(&q[0], 0, 16, 1);
	assert_iov(&q[0], 1, 1, 0xf3);
	assert_iov(&q[0], 2, 1, 0xf0);
	assert_iov(&q[0], 3, 100, 2);
	assert_iov(&q[0], 4, 10, 0xf1);
	assert_iov(&q[0], 5, 100, 3);
	assert_iov(&q[1], 0, PAGE, 4);

	for (unsigned i = 0; i < 6; i++)
		memset(q[0].iov[i].iov_base, 0xaa, q[0].iov[i].iov_len);
	memset(q[1].iov[0].iov_base, 0xbb, PAGE);
	q[0].mapping.written = 100 + 10 + 3;
	q[1].mapping.written = 0;
	guest_mem_give_back(&borrower, mappings, 2);
	assert_int_equal(bounce.give_backs, 1);
	assert_null(q[0].range[0].priv);

	assert_int_equal(bounce.memory[0], 1); /* the device only reads it */
	assert_int_equal(bounce.memory[PAGE + 99], 0xaa);
	assert_int_equal(bounce.memory[PAGE + 100], 2);
	assert_int_equal(bounce.memory[2 * PAGE + 2], 0xaa);
	assert_int_equal(bounce.memory[2 * PAGE + 3], 3);
	assert_int_equal(bounce.memory[3 * PAGE], 4);
}

/*
 * A bad page fails its mapping, whose other ranges are given back at once, unwritten; other
 * mappings go on.
 */
static void test_bounce_bad_page(void **state)
{
	struct borrow_request q[3];
	struct mem_mapping *mappings[3];

	bounce.bad_page = BOUNCE_BASE + 2 * PAGE;
	for (unsigned i = 0; i < 3; i++) {
		request_init(&q[i]);
		request_range(&q[i], BOUNCE_BASE, 8, false);
		request_range(&q[i], BOUNCE_BASE + PAGE, 8, true);
		q[i].mapping.written = 8;
		mappings[i] = &q[i].mapping;
	}
	request_range(&q[1], BOUNCE_BASE + 2 * PAGE + 50, 8, true);
	request_range(&q[1], BOUNCE_BASE + 3 * PAGE, 8, true);
	request_range(&q[2], 3 * PAGE, 8, true); /* in no region: never gets to the type */

	guest_mem_borrow(&borrower, mappings, 3);
	assert_int_equal(q[0].mapping.status, 0);
	assert_int_equal(q[1].mapping.status, -EIO);
	assert_int_equal(q[2].mapping.status, -EFAULT);
	assert_int_equal(q[1].mapping.n_iov, 0);
	assert_int_equal(borrower.mappings_out, 1);
	assert_int_equal(bounce.borrows, 1);
	assert_int_equal(bounce.most, 6);
	assert_int_equal(bounce.give_backs, 1);
	assert_int_equal(bounce.out, 2);
	assert_int_equal(bounce.copied, 0);

	guest_mem_give_back(&borrower, mappings, 1);
	assert_int_equal(bounce.give_backs, 2);
}

static void test_bounce_straddle(void **state)
{
	struct borrow_request q;

	request_init(&q);
	request_range(&q, BOUNCE_BASE + PAGE - 8, 8, false);
	assert_int_equal(request_borrow(&q), 0);
	request_give_back(&q);
	/* A range must be in one region. */
	assert_fault(BOUNCE_BASE + PAGE - 8, 9);
	assert_int_equal(bounce.borrows, 1);
}

/* File memory alone takes no call to the type; a batch of more than 256 takes a second call. */
static void test_bounce_calls(void **state)
{
	enum { N = 300 };
	struct borrow_request *q = g_new(struct borrow_request, N);
	struct mem_mapping *mappings[N];

	request_init(&q[0]);
	request_range(&q[0], 0, 8, false);
	assert_int_equal(request_borrow(&q[0]), 0);
	request_give_back(&q[0]);
	assert_int_equal(bounce.borrows, 0);
	assert_int_equal(bounce.give_backs, 0);

	for (unsigned i = 0; i < N; i++) {
		request_init(&q[i]);
		request_range(&q[i], BOUNCE_BASE + i, 1, true);
		q[i].mapping.written = 1;
		mappings[i] = &q[i].mapping;
	}
	guest_mem_borrow(&borrower, mappings, N);
	assert_int_equal(bounce.borrows, 2);
	assert_int_equal(borrower.mappings_out, N);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(mappings[i]->status, 0);
		*(unsigned char *)q[i].iov[0].iov_base = i;
	}
	guest_mem_give_back(&borrower, mappings, N);
	assert_int_equal(bounce.give_backs, 2);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(bounce.memory[i], i & 0xff);
	g_free(q);
}

static void test_bounce_ring(void **state)
{
	struct mem_ring_map map;
	GError *error = NULL;

	assert_true(guest_mem_map_ring(memory, BOUNCE_BASE + 64, 64, 16, "ring", &map, &error));
	assert_ptr_equal(map.host, bounce.memory + 64);
	assert_int_equal(bounce.rings, 1);
	guest_mem_unmap_ring(memory, &map);
	assert_int_equal(bounce.rings, 0);
	guest_mem_unmap_ring(memory, &map); /* nothing */
	assert_int_equal(bounce.rings, 0);

	assert_false(guest_mem_map_ring(memory, BOUNCE_BASE + 8, 64, 16, "ring", &map, &error));
	assert_error_has(&error, "not aligned");
	assert_null(map.host);
	bounce.bad_page = BOUNCE_BASE + PAGE;
	assert_false(guest_mem_map_ring(memory, BOUNCE_BASE + PAGE, 64, 16, "ring", &map, &error));
	assert_error_has(&error, "bad page");
	assert_null(map.host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(world_setup_bounce, test_bounce),
		with(world_setup_bounce, test_bounce_bad_page),
		with(world_setup_bounce, test_bounce_straddle),
		with(world_setup_bounce, test_bounce_calls),
		with(world_setup_bounce, test_bounce_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Holding memory of a Xen guest: foreign memory is mapped for it, grants are refused. */
#include "xen_world.h"

#include "memory/guest_pages.h"

#define BASE ((uint64_t)FAKE_GFN * PAGE)
#define CHUNK (512 * PAGE)
#define GRANT (UINT64_C(1) << 63)

static const struct mem_region_desc foreign = {
	.guest_addr = BASE,
	.user_addr = 0x7000000000,
	.size = FAKE_PAGES * PAGE,
	.xen_flags = MEM_XEN_FOREIGN,
	.xen_domid = FAKE_DOMID,
};

static uint8_t byte_of(struct guest_pages *pages, unsigned i)
{
	unsigned n;
	const struct iovec *iov = guest_pages_iov(pages, &n);

	assert_in_range(i, 0, n - 1);
	return *(uint8_t *)iov[i].iov_base;
}

/* Its chunks are mapped once, and again for a table that was sent again. */
static void test_foreign(void **state)
{
	static const struct guest_pages_range ranges[] = {
		{ BASE + 3 * PAGE, PAGE },
		{ BASE + CHUNK - PAGE, 2 * PAGE },
	};
	struct guest_pages *pages;
	unsigned n;

	add_region(foreign);
	assert_int_equal(guest_pages_hold(memory, ranges, 2, &pages), 0);
	assert_int_equal(fake_xen.batches, 2);
	assert_int_equal(byte_of(pages, 0), 4);
	*(uint8_t *)guest_pages_iov(pages, &n)[1].iov_base = 0xaa;
	assert_int_equal(n, 2);
	assert_int_equal(fake_xen_byte(511, 0), 0xaa);
	assert_int_equal(fake_xen.batches, 2);

	assert_true(guest_mem_set(memory, &foreign, &fake_xen.device, 1, NULL));
	assert_int_equal(fake_xen.batches, 2);
	assert_int_equal(byte_of(pages, 1), 0xaa);
	assert_int_equal(fake_xen.batches, 4);
	guest_pages_release(pages);
}

/* A frame that the guest does not have: refused, or, if it gave it up while held, lost. */
static void test_hole(void **state)
{
	static const struct guest_pages_range ranges[] = {
		{ BASE + 3 * PAGE, PAGE },
		{ BASE + 4 * PAGE, PAGE },
	};
	struct guest_pages *pages;

	add_region(foreign);
	fake_xen.hole[4] = true;
	assert_int_equal(guest_pages_hold(memory, ranges, 2, &pages), -EFAULT);
	assert_null(pages);
	fake_xen.hole[4] = false;
	assert_int_equal(guest_pages_hold(memory, ranges, 2, &pages), 0);
	assert_int_equal(byte_of(pages, 1), 5);

	fake_xen.hole[4] = true;
	assert_true(guest_mem_set(memory, &foreign, &fake_xen.device, 1, NULL));
	assert_int_equal(byte_of(pages, 0), 4);
	assert_int_equal(byte_of(pages, 1), 0);
	fake_xen.hole[4] = false;
	assert_true(guest_mem_set(memory, &foreign, &fake_xen.device, 1, NULL));
	assert_int_equal(byte_of(pages, 1), 5);
	guest_pages_release(pages);
}

static void test_grants(void **state)
{
	const struct mem_region_desc grants = {
		.guest_addr = GRANT,
		.user_addr = foreign.user_addr,
		.size = foreign.size,
		.xen_flags = MEM_XEN_GRANT | 0x8,
		.xen_domid = FAKE_DOMID,
	};
	static const struct guest_pages_range ranges[] = { { BASE, PAGE }, { GRANT, PAGE } };
	struct mem_region_desc pool = grants;
	struct guest_pages *pages;

	add_region(foreign);
	add_region(grants);
	assert_int_equal(guest_pages_hold(memory, ranges, 2, &pages), -EOPNOTSUPP);
	assert_null(pages);
	assert_int_equal(fake_xen.grant_maps, 0);

	/*
	 * A pool is mapped for its life; what it held is lost when it becomes grants like others.
	 */
	pool.xen_flags = MEM_XEN_GRANT;
	pool.size = 200 * PAGE;
	assert_true(guest_mem_set(memory, &pool, &fake_xen.device, 1, NULL));
	assert_int_equal(guest_pages_hold(memory, &ranges[1], 1, &pages), 0);
	assert_int_equal(byte_of(pages, 0), 1);
	assert_true(guest_mem_set(memory, &grants, &fake_xen.device, 1, NULL));
	assert_int_equal(byte_of(pages, 0), 0);
	guest_pages_release(pages);
}

/* Only files have memory to give back. */
static void test_discard(void **state)
{
	struct guest_pages *pages;
	static const struct guest_pages_range range = { BASE, PAGE };

	add_region(foreign);
	assert_int_equal(guest_pages_hold(memory, &range, 1, &pages), 0);
	guest_mem_discard(memory, 0, UINT64_MAX);
	assert_int_equal(byte_of(pages, 0), 1);
	guest_pages_release(pages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(xen, test_foreign),
		TEST_WITH(xen, test_hole),
		TEST_WITH(xen, test_grants),
		TEST_WITH(xen, test_discard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

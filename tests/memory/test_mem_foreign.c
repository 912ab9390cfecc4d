/* SPDX-License-Identifier: Apache-2.0 */
/* A Xen guest's memory by frame number: chunks, holes, what is refused. */
#include "xen_world.h"

#define BASE ((uint64_t)FAKE_GFN * PAGE)
#define CHUNK (512 * PAGE)

static const struct mem_region_desc all = {
	.guest_addr = BASE,
	.user_addr = 0x7000000000,
	.size = FAKE_PAGES * PAGE,
	.xen_flags = MEM_XEN_FOREIGN,
	.xen_domid = FAKE_DOMID,
};

/* Borrows a range and gives it back; returns where it is. NULL, with the status: it failed. */
static uint8_t *touch(uint64_t addr, uint32_t len, int *status)
{
	uint8_t *host;

	*status = borrow_once(&borrower, addr, len, &host);
	return host;
}

static uint8_t *touch_good(uint64_t addr, uint32_t len)
{
	int status;
	uint8_t *p = touch(addr, len, &status);

	assert_int_equal(status, 0);
	return p;
}

/* Nothing is mapped before it is touched, and each chunk by one call. */
static void test_lazy(void **state)
{
	uint8_t *p;

	add_region(all);
	assert_false(guest_mem_can_pin(memory));
	assert_int_equal(fake_xen.batches, 0);
	p = touch_good(BASE + 3 * PAGE + 5, 10);
	assert_int_equal(*p, 4);
	assert_int_equal(fake_xen.batches, 1);
	*p = 0xaa;
	assert_int_equal(fake_xen_byte(3, 5), 0xaa);
	assert_int_equal(*touch_good(BASE + CHUNK - 1, 1), 0);
	assert_int_equal(fake_xen.batches, 1);
	/* Across three chunks, of which one is mapped, and in one piece. */
	p = touch_good(BASE + CHUNK - 1, CHUNK + 2);
	assert_int_equal(fake_xen.batches, 3);
	assert_int_equal(p[1], 1);
	assert_int_equal(p[CHUNK + 1], 1);
}

static void test_table_again(void **state)
{
	struct mem_xen_stats before, after;
	GError *error = NULL;

	add_region(all);
	touch_good(BASE, 1);
	mem_xen_get_stats(&before);
	assert_int_equal(before.live, 512);
	assert_true(before.high_water >= 512);
	assert_true(guest_mem_set(memory, &all, &fake_xen.device, 1, &error));
	mem_xen_get_stats(&after);
	assert_int_equal(after.live, 0);
	assert_int_equal(after.unmaps, before.unmaps + 1);
	touch_good(BASE, 1);
	assert_int_equal(fake_xen.batches, 2);
	assert_true(guest_mem_remove(memory, &all, &error));
}

/* The last chunk is shorter; the region need not begin or end at a page. */
static void test_odd_ends(void **state)
{
	struct mem_region_desc odd = all;

	odd.guest_addr = BASE + 7 * PAGE + 100;
	odd.size = 600 * PAGE + 1;
	add_region(odd);
	assert_int_equal(*touch_good(odd.guest_addr, 1), 8);
	assert_int_equal(*touch_good(odd.guest_addr + odd.size - 1, 1), (607 + 1) & 0xff);
	assert_int_equal(fake_xen.batches, 2);
}

static void test_holes(void **state)
{
	int status;

	add_region(all);
	fake_xen.hole[5] = true;
	fake_xen.hole[600] = true;
	assert_int_equal(*touch_good(BASE + 4 * PAGE, PAGE), 5);
	assert_int_equal(*touch_good(BASE + 6 * PAGE, PAGE), 7);
	assert_null(touch(BASE + 4 * PAGE, 3 * PAGE, &status));
	assert_int_equal(status, -EIO);
	assert_null(touch(BASE + 600 * PAGE, 1, &status));
	assert_int_equal(status, -EIO);
	/* Once the guest has filled it, one more call maps it. */
	fake_xen.hole[5] = false;
	fake_xen.batches = 0;
	assert_int_equal(touch_good(BASE + 4 * PAGE, 3 * PAGE)[PAGE], 6);
	assert_int_equal(*touch_good(BASE + 5 * PAGE, 1), 6);
	assert_int_equal(fake_xen.batches, 1);
}

static void test_paged_out(void **state)
{
	int status;

	add_region(all);
	fake_xen.paged = 3;
	assert_int_equal(*touch_good(BASE, 1), 1);
	assert_int_equal(fake_xen.batches, 4);
	fake_xen.paged = 1000;
	assert_null(touch(BASE + CHUNK, 1, &status));
	assert_int_equal(status, -EIO);
	fake_xen.paged = 0;
	assert_int_equal(*touch_good(BASE + CHUNK, 1), 1);
}

/* The call as a whole fails: only that request fails, and the next one tries again. */
static void test_call_fails(void **state)
{
	struct mem_xen_stats before, after;
	int status;

	add_region(all);
	mem_xen_get_stats(&before);
	fake_xen.ioctl_errno = EPERM;
	assert_null(touch(BASE, 1, &status));
	assert_int_equal(status, -EIO);
	fake_xen.ioctl_errno = 0;
	fake_xen.fail_mmap = true;
	assert_null(touch(BASE, 1, &status));
	assert_int_equal(status, -EIO);
	mem_xen_get_stats(&after);
	assert_int_equal(after.failures, before.failures + 2 * 512);
	fake_xen.fail_mmap = false;
	assert_int_equal(*touch_good(BASE, 1), 1);
}

/* By user address, and, where front-ends leave that undefined, by guest address. */
static void test_rings(void **state)
{
	const uint64_t undefined[] = { 0, UINT64_MAX - 5, 0x123456 };
	struct mem_ring_map map;
	GError *error = NULL;

	add_region(all);
	assert_true(
		guest_mem_map_ring(memory, all.user_addr + 2 * PAGE, 64, 16, "ring", &map, &error));
	assert_int_equal(*(uint8_t *)map.host, 3);
	guest_mem_unmap_ring(memory, &map);
	for (unsigned i = 0; i < G_N_ELEMENTS(undefined); i++) {
		struct mem_region_desc desc = all;

		desc.user_addr = undefined[i];
		assert_true(guest_mem_set(memory, &desc, &fake_xen.device, 1, &error));
		assert_true(
			guest_mem_map_ring(memory, BASE + 2 * PAGE, 64, 16, "ring", &map, &error));
		assert_int_equal(*(uint8_t *)map.host, 3);
		guest_mem_unmap_ring(memory, &map);
		assert_false(guest_mem_map_ring(
			memory, BASE + all.size - 32, 64, 16, "ring", &map, &error));
		assert_error_has(&error, "is not all in one memory region");
	}
	fake_xen.hole[900] = true;
	assert_false(guest_mem_map_ring(memory, BASE + 900 * PAGE, 64, 16, "ring", &map, &error));
	assert_error_has(&error, "cannot be mapped");
}

static void test_refused(void **state)
{
	static const struct {
		uint64_t size, offset;
		uint32_t flags, domid;
		const char *says;
	} cases[] = {
		{ PAGE, 0, MEM_XEN_FOREIGN | MEM_XEN_GRANT, FAKE_DOMID, "exclude each other" },
		{ PAGE, 0, MEM_XEN_FOREIGN | 0x8, FAKE_DOMID, "only grants" },
		{ PAGE, 0, MEM_XEN_FOREIGN | 0x100, FAKE_DOMID, "only grants" },
		{ PAGE, 0, MEM_XEN_FOREIGN | 0x10, FAKE_DOMID, "unknown flags" },
		{ PAGE, 0, 0x8, FAKE_DOMID, "no memory type" },
		{ PAGE, 0, MEM_XEN_FOREIGN, 0x7ff0, "no such domain" },
		{ PAGE, 0, MEM_XEN_FOREIGN, 0x10000 | FAKE_DOMID, "no such domain" },
		{ PAGE, PAGE, MEM_XEN_FOREIGN, FAKE_DOMID, "offset" },
		{ UINT64_C(1) << 60, 0, MEM_XEN_FOREIGN, FAKE_DOMID, "cannot reserve addresses" },
		{ 0, 0, MEM_XEN_FOREIGN, FAKE_DOMID, "its size is 0" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_not_added((struct mem_region_desc){ .guest_addr = BASE,
					 .user_addr = all.user_addr,
					 .size = cases[i].size,
					 .mmap_offset = cases[i].offset,
					 .xen_flags = cases[i].flags,
					 .xen_domid = cases[i].domid },
			cases[i].says);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(xen, test_lazy),
		TEST_WITH(xen, test_table_again),
		TEST_WITH(xen, test_odd_ends),
		TEST_WITH(xen, test_holes),
		TEST_WITH(xen, test_paged_out),
		TEST_WITH(xen, test_call_fails),
		TEST_WITH(xen, test_rings),
		TEST_WITH(xen, test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

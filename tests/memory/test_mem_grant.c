/* SPDX-License-Identifier: Apache-2.0 */
/* Granted regions: in advance, rings, what is refused; test_mem_grant_map.c has the requests. */
#include "xen_world.h"

#define GRANT (UINT64_C(1) << 63)

/* Pages [10, 210): a pool. */
static const struct mem_region_desc advance = {
	.guest_addr = GRANT | 10 * PAGE,
	.user_addr = 0x7000000000,
	.size = 200 * PAGE,
	.xen_flags = MEM_XEN_GRANT,
	.xen_domid = FAKE_DOMID,
};

/* Pages from 14 on. */
static const struct mem_region_desc on_demand = {
	.guest_addr = GRANT | 14 * PAGE,
	.size = (FAKE_PAGES - 14) * PAGE,
	.xen_flags = MEM_XEN_GRANT | 0x8,
	.xen_domid = FAKE_DOMID,
};

/* Checks that a ring part at this address is at this offset of this page. */
static void assert_ring(uint64_t addr, unsigned page, unsigned offset)
{
	struct mem_ring_map map;
	GError *error = NULL;

	if (!guest_mem_map_ring(memory, addr, 64, 16, "ring", &map, &error))
		fail_msg("%s", error->message);
	assert_int_equal(*(uint8_t *)map.host, (page + 1) & 0xff);
	*(uint8_t *)map.host = 0xaa;
	assert_int_equal(fake_xen_byte(page, offset), 0xaa);
	*(uint8_t *)map.host = page + 1;
	guest_mem_unmap_ring(memory, &map);
}

/* A pool is mapped once, with everything in it. */
static void test_advance(void **state)
{
	struct mem_region_desc odd = advance;
	GError *error = NULL;

	add_region(advance);
	assert_false(guest_mem_can_pin(memory));
	assert_int_equal(fake_xen.grant_maps, 1);
	assert_int_equal(fake_xen.refs, 200);
	assert_ring(advance.user_addr + PAGE + 0x400, 11, 0x400);
	assert_ring(advance.guest_addr + PAGE + 0x400, 11, 0x400);
	assert_int_equal(fake_xen.grant_maps, 1);
	assert_true(guest_mem_remove(memory, &advance, &error));
	assert_int_equal(fake_xen.live, 0);

	odd.guest_addr += 0x400;
	odd.size += 0x100;
	add_region(odd);
	assert_int_equal(fake_xen.refs, 401);
	assert_ring(odd.user_addr + odd.size - 64, 210, 0x4c0);
}

/* Two parts of a ring that share a page: mapped while the ring is, whatever the flags say. */
static void test_ring_parts(void **state)
{
	struct mem_region_desc part[] = { advance, advance };

	part[0].guest_addr += 0x400;
	part[0].size = 0x100;
	part[1].guest_addr += 0x500;
	part[1].user_addr += 0x1000;
	part[1].size = PAGE;
	add_region(part[0]);
	add_region(part[1]);
	assert_int_equal(fake_xen.grant_maps, 0);
	assert_ring(part[0].user_addr + 0x40, 10, 0x440);
	assert_int_equal(fake_xen.live, 0);
	assert_ring(part[1].user_addr + PAGE - 64, 11, 0x4c0);
	assert_ring(part[1].guest_addr, 10, 0x500);
	assert_int_equal(fake_xen.live, 0);
	assert_int_equal(fake_xen.refs, 3);
}

static void test_advance_fails(void **state)
{
	struct mem_region_desc bad = advance;

	fake_xen.bad[12] = true;
	assert_not_added(bad, "cannot map its grants: Invalid argument");
	fake_xen.bad[12] = false;
	fake_xen.readonly[12] = true;
	assert_not_added(bad, "cannot map its grants");
	fake_xen.readonly[12] = false;
	assert_int_equal(fake_xen.grant_maps, 2);
	assert_int_equal(fake_xen.live, 0);
	fake_xen.ioctl_errno = ENOSPC;
	assert_not_added(bad, "cannot map its grants: No space left on device");
	fake_xen.ioctl_errno = 0;
	/* A pool that is too large for one map is mapped when it is needed. */
	bad.size = 5000 * PAGE;
	add_region(bad);
	assert_int_equal(fake_xen.grant_maps, 2);
	assert_ring(bad.user_addr + 7 * PAGE, 17, 0);
}

/* A ring in memory that is not mapped in advance: mapped from start to stop. */
static void test_ring_on_demand(void **state)
{
	const uint64_t used = on_demand.guest_addr + 6 * PAGE + 64;
	struct mem_ring_map map[2];
	GError *error = NULL;

	add_region(on_demand);
	assert_int_equal(fake_xen.grant_maps, 0);
	assert_true(guest_mem_map_ring(
		memory, on_demand.guest_addr + PAGE, 64, 16, "ring", &map[0], &error));
	assert_true(guest_mem_map_ring(memory, used, 2 * PAGE, 4, "ring", &map[1], &error));
	assert_int_equal(fake_xen.live, 2);
	assert_int_equal(fake_xen.refs, 4);
	assert_int_equal(*(uint8_t *)map[0].host, 16);
	((uint8_t *)map[1].host)[2 * PAGE - 1] = 0xaa;
	assert_int_equal(fake_xen_byte(22, 63), 0xaa);
	guest_mem_unmap_ring(memory, &map[0]);
	assert_int_equal(fake_xen.live, 1);
	guest_mem_unmap_ring(memory, &map[1]);
	assert_int_equal(fake_xen.live, 0);

	fake_xen.bad[21] = true;
	assert_false(guest_mem_map_ring(memory, used, 2 * PAGE, 4, "ring", &map[1], &error));
	assert_error_has(&error, "cannot map a ring's grants");
	assert_null(map[1].host);
	assert_false(guest_mem_map_ring(memory, used + 1, 64, 4, "ring", &map[1], &error));
	assert_error_has(&error, "is not aligned");
	assert_int_equal(fake_xen.live, 0);
	/* User address 0 is none. */
	assert_false(guest_mem_map_ring(memory, 64, 64, 4, "ring", &map[1], &error));
	assert_error_has(&error, "is not all in one memory region");
}

/* As a real front-end sends them: ring parts, gaps between them with user address 0, a bank. */
static void test_mixed_table(void **state)
{
	enum { N = 22 };
	struct mem_region_desc desc[N];
	int fds[N];
	struct mem_ring_map map;
	GError *error = NULL;

	for (unsigned i = 0; i < N; i++) {
		desc[i] = i % 2 ? on_demand : advance;
		desc[i].guest_addr = GRANT | (100 + i) * PAGE;
		desc[i].size = PAGE;
		desc[i].user_addr = i % 2 ? 0 : advance.user_addr + i * PAGE;
		fds[i] = fake_xen.device;
	}
	desc[1].xen_flags = MEM_XEN_GRANT | 0x100;
	desc[N - 1].xen_flags = MEM_XEN_FOREIGN;
	desc[N - 1].guest_addr = (uint64_t)FAKE_GFN * PAGE;
	desc[N - 1].user_addr = 0x1000;
	desc[N - 2].xen_flags = 0;
	desc[N - 2].guest_addr = 0x1000;
	fds[N - 2] = fake_xen.memfd;
	if (!guest_mem_set(memory, desc, fds, N, &error))
		fail_msg("%s", error->message);
	assert_ring(advance.user_addr + 4 * PAGE, 104, 0);
	assert_int_equal(fake_xen.grant_maps, 1);
	/* An ordinary region has user addresses only. */
	assert_false(guest_mem_map_ring(memory, 0x2000, 64, 4, "ring", &map, &error));
	assert_error_has(&error, "is not all in one memory region");
	/* Those that have user addresses may not share them. */
	desc[2].user_addr = desc[0].user_addr;
	assert_false(guest_mem_set(memory, desc, fds, N, &error));
	assert_error_has(&error, "user addresses overlap");
	assert_int_equal(guest_mem_regions(memory), N);
}

static void test_refused(void **state)
{
	const uint64_t end = UINT64_C(1) << 44; /* of the references */
	const struct {
		uint64_t addr, size, offset;
		uint32_t flags, domid;
		const char *says;
	} cases[] = {
		{ GRANT, PAGE, 0, 0x8 | 0x4, FAKE_DOMID, "unknown flags" },
		{ GRANT, PAGE, 0, 0x8, 0x7ff0, "no such domain" },
		{ GRANT, PAGE, 1, 0x8, FAKE_DOMID, "offset" },
		{ GRANT | end, PAGE, 0, 0x8, FAKE_DOMID, "grant references have 32 bits" },
		{ GRANT | (end - PAGE), PAGE + 1, 0, 0x8, FAKE_DOMID,
			"grant references have 32 bits" },
		{ PAGE, GRANT, 0, 0x8, FAKE_DOMID, "grant references have 32 bits" },
	};
	struct mem_region_desc last = on_demand;

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_not_added((struct mem_region_desc){ .guest_addr = cases[i].addr,
					 .size = cases[i].size,
					 .mmap_offset = cases[i].offset,
					 .xen_flags = MEM_XEN_GRANT | cases[i].flags,
					 .xen_domid = cases[i].domid },
			cases[i].says);
	last.guest_addr = GRANT | (end - PAGE);
	last.size = PAGE;
	add_region(last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(xen, test_advance),
		TEST_WITH(xen, test_ring_parts),
		TEST_WITH(xen, test_advance_fails),
		TEST_WITH(xen, test_ring_on_demand),
		TEST_WITH(xen, test_mixed_table),
		TEST_WITH(xen, test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

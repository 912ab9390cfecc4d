/* SPDX-License-Identifier: Apache-2.0 */
/* What back-ends are told of a guest's memory, for queues that may be anywhere. */
#include "tests/lib/test.h"

#include "xen/worker/memory_regions.h"

#define PAGE UINT64_C(4096)
#define GRANTS (UINT64_C(1) << 63)
#define GRANTS_END (GRANTS + (UINT64_C(1) << 44))
#define DOMID 7
#define QUEUES 40

#define RING 0x2
#define REST 0xa

static void test_foreign(void **state)
{
	static const struct foreign_memory_bank bank[] = { { 0x40000000, 0x8000000 },
		{ UINT64_C(0x200000000), 0x40000000 } };
	struct mem_region_desc desc[MEMORY_REGIONS_MAX];

	assert_int_equal(memory_regions_foreign(DOMID, bank, 2, desc), 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(desc[i].guest_addr, bank[i].addr);
		assert_int_equal(desc[i].user_addr, bank[i].addr);
		assert_int_equal(desc[i].size, bank[i].size);
		assert_int_equal(desc[i].mmap_offset, 0);
		assert_int_equal(desc[i].xen_flags, 1);
		assert_int_equal(desc[i].xen_domid, DOMID);
	}
	assert_int_equal(memory_regions_foreign(DOMID, bank, 0, desc), 0);
}

/* Expects all grant addresses once, in order, in pages; *rings: regions of rings. */
static void assert_whole(const struct mem_region_desc *desc, unsigned n, unsigned *rings)
{
	uint64_t at = GRANTS;

	*rings = 0;
	assert_true(n > 0 && n <= MEMORY_REGIONS_MAX);
	for (unsigned i = 0; i < n; i++) {
		assert_true(desc[i].guest_addr == at);
		assert_true(desc[i].user_addr == at);
		assert_true(desc[i].size > 0 && desc[i].size % PAGE == 0);
		assert_int_equal(desc[i].mmap_offset, 0);
		assert_int_equal(desc[i].xen_domid, DOMID);
		if (desc[i].xen_flags == RING)
			(*rings)++;
		else
			assert_int_equal(desc[i].xen_flags, REST);
		at += desc[i].size;
	}
	assert_true(at == GRANTS_END);
}

static const struct mem_region_desc *region_of(
	const struct mem_region_desc *desc, unsigned n, uint64_t addr, uint64_t len)
{
	for (unsigned i = 0; i < n; i++)
		if (addr >= desc[i].guest_addr && addr - desc[i].guest_addr < desc[i].size &&
			len <= desc[i].size - (addr - desc[i].guest_addr))
			return &desc[i];
	return NULL;
}

static bool is_ring(const struct mem_region_desc *desc, unsigned n, uint64_t addr, uint64_t len)
{
	const struct mem_region_desc *r = region_of(desc, n, addr, len);

	return r && r->xen_flags == RING;
}

static bool is_in_rings(const struct mem_region_desc *desc, unsigned n,
	const struct virtio_mmio_queue *q, bool packed)
{
	uint64_t size = q->size;

	return is_ring(desc, n, q->desc, 16 * size) &&
		is_ring(desc, n, q->driver, packed ? 4 : 6 + 2 * size) &&
		is_ring(desc, n, q->device, packed ? 4 : 6 + 8 * size);
}

/* As Linux lays a split queue of 256 out: three pages one after the other. */
static void test_linux(void **state)
{
	struct mem_region_desc desc[MEMORY_REGIONS_MAX];
	struct virtio_mmio_queue q[] = {
		{ .size = 256,
			.desc = GRANTS + 8 * PAGE,
			.driver = GRANTS + 9 * PAGE,
			.device = GRANTS + 10 * PAGE },
		{ .size = 64,
			.desc = GRANTS + 20 * PAGE,
			.driver = GRANTS + 20 * PAGE + 1024,
			.device = GRANTS + 21 * PAGE },
	};
	unsigned rings;

	assert_int_equal(memory_regions_grants(DOMID, q, 2, false, desc), 5);
	assert_whole(desc, 5, &rings);
	assert_int_equal(rings, 2);
	assert_true(desc[1].guest_addr == GRANTS + 8 * PAGE && desc[1].size == 3 * PAGE);
	assert_true(desc[3].guest_addr == GRANTS + 20 * PAGE && desc[3].size == 2 * PAGE);
	/* None ready, at the very start, at the very end. */
	assert_int_equal(memory_regions_grants(DOMID, q, 0, false, desc), 1);
	assert_whole(desc, 1, &rings);
	q[0].desc = GRANTS;
	q[0].driver = GRANTS + PAGE;
	q[0].device = GRANTS_END - PAGE;
	assert_int_equal(memory_regions_grants(DOMID, q, 1, false, desc), 3);
	assert_whole(desc, 3, &rings);
	assert_true(is_in_rings(desc, 3, &q[0], false));
}

/* Parts that touch are one region only while that is no larger than a part may be. */
static void test_large(void **state)
{
	struct mem_region_desc desc[MEMORY_REGIONS_MAX];
	struct virtio_mmio_queue q = {
		.size = 32768,
		.desc = GRANTS + PAGE,
		.driver = GRANTS + 129 * PAGE,
		.device = GRANTS + 146 * PAGE,
	};
	unsigned rings, n = memory_regions_grants(DOMID, &q, 1, false, desc);

	assert_whole(desc, n, &rings);
	assert_true(is_in_rings(desc, n, &q, false));
	for (unsigned i = 0; i < n; i++)
		assert_true(desc[i].xen_flags != RING || desc[i].size <= 129 * PAGE);
	assert_int_equal(rings, 2);
}

static void test_hostile(void **state)
{
	static const uint64_t bad[] = { 0, 0x40000000, GRANTS - PAGE, GRANTS - 1, GRANTS_END,
		GRANTS_END - 8, GRANTS | 1ull << 62, UINT64_MAX, UINT64_MAX - PAGE + 1 };
	const struct virtio_mmio_queue good = { .size = 16,
		.desc = GRANTS + PAGE,
		.driver = GRANTS + 3 * PAGE,
		.device = GRANTS + 5 * PAGE };
	struct mem_region_desc desc[MEMORY_REGIONS_MAX];
	unsigned rings, n;

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		for (unsigned part = 0; part < 3; part++) {
			struct virtio_mmio_queue q[2] = { good, good };

			q[0].desc += 16 * PAGE;
			q[0].driver += 16 * PAGE;
			q[0].device += 16 * PAGE;
			*(part == 0		    ? &q[0].desc
					: part == 1 ? &q[0].driver
						    : &q[0].device) = bad[i];
			n = memory_regions_grants(DOMID, q, 2, false, desc);
			assert_whole(desc, n, &rings);
			/* The other queue's alone. */
			assert_int_equal(rings, 3);
			assert_true(is_in_rings(desc, n, &q[1], false));
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		struct virtio_mmio_queue q = good;

		q.size = i ? UINT32_MAX : 0;
		n = memory_regions_grants(DOMID, &q, 1, false, desc);
		assert_whole(desc, n, &rings);
	}
	assert_true(rings > 0);
}

/* More than a message can tell. */
static void test_scattered(void **state)
{
	struct virtio_mmio_queue q[200];
	struct mem_region_desc desc[MEMORY_REGIONS_MAX];
	unsigned rings;

	for (unsigned i = 0; i < G_N_ELEMENTS(q); i++)
		q[i] = (struct virtio_mmio_queue){ .size = 16,
			.desc = GRANTS + (6 * i + 1) * PAGE,
			.driver = GRANTS + (6 * i + 3) * PAGE,
			.device = GRANTS + (6 * i + 5) * PAGE };
	assert_whole(desc, memory_regions_grants(DOMID, q, 42, false, desc), &rings);
	assert_int_equal(rings, 126);
	assert_whole(desc, memory_regions_grants(DOMID, q, 43, false, desc), &rings);
	assert_int_equal(rings, 0);
	assert_int_equal(memory_regions_grants(DOMID, q, 200, false, desc), 1);
}

static uint64_t random_addr(GRand *rand)
{
	uint64_t pages = g_rand_int_range(rand, 0, 600);

	if (g_rand_int_range(rand, 0, 10) == 0)
		pages = (UINT64_C(1) << 32) - 1 - pages;
	return GRANTS + pages * PAGE + 16 * g_rand_int_range(rand, 0, 256);
}

/* Whatever the addresses: every ring byte in one region of rings, every address in one region. */
static void test_property(void **state)
{
	GRand *rand = g_rand_new_with_seed(4);
	struct mem_region_desc desc[MEMORY_REGIONS_MAX];
	struct virtio_mmio_queue q[QUEUES];
	unsigned rings;

	for (unsigned round = 0; round < 5000; round++) {
		unsigned n_queues = g_rand_int_range(rand, 0, QUEUES + 1), n;
		bool packed = g_rand_boolean(rand);

		for (unsigned i = 0; i < n_queues; i++) {
			q[i] = (struct virtio_mmio_queue){
				.size = 1u << g_rand_int_range(rand, 0, 10),
				.ready = true,
				.desc = random_addr(rand),
				.driver = random_addr(rand),
				.device = random_addr(rand),
			};
		}
		n = memory_regions_grants(DOMID, q, n_queues, packed, desc);
		assert_whole(desc, n, &rings);
		for (unsigned i = 0; i < n_queues; i++) {
			uint64_t size = q[i].size;

			if (q[i].desc + 16 * size > GRANTS_END ||
				(!packed && q[i].driver + 6 + 2 * size > GRANTS_END) ||
				(!packed && q[i].device + 6 + 8 * size > GRANTS_END))
				continue;
			assert_true(is_in_rings(desc, n, &q[i], packed));
		}
	}
	g_rand_free(rand);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_linux),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_scattered),
		cmocka_unit_test(test_property),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

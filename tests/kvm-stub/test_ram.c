/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM: one file, seen here and by a back-end, with or without a hole. */
#include "tests/lib/test.h"

#include <inttypes.h>
#include <sys/stat.h>

#include "kvm-stub/layout.h"
#include "kvm-stub/ram.h"
#include "tests/lib/dumped.h"

#define MIB (UINT64_C(1) << 20)

static uint64_t blocks(const struct ram *r)
{
	struct stat st;

	assert_int_equal(fstat(r->fd, &st), 0);
	return st.st_blocks;
}

static void test_one_region(void **state)
{
	GError *error = NULL;
	g_autoptr(ram) r = ram_new(2 * MIB, &error);
	uint8_t *p;

	assert_non_null(r);
	assert_int_equal(r->n_regions, 1);
	assert_int_equal(r->region[0].guest_addr, RAM_BASE);
	assert_int_equal(r->region[0].size, 2 * MIB);
	p = ram_at(r, RAM_BASE, 2 * MIB);
	assert_ptr_equal(p, (void *)(uintptr_t)r->region[0].user_addr);
	p[2 * MIB - 1] = 1;
	assert_ptr_equal(ram_at(r, RAM_BASE + 5, 1), p + 5);
	assert_non_null(ram_at(r, RAM_BASE + 2 * MIB - 1, 1));
	assert_null(ram_at(r, RAM_BASE + 2 * MIB - 1, 2));
	assert_null(ram_at(r, RAM_BASE + 2 * MIB, 1));
	assert_null(ram_at(r, RAM_BASE + 1, UINT64_MAX));
	assert_null(ram_at(r, UINT64_MAX, 2));
}

static void test_limit_not_dumped(void **state)
{
	g_autoptr(ram) r = ram_new(2 * MIB, NULL);

	assert_false(is_dumped(ram_at(r, RAM_BASE, 1)));
}

/* A back-end maps the regions by itself and finds the same bytes at the guest's addresses. */
static void test_back_end(void **state)
{
	static const char text[] = "seen by both";
	GError *error = NULL;
	g_autoptr(ram) r =
		ram_new(RAM_HOLE_START == UINT64_MAX ? 4 * MIB : RAM_HOLE_START + 4 * MIB, &error);
	g_autoptr(guest_mem) m = guest_mem_new();
	unsigned last;
	struct mem_ring_map map;

	assert_non_null(r);
	last = r->n_regions - 1;
	assert_true(guest_mem_set(m, r->region, r->region_fd, r->n_regions, &error));
	memcpy(ram_at(r, r->region[last].guest_addr + 4096, sizeof(text)), text, sizeof(text));
	assert_true(guest_mem_map_ring(
		m, r->region[last].user_addr + 4096, sizeof(text), 1, "text", &map, &error));
	assert_memory_equal(map.host, text, sizeof(text));
	guest_mem_unmap_ring(m, &map);
}

static void test_sealed(void **state)
{
	GError *error = NULL;
	g_autoptr(ram) r = ram_new(MIB, &error);

	assert_non_null(r);
	assert_int_equal(ftruncate(r->fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(r->fd, 2 * MIB), -1);
	assert_int_equal(fcntl(r->fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

#if RAM_HOLE_END != UINT64_MAX
static void test_hole(void **state)
{
	GError *error = NULL;
	g_autoptr(ram) r = ram_new(RAM_HOLE_START + MIB, &error);

	assert_non_null(r);
	assert_int_equal(r->n_regions, 2);
	assert_int_equal(r->region[0].size, RAM_HOLE_START);
	assert_int_equal(r->region[1].guest_addr, RAM_HOLE_END);
	assert_int_equal(r->region[1].size, MIB);
	assert_int_equal(r->region[1].mmap_offset, RAM_HOLE_START);
	assert_int_equal(r->region_fd[0], r->region_fd[1]);
	/* The two are neighbours here, but not for the guest. */
	assert_ptr_equal(ram_at(r, RAM_HOLE_END, MIB), r->host + RAM_HOLE_START);
	assert_non_null(ram_at(r, RAM_HOLE_START - 1, 1));
	assert_null(ram_at(r, RAM_HOLE_START - 1, 2));
	assert_null(ram_at(r, RAM_HOLE_START, 1));
	assert_null(ram_at(r, RAM_HOLE_END - 1, 2));
	assert_null(ram_at(r, RAM_HOLE_END + MIB, 1));
	assert_int_equal(blocks(r), 0);
}

static void test_up_to_the_hole(void **state)
{
	GError *error = NULL;
	g_autoptr(ram) r = ram_new(RAM_HOLE_START, &error);

	assert_non_null(r);
	assert_int_equal(r->n_regions, 1);
}
#endif

static void test_clear(void **state)
{
	GError *error = NULL;
	g_autoptr(ram) r = ram_new(MIB, &error);
	uint8_t *p;

	assert_non_null(r);
	p = ram_at(r, RAM_BASE, MIB);
	memset(p, 0x55, MIB);
	assert_true(blocks(r) > 0);
	assert_true(ram_clear(r, &error));
	assert_int_equal(blocks(r), 0);
	assert_int_equal(p[0], 0);
	assert_int_equal(p[MIB - 1], 0);
}

static void test_bad_sizes(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 4095, 4097, UINT64_MAX, UINT64_C(1) << 63,
		INT64_MAX };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *size = g_strdup_printf("%" PRIu64 " bytes", sizes[i]);

		assert_null(ram_new(sizes[i], &error));
		assert_non_null(strstr(error->message, size));
		assert_non_null(strstr(error->message, "this host has"));
	}
}

/* What KVM refuses with "Bad address" or "Invalid argument" is known before. */
static void test_loader_ram_limit(void **state)
{
	const uint64_t hole = RAM_HOLE_END - RAM_HOLE_START;

	assert_int_equal(ram_max_size(20), RAM_BASE ? 0 : MIB);
	assert_int_equal(ram_max_size(40), (UINT64_C(1) << 40) - RAM_BASE - hole);
	assert_int_equal(ram_max_size(64), UINT64_MAX - RAM_BASE - hole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(plain, test_one_region),
		TEST_WITH(plain, test_limit_not_dumped),
		TEST_WITH(plain, test_back_end),
		TEST_WITH(plain, test_sealed),
#if RAM_HOLE_END != UINT64_MAX
		TEST_WITH(plain, test_hole),
		TEST_WITH(plain, test_up_to_the_hole),
#endif
		TEST_WITH(plain, test_clear),
		TEST_WITH(plain, test_bad_sizes),
		TEST_WITH(plain, test_loader_ram_limit),
	};

	return cmocka_run_group_tests_name("ram", tests, NULL, NULL);
}

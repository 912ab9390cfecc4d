/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory of a driver: what it says of itself, and its edges. */
#include "fake_device.h"

#include <errno.h>
#include <fcntl.h>

#include "tests/lib/dumped.h"

static void test_share(void **state)
{
	GError *error = NULL;
	g_autoptr(driver_mem) m = driver_mem_new(5000, &error);
	g_autoptr(guest_mem) backend = guest_mem_new();
	struct mem_region_desc desc;
	struct mem_ring_map map;
	unsigned char *host;
	uint64_t addr;
	int fd;

	assert_non_null(m);
	driver_mem_describe(m, &desc, &fd);
	assert_int_equal(desc.size, 8192);
	assert_int_equal(desc.user_addr, desc.guest_addr);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 16384), -1);

	/* What the driver writes, a back-end that maps the region reads at the same address. */
	addr = driver_mem_alloc(m, 16, 16);
	host = driver_mem_host(m, addr, 16);
	assert_int_equal(host[15], 0);
	memset(host, 0x77, 16);
	assert_true(guest_mem_set(backend, &desc, &fd, 1, &error));
	assert_true(guest_mem_map_ring(backend, addr, 16, 16, "ring", &map, &error));
	assert_memory_equal(map.host, host, 16);
	assert_ptr_not_equal(map.host, host);
	guest_mem_unmap_ring(backend, &map);
}

static void test_limit_not_dumped(void **state)
{
	g_autoptr(driver_mem) m = driver_mem_new(8192, NULL);

	assert_false(is_dumped(driver_mem_host(m, driver_mem_alloc(m, 1, 1), 1)));
}

static void test_alloc(void **state)
{
	GError *error = NULL;
	g_autoptr(driver_mem) m = driver_mem_new(8192, &error);
	uint64_t a = driver_mem_alloc(m, 1, 1);
	uint64_t b = driver_mem_alloc(m, 100, 4096);

	assert_non_null(m);
	assert_true(a != 0);
	assert_int_equal(b, a + 4096);
	assert_int_equal(driver_mem_alloc(m, 3997, 1), 0);
	assert_int_equal(driver_mem_alloc(m, UINT64_MAX, 1), 0);
	assert_int_equal(driver_mem_alloc(m, 1, 8192), 0);
	assert_int_equal(driver_mem_alloc(m, 1, 1ull << 63), 0);
	assert_int_equal(driver_mem_alloc(m, 3996, 1), b + 100);
	assert_int_equal(driver_mem_alloc(m, 1, 1), 0);
}

static void test_host(void **state)
{
	GError *error = NULL;
	g_autoptr(driver_mem) m = driver_mem_new(4096, &error);
	uint64_t base = driver_mem_alloc(m, 1, 1);
	char *host = driver_mem_host(m, base, 4096);

	assert_non_null(host);
	assert_ptr_equal(driver_mem_host(m, base + 4095, 1), host + 4095);
	assert_null(driver_mem_host(m, base + 4095, 2));
	assert_null(driver_mem_host(m, base, 4097));
	assert_null(driver_mem_host(m, base - 1, 1));
	assert_null(driver_mem_host(m, base + 4097, 0));
	assert_null(driver_mem_host(m, base + 1, UINT64_MAX));
}

static void test_refused(void **state)
{
	static const uint64_t sizes[] = { 0, UINT64_MAX, 1ull << 63, 1ull << 62 };

	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		GError *error = NULL;

		assert_null(driver_mem_new(sizes[i], &error));
		assert_non_null(error);
		g_error_free(error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fd_checked(test_share),
		fd_checked(test_limit_not_dumped),
		fd_checked(test_alloc),
		fd_checked(test_host),
		fd_checked(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

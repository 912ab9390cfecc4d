/* SPDX-License-Identifier: Apache-2.0 */
/* The region table: what is refused, what stays, rings. */
#include "mem_test.h"

#include "tests/lib/dumped.h"

/* Three pages of guest memory at 1 MiB, user address 16 MiB. */
static const struct mem_region_desc plain = {
	.guest_addr = 0x100000,
	.size = 3 * PAGE,
	.user_addr = 0x1000000,
};

static struct mem_region_desc plain_at(uint64_t shift)
{
	struct mem_region_desc desc = plain;

	desc.guest_addr += shift;
	desc.user_addr += shift;
	return desc;
}

/* Returns where one byte of guest memory is; NULL: in no region. */
static unsigned char *host_of(struct guest_mem *m, uint64_t addr)
{
	struct mem_borrower b = { .mem = m };
	unsigned char *host;

	borrow_once(&b, addr, 1, &host);
	return host;
}

static void test_map(void **state)
{
	g_autoptr(guest_mem) m = guest_mem_new();
	autofd fd = test_file(plain.size);
	GError *error = NULL;
	unsigned char byte = 0x5a;

	assert_null(host_of(m, plain.guest_addr));
	assert_true(guest_mem_set(m, &plain, &fd, 1, &error));
	assert_int_equal(guest_mem_regions(m), 1);
	assert_true(guest_mem_can_pin(m));
	assert_false(guest_mem_poisoned(m));
	fd_close(&fd); /* the mapping does not need it */

	*host_of(m, plain.guest_addr + plain.size - 1) = byte;
	assert_int_equal(*host_of(m, plain.guest_addr + plain.size - 1), byte);
	assert_null(host_of(m, plain.guest_addr - 1));
	assert_null(host_of(m, plain.guest_addr + plain.size));
	assert_null(host_of(m, plain.user_addr));
}

static void test_limit_not_dumped(void **state)
{
	g_autoptr(guest_mem) m = guest_mem_new();
	autofd fd = test_file(plain.size);

	assert_true(guest_mem_set(m, &plain, &fd, 1, NULL));
	assert_false(is_dumped(host_of(m, plain.guest_addr)));
	assert_false(is_dumped(host_of(m, plain.guest_addr + plain.size - 1)));
}

/* The region begins at mmap_offset of the file, whether or not mmap() could start there. */
static void test_offset(void **state)
{
	static const uint64_t offsets[] = { 0, PAGE, 5 * PAGE, 1, PAGE - 1, 2 * PAGE + 24 };

	for (unsigned i = 0; i < G_N_ELEMENTS(offsets); i++) {
		g_autoptr(guest_mem) m = guest_mem_new();
		struct mem_region_desc desc = plain;
		autofd fd = test_file(offsets[i] + plain.size);
		GError *error = NULL;

		desc.mmap_offset = offsets[i];
		assert_int_equal(pwrite(fd, "first", 5, offsets[i]), 5);
		assert_int_equal(pwrite(fd, "!", 1, offsets[i] + plain.size - 1), 1);
		assert_true(guest_mem_add(m, &desc, fd, &error));
		assert_memory_equal(host_of(m, plain.guest_addr), "first", 5);
		assert_int_equal(*host_of(m, plain.guest_addr + plain.size - 1), '!');
	}
}

/* Checks each bad region alone, beside a good one, and added: refused, and what was there stays. */
static void assert_refused(struct mem_region_desc bad, const char *says)
{
	g_autoptr(guest_mem) m = guest_mem_new();
	autofd fd = test_file(plain.size);
	struct mem_region_desc both[] = { plain, bad };
	int fds[] = { fd, fd };
	GError *error = NULL;
	unsigned char *before;

	assert_true(guest_mem_set(m, &plain, &fd, 1, &error));
	before = host_of(m, plain.guest_addr);
	*before = 7;

	assert_false(guest_mem_add(m, &bad, fd, &error));
	assert_error_has(&error, says);
	assert_false(guest_mem_set(m, both, fds, 2, &error));
	assert_error_has(&error, says);

	assert_int_equal(guest_mem_regions(m), 1);
	assert_ptr_equal(host_of(m, plain.guest_addr), before);
	assert_int_equal(*before, 7);
}

static void test_refused_alone(void **state)
{
	const uint64_t guest = plain.guest_addr + 16 * PAGE, user = plain.user_addr + 16 * PAGE;
	const uint64_t size = plain.size;
	const struct {
		struct mem_region_desc bad;
		const char *says;
	} cases[] = {
		{ { guest, 0, user, 0, 0, 0 }, "its size is 0" },
		{ { UINT64_MAX - size + 1, size, user, 0, 0, 0 }, "its guest addresses wrap" },
		{ { UINT64_MAX, size, user, 0, 0, 0 },
			"0xffffffffffffffff: its guest addresses wrap" },
		{ { guest, size, UINT64_MAX - 1, 0, 0, 0 }, "its user addresses wrap" },
		{ { guest, size, user, UINT64_MAX - size + 1, 0, 0 },
			"its offset in the file wraps" },
		{ { guest, size, user, 1, 0, 0 }, "do not fit in its file of 0x3000 bytes" },
		{ { guest, size, user, UINT64_MAX - size, 0, 0 }, "do not fit in its file" },
		{ { guest, size + 1, user, 0, 0, 0 }, "do not fit in its file" },
		{ { guest, UINT64_MAX - user, user, 0, 0, 0 }, "do not fit in its file" },
		{ { guest, size, user, 0, 4, 0 }, "no memory type for Xen flags 0x4" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_refused(cases[i].bad, cases[i].says);
}

static void test_refused_overlap(void **state)
{
	const uint64_t guest = plain.guest_addr, user = plain.user_addr, size = plain.size;
	const struct {
		uint64_t guest_addr, user_addr;
		const char *says;
	} cases[] = {
		{ guest, user + 16 * PAGE,
			"its guest addresses overlap those of the region at 0x100000" },
		{ guest + size - 1, user + 16 * PAGE, "its guest addresses overlap" },
		{ guest - size + 1, user + 16 * PAGE, "its guest addresses overlap" },
		{ guest + 16 * PAGE, user + size - 1,
			"its user addresses overlap those of the region at 0x100000" },
		{ guest + 16 * PAGE, user - size + 1, "its user addresses overlap" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_refused((struct mem_region_desc){ .guest_addr = cases[i].guest_addr,
				       .user_addr = cases[i].user_addr,
				       .size = size },
			cases[i].says);
}

/* Regions that touch, added upwards and downwards, do not overlap. */
static void test_touching(void **state)
{
	g_autoptr(guest_mem) m = guest_mem_new();
	autofd fd = test_file(plain.size);
	GError *error = NULL;

	for (int i = -1; i < 3; i += 2) {
		struct mem_region_desc desc[] = { plain_at(0), plain_at(i * (int)plain.size) };
		int fds[] = { fd, fd };

		assert_true(guest_mem_set(m, desc, fds, 2, &error));
	}
}

static void test_bad_file(void **state)
{
	g_autoptr(guest_mem) m = guest_mem_new();
	struct mem_region_desc desc = plain;
	autofd null = open("/dev/null", O_RDWR | O_CLOEXEC);
	autofd pipe_end = -1, other_end = -1;
	int ends[2];
	autofd read_only = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	GError *error = NULL;

	assert_false(guest_mem_add(m, &desc, -1, &error));
	assert_error_has(&error, "Bad file descriptor");
	assert_false(guest_mem_add(m, &desc, null, &error));
	assert_error_has(&error, "0x100000: its fd is a character device: it must be a memfd");
	assert_false(guest_mem_add(m, &desc, read_only, &error));
	assert_error_has(&error, "its fd is a file of another file system");
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pipe_end = ends[0];
	other_end = ends[1];
	assert_false(guest_mem_add(m, &desc, pipe_end, &error));
	assert_error_has(&error, "its fd is a pipe");
	assert_int_equal(guest_mem_regions(m), 0);
}

/* 509 regions in an order that is neither up nor down; the 510th is refused. */
static void test_full(void **state)
{
	g_autoptr(guest_mem) m = guest_mem_new();
	autofd fd = test_file(plain.size);
	struct mem_region_desc desc;
	GError *error = NULL;
	uint64_t slot;

	for (unsigned i = 0; i <= GUEST_MEM_MAX_REGIONS; i++) {
		slot = i * 211 % (GUEST_MEM_MAX_REGIONS + 1);
		desc = plain_at(slot * 2 * plain.size);
		assert_int_equal(guest_mem_add(m, &desc, fd, &error), i < GUEST_MEM_MAX_REGIONS);
	}
	assert_error_has(&error, "too many regions (the maximum is 509)");
	assert_int_equal(guest_mem_regions(m), GUEST_MEM_MAX_REGIONS);
	for (unsigned i = 0; i <= GUEST_MEM_MAX_REGIONS; i++) {
		desc = plain_at((uint64_t)i * 2 * plain.size);
		assert_int_equal(host_of(m, desc.guest_addr) != NULL, i != slot);
		assert_int_equal(host_of(m, desc.guest_addr + desc.size - 1) != NULL, i != slot);
		assert_null(host_of(m, desc.guest_addr + desc.size));
	}
}

/* A region that is there may be added again, and is the same one then. */
static void test_again(void **state)
{
	g_autoptr(guest_mem) m = guest_mem_new();
	autofd fd = test_file(PAGE + plain.size);
	struct mem_region_desc desc = plain, moved = plain;
	GError *error = NULL;

	assert_true(guest_mem_add(m, &desc, fd, &error));
	assert_true(guest_mem_add(m, &desc, fd, &error));
	assert_int_equal(guest_mem_regions(m), 1);
	moved.mmap_offset += PAGE;
	assert_false(guest_mem_add(m, &moved, fd, &error));
	assert_error_has(&error, "overlap");
	assert_true(guest_mem_remove(m, &desc, &error));
	assert_int_equal(guest_mem_regions(m), 0);
}

static void test_remove(void **state)
{
	g_autoptr(guest_mem) m = guest_mem_new();
	autofd fd = test_file(PAGE + plain.size);
	struct mem_region_desc desc[3] = { plain_at(0), plain_at(8 * PAGE), plain_at(4 * PAGE) };
	struct mem_region_desc wrong;
	int fds[] = { fd, fd, fd };
	GError *error = NULL;

	assert_true(guest_mem_set(m, desc, fds, 3, &error));
	wrong = desc[2];
	wrong.size -= PAGE;
	assert_false(guest_mem_remove(m, &wrong, &error));
	assert_error_has(&error, "0x104000: there is none with size 0x2000");
	wrong = desc[2];
	wrong.user_addr += PAGE;
	assert_false(guest_mem_remove(m, &wrong, &error));
	assert_error_has(&error, "there is none with size");
	wrong = desc[2];
	wrong.guest_addr += 1;
	assert_false(guest_mem_remove(m, &wrong, &error));
	assert_error_has(&error, "there is none with size");
	assert_int_equal(guest_mem_regions(m), 3);

	desc[2].mmap_offset = 12345;
	assert_true(guest_mem_remove(m, &desc[2], &error));
	assert_null(host_of(m, desc[2].guest_addr));
	assert_non_null(host_of(m, desc[0].guest_addr));
	assert_non_null(host_of(m, desc[1].guest_addr));
	assert_int_equal(count_mappings(), 2);
	assert_false(guest_mem_remove(m, &desc[2], &error));
	assert_error_has(&error, "there is none with size");

	assert_true(guest_mem_set(m, NULL, NULL, 0, &error));
	assert_int_equal(guest_mem_regions(m), 0);
	assert_int_equal(count_mappings(), 0);
}

/* A borrower's hint survives a change of the table. */
static void test_stale_hint(void **state)
{
	g_autoptr(guest_mem) m = guest_mem_new();
	autofd fd = test_file(plain.size);
	struct mem_region_desc desc[2] = { plain_at(0), plain_at(8 * PAGE) };
	int fds[] = { fd, fd };
	struct mem_borrower b = { .mem = m };
	uint64_t addr = desc[1].guest_addr;
	unsigned char *host;
	GError *error = NULL;

	assert_true(guest_mem_set(m, desc, fds, 2, &error));
	assert_int_equal(borrow_once(&b, addr, 1, &host), 0);
	assert_true(guest_mem_remove(m, &desc[0], &error));
	assert_int_equal(borrow_once(&b, addr, 1, &host), 0);
	assert_true(guest_mem_set(m, NULL, NULL, 0, &error));
	assert_int_equal(borrow_once(&b, addr, 1, &host), -EFAULT);
	assert_int_equal(b.mappings_out, 0);
}

/* Looking up what needs no borrowing: the same addresses, and nothing beyond its region. */
static void test_window(void **state)
{
	g_autoptr(guest_mem) m = guest_mem_new();
	autofd fd = test_file(plain.size);
	const struct mem_region_desc desc[] = { plain_at(0), plain_at(plain.size) };
	const uint64_t start = desc[0].guest_addr, end = start + plain.size;
	int fds[] = { fd, fd };
	struct mem_window w = { .size = 1 };

	assert_false(guest_mem_window(m, start, &w));
	assert_null(mem_window_host(&w, 0, 0));
	assert_true(guest_mem_set(m, desc, fds, 2, NULL));
	assert_true(guest_mem_window(m, end - 1, &w));
	assert_ptr_equal(mem_window_host(&w, start + 5, 1), host_of(m, start + 5));
	assert_ptr_equal(mem_window_host(&w, start, plain.size), w.host);
	assert_ptr_equal(mem_window_host(&w, end - 1, 1), w.host + plain.size - 1);
	assert_null(mem_window_host(&w, end - 1, 2));
	assert_null(mem_window_host(&w, end, 1));
	assert_null(mem_window_host(&w, start - 1, 2));
	assert_null(mem_window_host(&w, start + 1, UINT32_MAX));
	assert_null(mem_window_host(&w, UINT64_MAX, 1));
	assert_true(guest_mem_window(m, end, &w));
	assert_non_null(mem_window_host(&w, end, 1));
	assert_false(guest_mem_window(m, end + plain.size, &w));
	assert_null(mem_window_host(&w, end, 1));
	assert_int_equal(*guest_mem_poison(m), 0);
}

static void assert_no_ring(
	struct guest_mem *m, uint64_t user_addr, size_t len, size_t align, const char *says)
{
	struct mem_ring_map map;
	GError *error = NULL;

	assert_false(guest_mem_map_ring(m, user_addr, len, align, "used ring", &map, &error));
	assert_error_has(&error, says);
	assert_null(map.host);
}

static void test_ring(void **state)
{
	g_autoptr(guest_mem) m = guest_mem_new();
	autofd fd = test_file(3 * plain.size);
	struct mem_region_desc desc[] = { plain_at(0), plain_at(plain.size), plain_at(9 * PAGE),
		plain_at(20 * PAGE) };
	int fds[] = { fd, fd, fd, fd };
	struct mem_ring_map map;
	GError *error = NULL;
	uint64_t end = plain.user_addr + 2 * plain.size;

	desc[2].mmap_offset = 1; /* its host addresses are odd where the user addresses are even */
	desc[3].user_addr += 2; /* and here the other way round */
	assert_true(guest_mem_set(m, desc, fds, 4, &error));
	assert_true(guest_mem_map_ring(m, end - 64, 64, 16, "used ring", &map, &error));
	assert_ptr_equal(map.host, host_of(m, plain.guest_addr + 2 * plain.size - 64));
	assert_int_equal(map.len, 64);
	guest_mem_unmap_ring(m, &map);
	assert_null(map.host);
	assert_true(guest_mem_map_ring(m, plain.user_addr, plain.size, 4, "ring", &map, &error));
	guest_mem_unmap_ring(m, &map);

	assert_no_ring(m, end - 64, 65, 16, "used ring at user address 0x1005fc0, 65 bytes");
	assert_no_ring(m, plain.user_addr + plain.size - 16, 32, 16, "not all in one");
	assert_no_ring(m, plain.user_addr - 16, 32, 16, "not all in one");
	assert_no_ring(m, plain.guest_addr, 32, 16, "not all in one");
	assert_no_ring(m, UINT64_MAX - 15, 32, 16, "not all in one");
	assert_no_ring(m, plain.user_addr, SIZE_MAX, 16, "not all in one");
	assert_no_ring(m, plain.user_addr + 8, 32, 16, "0x1000008, 32 bytes aligned to 16, is not");
	assert_no_ring(m, desc[2].user_addr, 32, 2, "is not aligned");
	assert_no_ring(m, desc[3].user_addr, 32, 4, "is not aligned");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(leak, test_map),
		TEST_WITH(leak, test_limit_not_dumped),
		TEST_WITH(leak, test_offset),
		TEST_WITH(leak, test_refused_alone),
		TEST_WITH(leak, test_refused_overlap),
		TEST_WITH(leak, test_touching),
		TEST_WITH(leak, test_bad_file),
		TEST_WITH(leak, test_full),
		TEST_WITH(leak, test_again),
		TEST_WITH(leak, test_remove),
		TEST_WITH(leak, test_stale_hint),
		TEST_WITH(leak, test_window),
		TEST_WITH(leak, test_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

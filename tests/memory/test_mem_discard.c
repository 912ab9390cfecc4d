/* SPDX-License-Identifier: Apache-2.0 */
/* Discarding guest memory: which pages of a file go back to the host. */
#include "mem_test.h"

#include <sys/stat.h>

#define FILE_PAGES 16
#define START UINT64_C(0x100000)

/* A file full of 0x11 under the regions of a table. */
struct discard_test {
	struct guest_mem *m;
	int fd;
};

/*
 * Makes two regions of eight pages with a page of guest addresses between them, `skew` bytes
 * into it.
 */
static void world_up(struct discard_test *w, uint64_t skew)
{
	struct mem_region_desc desc[2] = {
		{ .guest_addr = START, .mmap_offset = skew, .size = 8 * PAGE - skew },
		{ .guest_addr = START + 9 * PAGE, .mmap_offset = 8 * PAGE, .size = 8 * PAGE },
	};
	uint8_t page[PAGE];
	GError *error = NULL;
	int fds[2];

	memset(page, 0x11, sizeof(page));
	w->fd = fds[0] = fds[1] = test_file(FILE_PAGES * PAGE);
	for (unsigned i = 0; i < FILE_PAGES; i++)
		assert_int_equal(pwrite(w->fd, page, PAGE, i * PAGE), PAGE);
	for (unsigned i = 0; i < 2; i++)
		desc[i].user_addr = desc[i].guest_addr;
	w->m = guest_mem_new();
	assert_true(guest_mem_set(w->m, desc, fds, 2, &error));
}

static void world_down(struct discard_test *w)
{
	guest_mem_free(w->m);
	fd_close(&w->fd);
}

/*
 * Checks that exactly the pages of this mask are given back and read as zeroes; the others are
 * whole.
 */
static void assert_discarded(const struct discard_test *w, unsigned mask)
{
	struct stat st;

	assert_int_equal(fstat(w->fd, &st), 0);
	assert_int_equal(st.st_size, FILE_PAGES * PAGE);
	assert_int_equal(
		st.st_blocks, (FILE_PAGES - __builtin_popcount(mask)) * (uint64_t)PAGE / 512);
	for (unsigned i = 0; i < FILE_PAGES; i++) {
		uint8_t page[PAGE], expected = mask & 1u << i ? 0 : 0x11;

		/* st_blocks was read before: reading a hole may fill it. */
		assert_int_equal(pread(w->fd, page, PAGE, i * PAGE), PAGE);
		for (unsigned j = 0; j < PAGE; j++)
			assert_int_equal(page[j], expected);
	}
}

static void test_ranges(void **state)
{
	static const struct {
		uint64_t skew, addr, len;
		unsigned mask;
	} cases[] = {
		{ 0, START, PAGE, 0x1 },
		{ 0, START + PAGE, 3 * PAGE, 0xe },
		{ 0, START, 0, 0 },
		/* Less than a page at either end. */
		{ 0, START, PAGE - 1, 0 },
		{ 0, START + 1, PAGE, 0 },
		{ 0, START + 1, 2 * PAGE, 0x2 },
		{ 0, START + 1, 2 * PAGE - 2, 0 },
		{ 0, START + PAGE, 2 * PAGE + 7, 0x6 },
		/* Over the hole, and beyond both ends. */
		{ 0, START + 7 * PAGE, 3 * PAGE, 0x180 },
		{ 0, START + 8 * PAGE, PAGE, 0 },
		{ 0, 0, START + PAGE, 0x1 },
		{ 0, START + 16 * PAGE, UINT64_MAX, 0x8000 },
		{ 0, 0, UINT64_MAX, 0xffff },
		{ 0, UINT64_MAX, UINT64_MAX, 0 },
		{ 0, START - 2 * PAGE, PAGE, 0 },
		/* The pages are the file's, wherever the guest has them. */
		{ 8, START, PAGE, 0 },
		{ 8, START, 2 * PAGE - 8, 0x2 },
		{ 8, 0, UINT64_MAX, 0xfffe },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct discard_test w;

		world_up(&w, cases[i].skew);
		guest_mem_discard(w.m, cases[i].addr, cases[i].len);
		assert_discarded(&w, cases[i].mask);
		world_down(&w);
	}
}

/* What was discarded is ordinary memory again once it is written. */
static void test_reuse(void **state)
{
	struct mem_window window;
	struct discard_test w;
	uint8_t byte;

	world_up(&w, 0);
	assert_true(guest_mem_window(w.m, START, &window));
	guest_mem_discard(w.m, START, PAGE);
	assert_int_equal(window.host[5], 0);
	window.host[5] = 7;
	assert_int_equal(pread(w.fd, &byte, 1, 5), 1);
	assert_int_equal(byte, 7);
	assert_false(guest_mem_poisoned(w.m));
	world_down(&w);
}

/* Of a truncated file there is nothing to give back. */
static void test_truncated(void **state)
{
	struct mem_window window;
	struct discard_test w;

	world_up(&w, 0);
	guest_mem_catch_sigbus();
	assert_true(guest_mem_window(w.m, START, &window));
	assert_int_equal(ftruncate(w.fd, 0), 0);
	guest_mem_discard(w.m, START, PAGE);
	assert_int_equal(*(volatile char *)window.host, 0);
	assert_true(guest_mem_poisoned(w.m));
	guest_mem_discard(w.m, 0, UINT64_MAX);
	assert_int_equal(*(volatile char *)window.host, 0);
	world_down(&w);
}

/* A huge page goes as a whole or not at all. */
static void test_huge(void **state)
{
	const uint64_t size = UINT64_C(2) << 20;
	struct mem_region_desc desc = { .size = 2 * size };
	autofd fd = memfd_create(TEST_FILE, MFD_CLOEXEC | MFD_HUGETLB);
	g_autoptr(guest_mem) m = guest_mem_new();
	struct mem_window window;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_blksize != size ||
		ftruncate(fd, desc.size) < 0 || fallocate(fd, 0, 0, desc.size) < 0) {
		g_clear_pointer(&m, guest_mem_free);
		fd_close(&fd);
		skip(); /* no hugetlbfs, or none of its pages is free */
	}
	assert_true(guest_mem_add(m, &desc, fd, NULL));
	assert_true(guest_mem_window(m, 0, &window));
	memset(window.host, 0x11, desc.size);
	guest_mem_discard(m, PAGE, size);
	assert_int_equal(window.host[PAGE], 0x11);
	assert_int_equal(window.host[size], 0x11);
	guest_mem_discard(m, PAGE, 2 * size - PAGE);
	assert_int_equal(window.host[size - 1], 0x11);
	assert_int_equal(window.host[size], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(leak, test_ranges),
		TEST_WITH(leak, test_reuse),
		TEST_WITH(leak, test_truncated),
		TEST_WITH(leak, test_huge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

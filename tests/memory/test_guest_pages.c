/* SPDX-License-Identifier: Apache-2.0 */
/* Holding memory of files: what is refused, table changes, truncation, threads. */
#include "mem_test.h"

#include "memory/guest_pages.h"

/* Two regions that touch, of four pages each; they lie in the file in the opposite order. */
#define START UINT64_C(0x100000)
#define END (START + 8 * PAGE)

static const struct mem_region_desc desc[2] = {
	{ .guest_addr = START, .user_addr = START, .mmap_offset = 4 * PAGE, .size = 4 * PAGE },
	{ .guest_addr = START + 4 * PAGE, .user_addr = START + 4 * PAGE, .size = 4 * PAGE },
};

struct pages_test {
	struct guest_mem *m;
	int fds[2]; /* both the same file, whose page i is full of i + 1 */
};

static void world_up(struct pages_test *w)
{
	uint8_t page[PAGE];

	w->fds[0] = w->fds[1] = test_file(8 * PAGE);
	for (unsigned i = 0; i < 8; i++) {
		memset(page, i + 1, PAGE);
		assert_int_equal(pwrite(w->fds[0], page, PAGE, i * PAGE), PAGE);
	}
	w->m = guest_mem_new();
	assert_true(guest_mem_set(w->m, desc, w->fds, 2, NULL));
}

static void world_down(struct pages_test *w)
{
	guest_mem_free(w->m);
	fd_close(&w->fds[0]);
}

static void assert_range(const struct iovec *iov, size_t len, uint8_t first, uint8_t last)
{
	const uint8_t *p = iov->iov_base;

	assert_int_equal(iov->iov_len, len);
	assert_int_equal(p[0], first);
	assert_int_equal(p[len - 1], last);
}

static void test_hold(void **state)
{
	static const struct guest_pages_range ranges[] = {
		{ START + PAGE + 5, PAGE },
		{ UINT64_MAX, 0 },
		{ START + 3 * PAGE, 2 * PAGE }, /* straddles */
		{ START + PAGE, 1 }, /* overlaps */
		{ END - 1, 1 },
	};
	struct guest_pages *pages;
	const struct iovec *iov;
	struct pages_test w;
	uint8_t byte;
	unsigned n;

	world_up(&w);
	assert_int_equal(guest_pages_hold(w.m, ranges, G_N_ELEMENTS(ranges), &pages), 0);
	iov = guest_pages_iov(pages, &n);
	assert_int_equal(n, 5);
	assert_range(&iov[0], PAGE, 6, 7);
	assert_range(&iov[1], PAGE, 8, 8);
	assert_range(&iov[2], PAGE, 1, 1);
	assert_range(&iov[3], 1, 6, 6);
	assert_range(&iov[4], 1, 4, 4);
	*(uint8_t *)iov[4].iov_base = 0xaa;
	assert_int_equal(pread(w.fds[0], &byte, 1, 4 * PAGE - 1), 1);
	assert_int_equal(byte, 0xaa);
	assert_ptr_equal(guest_pages_iov(pages, &n), iov);
	guest_pages_release(pages);

	assert_int_equal(guest_pages_hold(w.m, NULL, 0, &pages), 0);
	guest_pages_iov(pages, &n);
	assert_int_equal(n, 0);
	guest_pages_release(pages);
	guest_pages_release(NULL);
	world_down(&w);
}

static void test_hostile(void **state)
{
	static const struct {
		struct guest_pages_range range;
		int err;
	} cases[] = {
		{ { START - 1, 1 }, -EFAULT },
		{ { START - 1, 2 }, -EFAULT },
		{ { END, 1 }, -EFAULT },
		{ { END - 1, 2 }, -EFAULT },
		{ { UINT64_MAX, 2 }, -EFAULT },
		{ { START, GUEST_PAGES_MAX_BYTES - 1 }, -EFAULT },
		{ { START, GUEST_PAGES_MAX_BYTES }, -E2BIG },
		{ { START, UINT64_MAX }, -E2BIG },
		{ { UINT64_MAX, UINT64_MAX }, -E2BIG },
	};
	struct guest_pages *pages;
	struct pages_test w;

	world_up(&w);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct guest_pages_range ranges[] = { { START, 1 }, cases[i].range };

		pages = (void *)&w;
		assert_int_equal(guest_pages_hold(w.m, ranges, 2, &pages), cases[i].err);
		assert_null(pages);
	}
	world_down(&w);
}

static void test_too_many_ranges(void **state)
{
	g_autofree struct guest_pages_range *ranges =
		g_new(struct guest_pages_range, GUEST_PAGES_MAX_RANGES + 1);
	struct guest_pages *pages;
	struct pages_test w;
	unsigned n;

	world_up(&w);
	for (unsigned i = 0; i <= GUEST_PAGES_MAX_RANGES; i++)
		ranges[i] = (struct guest_pages_range){ START + i % (8 * PAGE), 1 };
	assert_int_equal(guest_pages_hold(w.m, ranges, GUEST_PAGES_MAX_RANGES + 1, &pages), -E2BIG);
	assert_int_equal(guest_pages_hold(w.m, ranges, UINT32_MAX, &pages), -E2BIG);
	assert_int_equal(guest_pages_hold(w.m, ranges, GUEST_PAGES_MAX_RANGES, &pages), 0);
	guest_pages_iov(pages, &n);
	assert_int_equal(n, GUEST_PAGES_MAX_RANGES);
	guest_pages_release(pages);
	world_down(&w);
}

/* A table of many small regions multiplies what a range costs: bounded, too. */
static void test_too_many_regions(void **state)
{
	enum { N = 2 * GUEST_PAGES_MAX_RANGES / GUEST_MEM_MAX_REGIONS };
	static const struct mem_region_desc one = { .size = GUEST_MEM_MAX_REGIONS * PAGE };
	g_autoptr(guest_mem) m = guest_mem_new();
	autofd fd = test_file(one.size);
	struct guest_pages_range ranges[N + 1];
	struct guest_pages *pages;
	const struct iovec *iov;
	unsigned n;

	for (unsigned i = 0; i < G_N_ELEMENTS(ranges); i++)
		ranges[i] = (struct guest_pages_range){ 0, one.size };
	assert_true(guest_mem_add(m, &one, fd, NULL));
	assert_int_equal(guest_pages_hold(m, ranges, N + 1, &pages), 0);
	guest_pages_iov(pages, &n);
	assert_int_equal(n, N + 1);

	assert_true(guest_mem_remove(m, &one, NULL));
	for (unsigned i = 0; i < GUEST_MEM_MAX_REGIONS; i++) {
		struct mem_region_desc page = {
			.guest_addr = i * PAGE, .user_addr = i * PAGE, .size = PAGE
		};

		assert_true(guest_mem_add(m, &page, fd, NULL));
	}
	/* The last range is out of reach: two pieces of a substitute, and not 509 pages. */
	iov = guest_pages_iov(pages, &n);
	assert_int_equal(n, N * GUEST_MEM_MAX_REGIONS + 2);
	assert_true(iov[n - 2].iov_len > PAGE);
	assert_int_equal(iov[n - 2].iov_len + iov[n - 1].iov_len, one.size);
	guest_pages_release(pages);
	assert_int_equal(guest_pages_hold(m, ranges, N + 1, &pages), -E2BIG);
	assert_int_equal(guest_pages_hold(m, ranges, N, &pages), 0);
	guest_pages_release(pages);
}

/* A hold follows the table: another place, no place, and back. */
static void test_table_changes(void **state)
{
	static const struct guest_pages_range ranges[] = {
		{ START + PAGE, 2 * PAGE },
		{ START + 3 * PAGE, 2 * PAGE },
		{ START + 6 * PAGE, PAGE },
	};
	struct mem_region_desc moved[2] = { desc[0], desc[1] };
	struct guest_pages *pages;
	const struct iovec *iov;
	struct pages_test w;
	unsigned n;

	world_up(&w);
	assert_int_equal(guest_pages_hold(w.m, ranges, 3, &pages), 0);

	moved[0].mmap_offset = 0;
	moved[1].mmap_offset = 4 * PAGE;
	assert_true(guest_mem_set(w.m, moved, w.fds, 2, NULL));
	iov = guest_pages_iov(pages, &n);
	assert_int_equal(n, 4);
	assert_range(&iov[0], 2 * PAGE, 2, 3);
	assert_range(&iov[1], PAGE, 4, 4);
	assert_range(&iov[2], PAGE, 5, 5);
	assert_range(&iov[3], PAGE, 7, 7);

	assert_true(guest_mem_remove(w.m, &moved[1], NULL));
	iov = guest_pages_iov(pages, &n);
	assert_int_equal(n, 3);
	assert_range(&iov[0], 2 * PAGE, 2, 3);
	for (unsigned i = 0; i < 2; i++) {
		assert_range(&iov[1], 2 * PAGE, 0, 0);
		assert_range(&iov[2], PAGE, 0, 0);
		memset(iov[1].iov_base, 0xaa, 2 * PAGE);
		memset(iov[2].iov_base, 0xaa, PAGE);
		iov = guest_pages_iov(pages, &n);
	}

	assert_true(guest_mem_set(w.m, NULL, NULL, 0, NULL));
	iov = guest_pages_iov(pages, &n);
	assert_int_equal(n, 3);
	assert_range(&iov[0], 2 * PAGE, 0, 0);

	assert_true(guest_mem_set(w.m, desc, w.fds, 2, NULL));
	iov = guest_pages_iov(pages, &n);
	assert_int_equal(n, 4);
	assert_range(&iov[0], 2 * PAGE, 6, 7);
	assert_range(&iov[2], PAGE, 1, 1);
	guest_pages_release(pages);
	world_down(&w);
}

/* What stands in for a large range costs a bounded amount of memory. */
static void test_large_loss(void **state)
{
	const struct mem_region_desc large = { .size = UINT64_C(64) << 20 };
	const struct guest_pages_range range = { 1, (UINT64_C(64) << 20) - 1 };
	g_autoptr(guest_mem) m = guest_mem_new();
	autofd fd = test_file(large.size);
	struct guest_pages *pages;
	const struct iovec *iov;
	unsigned n;
	size_t sum = 0;

	assert_true(guest_mem_add(m, &large, fd, NULL));
	assert_int_equal(guest_pages_hold(m, &range, 1, &pages), 0);
	guest_pages_iov(pages, &n);
	assert_int_equal(n, 1);
	assert_true(guest_mem_remove(m, &large, NULL));
	iov = guest_pages_iov(pages, &n);
	assert_int_equal(n, 64);
	for (unsigned i = 0; i < n; i++) {
		assert_ptr_equal(iov[i].iov_base, iov[0].iov_base);
		sum += iov[i].iov_len;
	}
	assert_int_equal(sum, range.len);
	guest_pages_release(pages);
}

static void test_truncated(void **state)
{
	static const struct guest_pages_range range = { START, 8 * PAGE };
	struct guest_pages *pages, *other;
	const struct iovec *iov;
	struct pages_test w;
	unsigned n;

	guest_mem_catch_sigbus();
	world_up(&w);
	assert_int_equal(guest_pages_hold(w.m, &range, 1, &pages), 0);
	assert_int_equal(ftruncate(w.fds[0], 0), 0);
	iov = guest_pages_iov(pages, &n);
	assert_int_equal(n, 2);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(*(volatile uint8_t *)iov[i].iov_base, 0);
	assert_true(guest_mem_poisoned(w.m));
	assert_int_equal(guest_pages_hold(w.m, &range, 1, &other), -EFAULT);
	assert_null(other);
	/* Also with the next table, in which one of the regions is still that one. */
	assert_true(guest_mem_remove(w.m, &desc[1], NULL));
	iov = guest_pages_iov(pages, &n);
	assert_int_equal(n, 1);
	assert_range(&iov[0], 8 * PAGE, 0, 0);
	guest_pages_release(pages);
	world_down(&w);
}

/* Released last, after the memory that it was of. */
static void test_release_late(void **state)
{
	static const struct guest_pages_range range = { START, PAGE };
	struct guest_pages *pages;
	struct pages_test w;

	world_up(&w);
	assert_int_equal(guest_pages_hold(w.m, &range, 1, &pages), 0);
	world_down(&w);
	guest_pages_release(pages);
}

static void *hold_and_release(void *opaque)
{
	static const struct guest_pages_range range = { START, 5 * PAGE };
	struct pages_test *w = opaque;
	uintptr_t bad = 0;

	for (unsigned i = 0; i < 100; i++) {
		struct guest_pages *pages;
		unsigned n;

		if (guest_pages_hold(w->m, &range, 1, &pages))
			return GUINT_TO_POINTER(1);
		bad += *(const uint8_t *)guest_pages_iov(pages, &n)->iov_base != 5;
		guest_pages_release(pages);
	}
	return (void *)bad;
}

static void test_threads(void **state)
{
	pthread_t thread[4];
	struct pages_test w;
	void *bad;

	world_up(&w);
	for (unsigned i = 0; i < G_N_ELEMENTS(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, hold_and_release, &w), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(thread); i++) {
		assert_int_equal(pthread_join(thread[i], &bad), 0);
		assert_null(bad);
	}
	world_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(leak, test_hold),
		TEST_WITH(leak, test_hostile),
		TEST_WITH(leak, test_too_many_ranges),
		TEST_WITH(leak, test_too_many_regions),
		TEST_WITH(leak, test_table_changes),
		TEST_WITH(leak, test_large_loss),
		TEST_WITH(leak, test_truncated),
		TEST_WITH(leak, test_release_late),
		TEST_WITH(leak, test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

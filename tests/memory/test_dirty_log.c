/* SPDX-License-Identifier: Apache-2.0 */
/* The dirty log: which bits, up to where, in which files. */
#include "tests/lib/test.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/util.h"
#include "memory/dirty_log.h"
#include "memory/guest_mem.h"
#include "memory/guest_pages.h"

#define PAGE DIRTY_LOG_PAGE
#define BYTES 64u /* of the log: 512 pages */
#define END (BYTES * 8 * PAGE)

struct world {
	struct test test;
	int fd;
	uint8_t *bits;
	struct dirty_log *log;
};

static int setup(void **state)
{
	struct world *w = *state = g_new0(struct world, 1);

	test_begin(&w->test);
	w->fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->fd, 2 * BYTES), 0);
	w->bits = mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	assert_ptr_not_equal(w->bits, MAP_FAILED);
	w->log = dirty_log_new(w->fd, BYTES, 0, NULL);
	assert_non_null(w->log);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	dirty_log_free(w->log);
	munmap(w->bits, 2 * BYTES);
	close(w->fd);
	test_end(&w->test);
	g_free(w);
	return 0;
}

/* Pages [first, end) are marked, no other of both halves of the file; unmarks them. */
static void expect_pages(struct world *w, unsigned first, unsigned end)
{
	for (unsigned i = 0; i < 2 * BYTES * 8; i++)
		if ((w->bits[i / 8] >> i % 8 & 1) != (i >= first && i < end))
			fail_msg("page %u of [%u, %u)", i, first, end);
	memset(w->bits, 0, 2 * BYTES);
}

static void test_marks(void **state)
{
	static const struct {
		uint64_t addr, len;
		unsigned first, end;
	} cases[] = {
		{ 0, 0, 0, 0 },
		{ 0, 1, 0, 1 },
		{ PAGE - 1, 1, 0, 1 },
		{ PAGE - 1, 2, 0, 2 },
		{ 7 * PAGE, PAGE, 7, 8 },
		{ 7 * PAGE, PAGE + 1, 7, 9 },
		{ 3 * PAGE + 5, 2 * PAGE, 3, 6 },
		{ 8 * PAGE, 8 * PAGE, 8, 16 },
		{ 5 * PAGE, 50 * PAGE, 5, 55 },
		{ 0, END, 0, 512 },
		{ END - 1, 1, 511, 512 },
	};
	struct world *w = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		dirty_log_mark(w->log, cases[i].addr, cases[i].len);
		expect_pages(w, cases[i].first, cases[i].end);
	}
	assert_int_equal(dirty_log_end(w->log), END);
	assert_int_equal(test_log_lines(), 0);
}

/* What has no bit is left out, with one line; what has one is not. */
static void test_too_short(void **state)
{
	struct world *w = *state;

	dirty_log_mark(w->log, END - PAGE, 3 * PAGE);
	expect_pages(w, 511, 512);
	dirty_log_mark(w->log, END, 1);
	dirty_log_mark(w->log, UINT64_MAX, 1);
	dirty_log_mark(w->log, UINT64_MAX - 5, UINT64_MAX);
	dirty_log_mark(w->log, END - 1, UINT64_MAX);
	expect_pages(w, 511, 512);
	assert_true(test_logged("the dirty log has no bit for what is written at 0x200000"));
	assert_int_equal(test_log_lines(), 1);
}

static void test_offset(void **state)
{
	struct world *w = *state;
	g_autoptr(dirty_log) second = dirty_log_new(w->fd, BYTES, BYTES, NULL);

	dirty_log_mark(second, PAGE, 1);
	expect_pages(w, 513, 514);
}

static void test_signals(void **state)
{
	struct world *w = *state;
	autofd fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	eventfd_t count;

	dirty_log_signal(w->log);
	dirty_log_set_call(w->log, fd);
	dirty_log_signal(w->log);
	assert_int_equal(eventfd_read(fd, &count), 0);
}

static void test_refused(void **state)
{
	struct world *w = *state;
	autofd null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const struct {
		int fd;
		uint64_t size, offset;
		const char *why;
	} cases[] = {
		{ w->fd, 0, 0, "size is 0" },
		{ w->fd, 2 * BYTES + 1, 0, "do not fit" },
		{ w->fd, BYTES, BYTES + 1, "do not fit" },
		{ w->fd, UINT64_MAX, 1, "wraps" },
		{ w->fd, 1, UINT64_MAX, "wraps" },
		{ w->fd, UINT64_MAX, 0, "" },
		{ null, BYTES, 0, "must be a memfd" },
		{ -1, BYTES, 0, "" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;

		assert_null(dirty_log_new(cases[i].fd, cases[i].size, cases[i].offset, &error));
		assert_true(g_str_has_prefix(error->message, "dirty log: "));
		if (!strstr(error->message, cases[i].why))
			fail_msg("case %u: %s", i, error->message);
	}
}

/* The front-end may truncate it at any time. */
static void test_truncated(void **state)
{
	struct world *w = *state;

	guest_mem_catch_sigbus();
	assert_int_equal(ftruncate(w->fd, 0), 0);
	dirty_log_mark(w->log, 0, END);
	assert_int_equal(ftruncate(w->fd, 2 * BYTES), 0);
	expect_pages(w, 0, 0);
}

/* What is held is marked where the holder writes; discarded memory, where it was. */
static void test_holds(void **state)
{
	struct world *w = *state;
	const struct mem_region_desc desc = { .guest_addr = 0, .size = 64 * PAGE };
	const struct guest_pages_range ranges[] = { { 2 * PAGE, 2 * PAGE }, { 0, 0 },
		{ 9 * PAGE, PAGE } };
	autofd fd = memfd_create("guest", MFD_CLOEXEC);
	g_autoptr(guest_mem) m = guest_mem_new();
	struct guest_pages *p;

	assert_int_equal(ftruncate(fd, desc.size), 0);
	assert_true(guest_mem_set(m, &desc, &fd, 1, NULL));
	assert_int_equal(guest_pages_hold(m, ranges, G_N_ELEMENTS(ranges), &p), 0);
	guest_pages_written(p, 0, UINT64_MAX);
	guest_mem_discard(m, 0, desc.size);
	expect_pages(w, 0, 0);
	guest_mem_set_log(m, w->log);
	guest_pages_written(p, PAGE + 1, 1);
	expect_pages(w, 3, 4);
	guest_pages_written(p, 2 * PAGE, 1);
	expect_pages(w, 9, 10);
	guest_pages_written(p, 5 * PAGE, 1);
	guest_pages_written(p, UINT64_MAX, UINT64_MAX);
	expect_pages(w, 0, 0);
	guest_mem_discard(m, 12 * PAGE, 3 * PAGE);
	expect_pages(w, 12, 15);
	guest_pages_release(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_marks),
		TEST(test_too_short),
		TEST(test_offset),
		TEST(test_signals),
		TEST(test_refused),
		TEST(test_truncated),
		TEST(test_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

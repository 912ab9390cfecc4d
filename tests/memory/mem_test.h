/* SPDX-License-Identifier: Apache-2.0 */
/* What the memory tests share: files to map, and the check that nothing leaks. */
#pragma once

#include "tests/lib/test.h"

#include <sys/mman.h>

#include "base/util.h"
#include "memory/guest_mem.h"

#define PAGE 4096u
#define TEST_FILE "virtiod-memory-test"

static inline int test_file(uint64_t size)
{
	int fd = memfd_create(TEST_FILE, MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

/* Mappings of test files. */
static inline unsigned count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, TEST_FILE) != NULL;
	fclose(maps);
	return n;
}

static inline int leak_setup(void **state)
{
	*state = GUINT_TO_POINTER(count_fds());
	return count_mappings() != 0;
}

static inline int leak_teardown(void **state)
{
	assert_int_equal(count_fds(), GPOINTER_TO_UINT(*state));
	assert_int_equal(count_mappings(), 0);
	return 0;
}

/* Borrows a range of one region and gives it back. Returns its status; 0: *host is where it is. */
static inline int borrow_once(
	struct mem_borrower *b, uint64_t addr, uint32_t len, unsigned char **host)
{
	struct mem_range range = { .addr = addr, .len = len, .write = true };
	struct iovec iov;
	struct mem_mapping mapping = { .range = &range, .n_range = 1, .iov = &iov, .max_iov = 1 };
	struct mem_mapping *mappings = &mapping;

	guest_mem_borrow(b, &mappings, 1);
	*host = NULL;
	if (mapping.status)
		return mapping.status;
	assert_int_equal(iov.iov_len, len);
	*host = iov.iov_base;
	guest_mem_give_back(b, &mappings, 1);
	return 0;
}

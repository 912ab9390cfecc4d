/* SPDX-License-Identifier: Apache-2.0 */
/* What the memory tests share: files to map, and the check that nothing leaks. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <sys/mman.h>

#include "base/util.h"
#include "memory/guest_mem.h"
#include "tests/lib/leak.h"

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

#define leak_checked(f) cmocka_unit_test_setup_teardown(f, leak_setup, leak_teardown)

/* The error must be there and say this; it is freed. */
static inline void assert_error(GError **error, const char *says)
{
	assert_non_null(*error);
	if (!strstr((*error)->message, says))
		fail_msg("\"%s\" does not say \"%s\"", (*error)->message, says);
	g_clear_error(error);
}

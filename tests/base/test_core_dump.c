/* SPDX-License-Identifier: Apache-2.0 */
/* What a core dump of this process would hold. */
#include "tests/lib/test.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/core_dump.h"
#include "tests/lib/dumped.h"

static void test_limit_forbid(void **state)
{
	struct rlimit before, after;

	assert_int_equal(getrlimit(RLIMIT_CORE, &before), 0);
	core_dump_forbid();
	assert_int_equal(getrlimit(RLIMIT_CORE, &after), 0);
	assert_int_equal(after.rlim_cur, 0);
	/* It may be raised again. */
	assert_int_equal(after.rlim_max, before.rlim_max);
}

static void test_limit_exclude(void **state)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(is_dumped(p));
	assert_ptr_equal(core_dump_exclude(p, 4096), p);
	assert_false(is_dumped(p));
	assert_true(is_dumped(p + 4096));
	munmap(p, 8192);
	errno = ENOSPC;
	assert_ptr_equal(core_dump_exclude(MAP_FAILED, 4096), MAP_FAILED);
	assert_int_equal(errno, ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_forbid),
		cmocka_unit_test(test_limit_exclude),
	};

	return cmocka_run_group_tests_name("core_dump", tests, NULL, NULL);
}

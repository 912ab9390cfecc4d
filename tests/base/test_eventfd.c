/* SPDX-License-Identifier: Apache-2.0 */
/* Signalling what may be an eventfd. */
#include "tests/lib/test.h"

#include <sys/eventfd.h>

#include "base/eventfd.h"
#include "base/util.h"

static void test_signal(void **state)
{
	autofd fd = eventfd(0, EFD_CLOEXEC);
	eventfd_t count;

	eventfd_signal(-1);
	eventfd_signal(fd);
	eventfd_signal(fd);
	assert_int_equal(eventfd_read(fd, &count), 0);
	assert_int_equal(count, 2);
}

/* A write() would wait for a reader. */
static void test_full(void **state)
{
	autofd fd = eventfd(0, EFD_CLOEXEC);
	eventfd_t count;

	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	eventfd_signal(fd);
	assert_int_equal(eventfd_read(fd, &count), 0);
	assert_int_equal(count, UINT64_MAX - 1);
}

static void test_kind(void **state)
{
	autofd fd = eventfd(0, EFD_CLOEXEC);
	int ends[2];

	assert_true(eventfd_is(fd));
	assert_false(eventfd_is(-1));
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_false(eventfd_is(ends[0]));
	/* A closed fd is ignored. */
	close(ends[0]);
	close(ends[1]);
	eventfd_signal(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_kind),
	};

	return cmocka_run_group_tests_name("eventfd", tests, NULL, NULL);
}

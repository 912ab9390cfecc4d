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

/* A closed fd is ignored. */
static void test_closed(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	close(fd);
	eventfd_signal(fd);
}

/* A peer has cleared O_NONBLOCK, and filled or emptied it after poll(). */
static void test_peer_blocks_eventfd(void **state)
{
	autofd fd = eventfd(0, EFD_CLOEXEC);
	bool full = false;

	eventfd_signal_fast(fd, &full);
	assert_false(full);
	assert_true(eventfd_collect(fd));
	assert_false(eventfd_collect(fd));
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	eventfd_signal_fast(fd, &full);
	assert_true(full);
	/* From now on without waiting; and what was full need not be for ever. */
	eventfd_signal_fast(fd, &full);
	assert_true(eventfd_collect(fd));
	eventfd_signal_fast(fd, &full);
	assert_true(eventfd_collect(fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_peer_blocks_eventfd),
	};

	return cmocka_run_group_tests_name("eventfd", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Owned fds: closed once, and only those. */
#include "tests/lib/test.h"

#include "base/util.h"

static unsigned n_fds;

static int setup(void **state)
{
	n_fds = count_fds();
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(count_fds(), n_fds);
	return 0;
}

static int open_one(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_fds_close(void **state)
{
	int fds[4], was[4];

	for (unsigned i = 0; i < 4; i++)
		was[i] = fds[i] = open_one();
	fds_close(fds, 0);
	assert_memory_equal(fds, was, sizeof(fds));
	assert_true(is_open(was[0]));
	/* Not one more than said. */
	fds_close(fds, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(fds[i], -1);
		assert_false(is_open(was[i]));
	}
	assert_int_equal(fds[3], was[3]);
	assert_true(is_open(was[3]));
	fds_close(fds, 4);
	assert_int_equal(fds[3], -1);
	assert_false(is_open(was[3]));
}

/* Between others, and again: the new owner of the number keeps it. */
static void test_fds_close_none(void **state)
{
	int other = open_one(), fds[3] = { open_one(), -1, open_one() };

	errno = 0;
	fds_close(fds, 3);
	assert_int_equal(errno, 0);
	assert_int_equal(fds[0], -1);
	assert_int_equal(fds[1], -1);
	assert_int_equal(fds[2], -1);
	assert_true(is_open(other));
	fds[1] = open_one();
	fds_close(fds, 1);
	assert_int_equal(errno, 0);
	assert_true(is_open(fds[1]));
	fds_close(fds, 3);
	fds_close(&other, 1);
}

/* Standard input's number is an fd like others. */
static void test_fd_zero(void **state)
{
	int kept = fcntl(0, F_DUPFD_CLOEXEC, 0), zero = 0;

	assert_true(kept > 0);
	fds_close(&zero, 1);
	assert_int_equal(zero, -1);
	assert_false(is_open(0));
	assert_int_equal(dup2(kept, 0), 0);
	fd_close(&kept);
}

static void test_scope(void **state)
{
	int was, stolen;

	{
		autofd closed = open_one();
		autofd handed_on = open_one();

		was = closed;
		stolen = fd_steal(&handed_on);
		assert_int_equal(handed_on, -1);
		assert_true(is_open(was));
	}
	assert_false(is_open(was));
	assert_true(is_open(stolen));
	fd_close(&stolen);
	assert_int_equal(stolen, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fds_close),
		TEST(test_fds_close_none),
		TEST(test_fd_zero),
		TEST(test_scope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

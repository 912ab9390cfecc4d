/* SPDX-License-Identifier: Apache-2.0 */
/* The in-flight area, from back-end to front-end and back. */
#include "front_fixture.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "base/util.h"
#include "tests/lib/deaf_file.h"

static struct vu_front_inflight area;

static void offer(uint64_t size, uint64_t offset)
{
	b->protocol |= VU_BIT(VU_F_INFLIGHT_SHMFD);
	b->area_is_given = true;
	b->given_area = (struct vu_inflight){ .mmap_size = size, .mmap_offset = offset };
	b->given_area_fd = memfd_create("area", MFD_CLOEXEC);
	assert_int_equal(ftruncate(b->given_area_fd, 8192), 0);
	options.inflight = true;
	connect_fresh();
}

static void end(void)
{
	fd_close(&area.fd);
	finish();
	fd_close(&b->given_area_fd);
}

static void test_is_not_acked_unasked(void **state)
{
	b->protocol |= VU_BIT(VU_F_INFLIGHT_SHMFD);
	connect_fresh();
	assert_false(b->acked & VU_BIT(VU_F_INFLIGHT_SHMFD));
	assert_true(vu_front_get_inflight(f, 2, 128, &area, NULL));
	assert_int_equal(area.fd, -1);
	finish();
	assert_int_equal(b->n_notes, 0);
}

static void test_is_not_offered(void **state)
{
	options.inflight = true;
	connect_fresh();
	assert_false(b->acked & VU_BIT(VU_F_INFLIGHT_SHMFD));
	assert_true(vu_front_get_inflight(f, 2, 128, &area, NULL));
	assert_int_equal(area.fd, -1);
	finish();
}

static void test_there_and_back(void **state)
{
	const uint32_t order[] = { VU_GET_INFLIGHT_FD, VU_SET_INFLIGHT_FD };
	struct stat made, got;

	offer(4096, 1024);
	assert_true(b->acked & VU_BIT(VU_F_INFLIGHT_SHMFD));
	assert_true(vu_front_get_inflight(f, 2, 128, &area, NULL));
	assert_int_equal(area.size, 4096);
	assert_int_equal(area.offset, 1024);
	assert_int_equal(fstat(b->given_area_fd, &made) | fstat(area.fd, &got), 0);
	assert_true(made.st_ino == got.st_ino);
	assert_true(vu_front_set_inflight(f, &area, NULL));
	/* The fd stays ours. */
	assert_int_equal(fstat(area.fd, &got), 0);
	end();
	assert_int_equal(b->n_notes, G_N_ELEMENTS(order));
	expect_order(order, G_N_ELEMENTS(order));
	assert_int_equal(b->notes[0].size, 24);
	assert_int_equal(b->notes[0].n_fds, 0);
	assert_int_equal(b->notes[0].u64[0] | b->notes[0].u64[1], 0);
	assert_int_equal(b->notes[0].u64[2], 2 | 128 << 16);
	assert_int_equal(b->notes[1].flags, VU_VERSION | VU_FLAG_NEED_REPLY);
	assert_int_equal(b->notes[1].size, 24);
	assert_int_equal(b->notes[1].n_fds, 1);
	assert_int_equal(b->notes[1].u64[0], 4096);
	assert_int_equal(b->notes[1].u64[1], 1024);
	assert_int_equal(b->notes[1].u64[2], 2 | 128 << 16);
}

static void test_none_to_give(void **state)
{
	offer(0, 0);
	assert_true(vu_front_get_inflight(f, 1, 64, &area, NULL));
	assert_int_equal(area.fd, -1);
	assert_true(vu_front_is_alive(f));
	end();
}

static void expect_bad_area(const char *part)
{
	GError *error = NULL;

	assert_false(vu_front_get_inflight(f, 1, 64, &area, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, part);
	assert_int_equal(area.fd, -1);
	assert_true(vu_front_is_alive(f));
	end();
}

static void test_longer_than_its_file(void **state)
{
	offer(8192, 4096);
	expect_bad_area("8192 bytes at offset 4096 of a file of 8192");
}

static void test_beyond_all_files(void **state)
{
	offer(8192, UINT64_MAX - 4095);
	expect_bad_area("8192 bytes at offset 18446744073709547520 of a file of 8192");
}

static void test_without_fd(void **state)
{
	int fd;

	offer(4096, 0);
	fd = fd_steal(&b->given_area_fd);
	expect_bad_area("in-flight area: no open file instead of shared memory");
	close(fd);
}

/* A back-end hands over a file whose file system does not answer. */
static void test_peer_fds_as_area(void **state)
{
	struct deaf_file deaf;
	GError *error = NULL;
	unsigned n_fds;
	int memfd;

	offer(4096, 0);
	n_fds = count_fds();
	memfd = b->given_area_fd;
	if (deaf_file_open(&deaf)) {
		b->given_area_fd = deaf.fd;
		assert_false(vu_front_get_inflight(f, 1, 64, &area, &error));
		expect_error(&error, VU_FRONT_ERROR_REFUSED,
			"in-flight area: a file of another file system");
		b->given_area_fd = memfd;
		deaf_file_end(&deaf);
		WAIT_UNTIL(count_fds() == n_fds);
	}
	end();
}

static void test_refused(void **state)
{
	GError *error = NULL;

	b->quirk[VU_SET_INFLIGHT_FD] = FAKE_REFUSE;
	offer(4096, 0);
	assert_true(vu_front_get_inflight(f, 1, 64, &area, NULL));
	assert_false(vu_front_set_inflight(f, &area, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "refused SET_INFLIGHT_FD (22)");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(front, test_is_not_acked_unasked),
		TEST_WITH(front, test_is_not_offered),
		TEST_WITH(front, test_there_and_back),
		TEST_WITH(front, test_none_to_give),
		TEST_WITH(front, test_longer_than_its_file),
		TEST_WITH(front, test_beyond_all_files),
		TEST_WITH(front, test_without_fd),
		TEST_WITH(front, test_peer_fds_as_area),
		TEST_WITH(front, test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

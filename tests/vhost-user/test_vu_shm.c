/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory regions: negotiation, hostile sizes, and requests to map and to unmap. */
#include "front_fixture.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/util.h"

#define PAGE UINT64_C(4096)
#define SIZE (16 * PAGE) /* of region 1 */
#define NEEDED (VU_BIT(VU_F_BACKEND_REQ) | VU_BIT(VU_F_BACKEND_SEND_FD) | VU_BIT(VU_F_SHMEM))

/* What the front-end's owner was asked for last, and what is mapped, by page of region 1. */
static struct {
	struct vu_front_mapping last;
	unsigned maps, unmaps;
	int refuse;
	bool mapped[SIZE / PAGE];
} owner;

static int on_map(void *opaque, const struct vu_front_mapping *m)
{
	assert_ptr_equal(opaque, &owner);
	owner.last = *m;
	owner.maps++;
	if (owner.refuse)
		return owner.refuse;
	assert_true(m->fd >= 0);
	for (uint64_t i = m->at / PAGE; m->id == 1 && i < (m->at + m->len) / PAGE; i++) {
		assert_false(owner.mapped[i]);
		owner.mapped[i] = true;
	}
	return 0;
}

static void on_unmap(void *opaque, uint8_t id, uint64_t at, uint64_t len)
{
	owner.unmaps++;
	for (uint64_t i = at / PAGE; id == 1 && i < (at + len) / PAGE; i++)
		owner.mapped[i] = false;
}

static const struct vu_front_shm_ops ops = { on_map, on_unmap };
static const struct vu_front_events events = { NULL };

static unsigned mapped_pages(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(owner.mapped); i++)
		n += owner.mapped[i];
	return n;
}

static int setup(void **state)
{
	memset(&owner, 0, sizeof(owner));
	front_setup(state);
	b->protocol |= NEEDED;
	b->shm.n_regions = 2;
	b->shm.size[1] = SIZE;
	b->shm.size[255] = PAGE;
	options.shm = &ops;
	options.shm_opaque = &owner;
	return 0;
}

static int teardown(void **state)
{
	return front_teardown(state);
}

/* Asks as the back-end; returns the acknowledgement, or -1 if there is none to come. */
static int64_t ask(uint32_t request, uint32_t flags, const struct vu_shmem_map *map, int fd)
{
	struct pollfd pfd = { .fd = vu_front_backend_fd(f), .events = POLLIN };

	assert_int_equal(fake_channel_shm(b, request, flags, map, fd), 0);
	assert_int_equal(poll(&pfd, 1, 60000), 1);
	assert_true(vu_front_backend_event(f, &events, NULL));
	return flags & VU_FLAG_NEED_REPLY ? fake_channel_ack(b) : -1;
}

static int64_t map(uint64_t at, uint64_t len, int fd)
{
	return ask(VU_BACKEND_SHMEM_MAP, VU_FLAG_NEED_REPLY,
		&(struct vu_shmem_map){ .id = 1, .shm_offset = at, .len = len }, fd);
}

static int64_t unmap(uint64_t at, uint64_t len)
{
	return ask(VU_BACKEND_SHMEM_UNMAP, VU_FLAG_NEED_REPLY,
		&(struct vu_shmem_map){ .id = 1, .shm_offset = at, .len = len }, -1);
}

static int make_file(uint64_t size)
{
	int fd = memfd_create("shared", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void test_negotiation(void **state)
{
	/* One of the three alone, or an owner without shared memory: none is acked. */
	static const struct {
		uint64_t lacks;
		bool no_owner, acked;
	} rows[] = {
		{ .acked = true },
		{ .lacks = VU_BIT(VU_F_SHMEM) },
		{ .lacks = VU_BIT(VU_F_BACKEND_SEND_FD) },
		{ .lacks = VU_BIT(VU_F_BACKEND_REQ) },
		{ .no_owner = true },
	};
	uint64_t offered = b->protocol;

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		b->protocol = offered & ~rows[i].lacks;
		options.shm = rows[i].no_owner ? NULL : &ops;
		b->n_notes = 0;
		connect_pair();
		assert_int_equal(vu_front_shm_size(f, 1), rows[i].acked ? SIZE : 0);
		assert_int_equal(vu_front_shm_size(f, 255), rows[i].acked ? PAGE : 0);
		assert_int_equal(vu_front_shm_size(f, 0), 0);
		finish();
		assert_int_equal(fake_count(b, VU_GET_SHMEM_CONFIG), rows[i].acked);
		assert_int_equal(!!(b->acked & VU_BIT(VU_F_SHMEM)), rows[i].acked);
		assert_int_equal(!!(b->acked & VU_BIT(VU_F_BACKEND_SEND_FD)), rows[i].acked);
	}
}

static void test_not_for_a_connection_that_is_kept(void **state)
{
	struct vu_front_state kept = { 0 };

	options.state = &kept;
	connect_pair();
	assert_int_equal(vu_front_shm_size(f, 1), 0);
	finish();
}

static void test_hostile_sizes(void **state)
{
	static const struct {
		uint32_t n;
		uint64_t size;
		const char *part;
	} rows[] = {
		{ 257, PAGE, "257 regions" },
		{ UINT32_MAX, PAGE, "4294967295 regions" },
		{ 1, PAGE + 1, "region 1: 4097" },
		{ 1, 1, "region 1: 1 (a multiple of 4096" },
		{ 256, UINT64_MAX - PAGE + 1, "region 1: 18446744073709547520" },
		{ 1, (UINT64_C(1) << 40) + PAGE, "region 1: 10995116" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		b->shm.n_regions = rows[i].n;
		b->shm.size[1] = rows[i].size;
		expect_failure(VU_FRONT_ERROR_PROTOCOL, rows[i].part);
	}
}

static void test_all_regions(void **state)
{
	b->shm.n_regions = 256;
	for (unsigned id = 0; id < 256; id++)
		b->shm.size[id] = PAGE * (id + 1);
	connect_pair();
	for (unsigned id = 0; id < 256; id++)
		assert_int_equal(vu_front_shm_size(f, id), PAGE * (id + 1));
	finish();
}

static void test_map_and_unmap(void **state)
{
	autofd file = make_file(4 * PAGE);
	struct vu_shmem_map m = { .id = 1,
		.shm_offset = 2 * PAGE,
		.len = 2 * PAGE,
		.fd_offset = PAGE,
		.flags = VU_SHMEM_WRITABLE };
	unsigned n;

	connect_pair();
	n = count_fds();
	assert_int_equal(ask(VU_BACKEND_SHMEM_MAP, VU_FLAG_NEED_REPLY, &m, file), 0);
	assert_int_equal(owner.last.id, 1);
	assert_int_equal(owner.last.at, 2 * PAGE);
	assert_int_equal(owner.last.len, 2 * PAGE);
	assert_int_equal(owner.last.fd_offset, PAGE);
	assert_true(owner.last.writable);
	assert_int_equal(map(0, 2 * PAGE, file), 0);
	assert_false(owner.last.writable);
	/* The last page, and a request without an acknowledgement. */
	m = (struct vu_shmem_map){ .id = 1, .shm_offset = SIZE - PAGE, .len = PAGE };
	assert_int_equal(ask(VU_BACKEND_SHMEM_MAP, 0, &m, file), -1);
	assert_int_equal(mapped_pages(), 5);
	assert_int_equal(count_fds(), n);

	/* Two at once, and gaps. */
	assert_int_equal(unmap(0, 6 * PAGE), 0);
	assert_int_equal(mapped_pages(), 1);
	assert_int_equal(unmap(0, PAGE), 0);
	assert_int_equal(map(0, 4 * PAGE, file), 0);
	finish();
	assert_int_equal(mapped_pages(), 0);
}

/* Of a region of 16 pages, with two mapped from page 4 on; the file has 4. */
enum { FILE_FD, NO_FD, SOCKET, EVENT };
static const struct {
	uint8_t id;
	uint64_t at, len, fd_offset, flags;
	int fd, map, unmap; /* errors expected; -1: not tried */
} hostile[] = {
	{ 1, 0, 0, 0, 0, FILE_FD, EINVAL, EINVAL },
	{ 1, 0, 1, 0, 0, FILE_FD, EINVAL, EINVAL },
	{ 1, 1, PAGE, 0, 0, FILE_FD, EINVAL, EINVAL },
	{ 1, PAGE, PAGE - 1, 0, 0, FILE_FD, EINVAL, EINVAL },
	{ 1, SIZE, PAGE, 0, 0, FILE_FD, ERANGE, ERANGE },
	{ 1, SIZE - PAGE, 2 * PAGE, 0, 0, FILE_FD, ERANGE, ERANGE },
	{ 1, PAGE, -PAGE, 0, 0, FILE_FD, ERANGE, ERANGE },
	{ 1, -PAGE, PAGE, 0, 0, FILE_FD, ERANGE, ERANGE },
	{ 1, -PAGE, 2 * PAGE, 0, 0, FILE_FD, ERANGE, ERANGE },
	{ 0, 0, PAGE, 0, 0, FILE_FD, ENXIO, ENXIO },
	{ 2, 0, PAGE, 0, 0, FILE_FD, ENXIO, ENXIO },
	{ 255, PAGE, PAGE, 0, 0, FILE_FD, ERANGE, ERANGE },
	{ 1, 0, PAGE, 1, 0, FILE_FD, EINVAL, -1 },
	{ 1, 0, PAGE, 4 * PAGE, 0, FILE_FD, EOVERFLOW, -1 },
	{ 1, 0, 4 * PAGE, PAGE, 0, FILE_FD, EOVERFLOW, -1 },
	{ 1, 0, PAGE, -PAGE, 0, FILE_FD, EINVAL, -1 },
	{ 1, 0, PAGE, INT64_MAX - PAGE + 1, 0, FILE_FD, EINVAL, -1 },
	{ 1, 0, PAGE, 0, 2, FILE_FD, EINVAL, -1 },
	{ 1, 0, PAGE, 0, UINT64_MAX, FILE_FD, EINVAL, -1 },
	{ 1, 0, PAGE, 0, 0, NO_FD, EINVAL, -1 },
	{ 1, 0, PAGE, 0, 0, SOCKET, ENODEV, -1 },
	{ 1, 4 * PAGE, 2 * PAGE, 0, 0, FILE_FD, EEXIST, -1 },
	{ 1, 3 * PAGE, 2 * PAGE, 0, 0, FILE_FD, EEXIST, EINVAL },
	{ 1, 5 * PAGE, 2 * PAGE, 0, 0, FILE_FD, EEXIST, EINVAL },
	{ 1, 4 * PAGE, PAGE, 0, 0, FILE_FD, EEXIST, EINVAL },
	{ 1, 3 * PAGE, 4 * PAGE, 0, 0, FILE_FD, EEXIST, -1 },
};

static void test_hostile_requests(void **state)
{
	autofd file = make_file(4 * PAGE), event = eventfd(0, EFD_CLOEXEC);

	connect_pair();
	assert_int_equal(map(4 * PAGE, 2 * PAGE, file), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(hostile); i++) {
		const struct vu_shmem_map m = { .id = hostile[i].id,
			.shm_offset = hostile[i].at,
			.len = hostile[i].len,
			.fd_offset = hostile[i].fd_offset,
			.flags = hostile[i].flags };
		int fds[] = { file, -1, fake_channel_fd(b), event };
		int64_t got = ask(VU_BACKEND_SHMEM_MAP, VU_FLAG_NEED_REPLY, &m, fds[hostile[i].fd]);

		if (got != hostile[i].map)
			fail_msg("row %u: %d instead of %d", i, (int)got, hostile[i].map);
		if (hostile[i].unmap < 0)
			continue;
		got = ask(VU_BACKEND_SHMEM_UNMAP, VU_FLAG_NEED_REPLY, &m, -1);
		if (got != hostile[i].unmap)
			fail_msg("row %u: %d instead of %d", i, (int)got, hostile[i].unmap);
	}
	/* A surplus fd. */
	assert_int_equal(ask(VU_BACKEND_SHMEM_UNMAP, VU_FLAG_NEED_REPLY,
				 &(struct vu_shmem_map){ .id = 1, .len = SIZE }, file),
		EINVAL);
	assert_int_equal(owner.maps, 1);
	assert_int_equal(owner.unmaps, 0);
	assert_int_equal(mapped_pages(), 2);
	finish();
}

static void test_owner_refuses(void **state)
{
	autofd file = make_file(PAGE);

	connect_pair();
	owner.refuse = ENOMEM;
	assert_int_equal(map(0, PAGE, file), ENOMEM);
	owner.refuse = 0;
	/* Nothing is there. */
	assert_int_equal(map(0, PAGE, file), 0);
	finish();
}

static void test_reset_unmaps(void **state)
{
	autofd file = make_file(PAGE);

	connect_pair();
	assert_int_equal(map(0, PAGE, file), 0);
	assert_int_equal(map(7 * PAGE, PAGE, file), 0);
	assert_true(vu_front_reset(f, NULL));
	assert_int_equal(mapped_pages(), 0);
	assert_int_equal(map(0, PAGE, file), 0);
	/* Also if the back-end says no to it. */
	fake_quirk(b, VU_RESET_DEVICE, FAKE_REFUSE);
	assert_false(vu_front_reset(f, NULL));
	assert_int_equal(mapped_pages(), 0);
	finish();
}

static void test_loss_unmaps(void **state)
{
	autofd file = make_file(PAGE);
	uint8_t status;

	connect_pair();
	assert_int_equal(map(0, PAGE, file), 0);
	fake_quirk(b, VU_GET_STATUS, FAKE_CLOSE);
	assert_false(vu_front_get_status(f, &status, NULL));
	assert_int_equal(mapped_pages(), 0);
	finish();
}

static void test_without_negotiation(void **state)
{
	autofd file = make_file(PAGE);

	b->protocol &= ~VU_BIT(VU_F_SHMEM);
	connect_pair();
	assert_int_equal(map(0, PAGE, file), EOPNOTSUPP);
	assert_int_equal(unmap(0, PAGE), EOPNOTSUPP);
	assert_int_equal(owner.maps + owner.unmaps, 0);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_negotiation),
		TEST(test_not_for_a_connection_that_is_kept),
		TEST(test_hostile_sizes),
		TEST(test_all_regions),
		TEST(test_map_and_unmap),
		TEST(test_hostile_requests),
		TEST(test_owner_refuses),
		TEST(test_reset_unmaps),
		TEST(test_loss_unmaps),
		TEST(test_without_negotiation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

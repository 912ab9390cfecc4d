/* SPDX-License-Identifier: Apache-2.0 */
/* Granted memory for requests: which calls are made, what is copied where, what stays mapped. */
#include "xen_world.h"

#define GRANT (UINT64_C(1) << 63)
#define at(page) (GRANT | (uint64_t)(page)*PAGE)

static const struct mem_region_desc region = {
	.guest_addr = GRANT,
	.size = FAKE_PAGES * PAGE,
	.xen_flags = MEM_XEN_GRANT | 0x8,
	.xen_domid = FAKE_DOMID,
};

struct grant_request {
	struct mem_mapping mapping;
	struct mem_range range[64];
	struct iovec iov[64];
};

static struct grant_request request[64];
static struct mem_mapping *mappings[64];

static int setup(void **state)
{
	xen_setup(state);
	add_region(region);
	for (unsigned i = 0; i < G_N_ELEMENTS(request); i++) {
		struct grant_request *q = &request[i];

		q->mapping =
			(struct mem_mapping){ .range = q->range, .iov = q->iov, .max_iov = 64 };
		mappings[i] = &q->mapping;
	}
	return 0;
}

#define with_region(f) cmocka_unit_test_setup_teardown(f, setup, xen_teardown)

static void add(struct grant_request *q, uint64_t addr, uint32_t len, bool write)
{
	q->range[q->mapping.n_range++] =
		(struct mem_range){ .addr = addr, .len = len, .write = write, .priv = q };
}

/* Adds a request as blk has them: a header, data in one piece, and a status. */
static void add_blk(struct grant_request *q, unsigned page, uint32_t len, bool write)
{
	add(q, at(page) + 0x100, 16, false);
	add(q, at(page + 1), len, !write);
	add(q, at(page) + 0x200, 1, true);
	q->mapping.written = write ? 1 : len + 1;
}

static void borrow(unsigned n)
{
	guest_mem_borrow(&borrower, mappings, n);
}

static void borrow_good(unsigned n)
{
	borrow(n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(mappings[i]->status, 0);
}

static void give_back(unsigned first, unsigned n)
{
	guest_mem_give_back(&borrower, mappings + first, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(mappings[first + i]->status, 0);
}

static unsigned calls(void)
{
	return fake_xen.copies + fake_xen.grant_maps + fake_xen.grant_unmaps + fake_xen.mmaps +
		fake_xen.munmaps;
}

/* A 4 KiB request takes two calls, and so does a batch of them. */
static void test_copy(void **state)
{
	for (unsigned n = 1; n <= 16; n += 15) {
		unsigned before = calls();

		for (unsigned i = 0; i < n; i++) {
			request[i].mapping.n_range = 0;
			add_blk(&request[i], 4 * i, PAGE, false);
		}
		borrow_good(n);
		assert_int_equal(calls(), before + 1);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(*(uint8_t *)request[i].iov[0].iov_base, 4 * i + 1);
			assert_int_equal((uintptr_t)request[i].iov[0].iov_base % PAGE, 0x100);
			assert_int_equal((uintptr_t)request[i].iov[1].iov_base % PAGE, 0);
			memset(request[i].iov[1].iov_base, 0xa0 + i, PAGE);
			*(uint8_t *)request[i].iov[2].iov_base = 0xcc;
		}
		assert_int_equal(fake_xen_byte(1, 0), 2);
		give_back(0, n);
		assert_int_equal(calls(), before + 2);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(fake_xen_byte(4 * i + 1, PAGE - 1), 0xa0 + i);
			assert_int_equal(fake_xen_byte(4 * i, 0x200), 0xcc);
			assert_int_equal(fake_xen_byte(4 * i, 0x201), (4 * i + 1) & 0xff);
		}
		fake_xen_stop();
		fake_xen_start();
	}
	assert_int_equal(borrower.mapped, 0);
}

/* Only what was written reaches the guest, and the rest has nothing of another request. */
static void test_copy_part(void **state)
{
	add(&request[0], at(5) + 10, 3 * PAGE, true);
	borrow_good(1);
	memset(request[0].iov[0].iov_base, 0xaa, 3 * PAGE);
	request[0].mapping.written = PAGE;
	give_back(0, 1);
	assert_int_equal(fake_xen_byte(5, 9), 6);
	assert_int_equal(fake_xen_byte(5, 10), 0xaa);
	assert_int_equal(fake_xen_byte(6, 9), 0xaa);
	assert_int_equal(fake_xen_byte(6, 10), 7);
	assert_int_equal(fake_xen.segments, 2);

	borrow_good(1);
	assert_int_equal(((uint8_t *)request[0].iov[0].iov_base)[3 * PAGE - 1], 0);
	request[0].mapping.written = 0;
	give_back(0, 1);
	/* What is only read needs no call to be given back. */
	request[0].range[0].write = false;
	borrow_good(1);
	assert_int_equal(fake_xen.copies, 2);
	give_back(0, 1);
	assert_int_equal(fake_xen.copies, 2);
	assert_int_equal(fake_xen.grant_maps, 0);
}

/* A long one is mapped, in one go, as the device uses it; its small direction is copied. */
static void test_map(void **state)
{
	add_blk(&request[0], 0, 64 * PAGE, false);
	borrow_good(1);
	assert_int_equal(fake_xen.grant_maps, 1);
	assert_int_equal(fake_xen.mmaps, 1);
	assert_int_equal(fake_xen.refs, 65);
	assert_int_equal(fake_xen.readonly_maps, 0);
	assert_int_equal(fake_xen.copies, 1);
	memset(request[0].iov[1].iov_base, 0xaa, 64 * PAGE);
	assert_int_equal(fake_xen_byte(64, PAGE - 1), 0xaa);
	give_back(0, 1);
	assert_int_equal(fake_xen.live, 0);
	assert_int_equal(fake_xen.munmaps, 1);
	assert_int_equal(fake_xen.copies, 1);
	assert_int_equal(borrower.mapped, 0);
}

static void test_map_readonly(void **state)
{
	for (unsigned i = 0; i < 100; i++)
		fake_xen.readonly[i] = true;
	fake_xen.readonly[0] = false; /* the status */
	add_blk(&request[0], 0, 64 * PAGE, true);
	borrow_good(1);
	assert_int_equal(fake_xen.grant_maps, 1);
	assert_int_equal(fake_xen.readonly_maps, 1);
	assert_int_equal(((uint8_t *)request[0].iov[1].iov_base)[PAGE], 3);
	assert_int_equal(((uint8_t *)request[0].iov[0].iov_base)[0], 1);
	give_back(0, 1);
	assert_int_equal(fake_xen.live, 0);
}

/* The pieces of one request are one map; requests complete in any order, each with its map. */
static void test_map_pieces(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		for (unsigned j = 0; j < 40; j++)
			add(&request[i], at(100 * i + 2 * j) + j, PAGE, true);
	borrow_good(3);
	assert_int_equal(fake_xen.grant_maps, 3);
	assert_int_equal(fake_xen.mmaps, 3);
	assert_int_equal(((uint8_t *)request[2].iov[39].iov_base)[0], (278 + 1) & 0xff);
	assert_int_equal((uintptr_t)request[2].iov[39].iov_base % PAGE, 39);
	give_back(1, 1);
	assert_int_equal(fake_xen.live, 2);
	((uint8_t *)request[0].iov[1].iov_base)[0] = 0xaa;
	assert_int_equal(fake_xen_byte(2, 1), 0xaa);
	give_back(2, 1);
	give_back(0, 1);
	assert_int_equal(fake_xen.live, 0);
}

/* A bad reference fails its request, copied or mapped; the others go on. */
static void test_bad_reference(void **state)
{
	struct mem_xen_stats before, after;

	mem_xen_get_stats(&before);
	fake_xen.bad[20] = true; /* a header */
	fake_xen.bad[150] = true; /* mapped data */
	fake_xen.readonly[300] = true; /* mapped data to be written */
	add_blk(&request[0], 0, PAGE, false);
	add_blk(&request[1], 20, PAGE, false);
	add_blk(&request[2], 140, 64 * PAGE, true);
	add_blk(&request[3], 290, 64 * PAGE, false);
	add_blk(&request[4], 400, 64 * PAGE, false);
	add(&request[5], at(FAKE_PAGES) - 1, 2, false);
	borrow(6);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(mappings[i]->status,
			i == 0 || i == 4 ? 0
				: i == 5 ? -EFAULT
					 : -EIO);
	assert_int_equal(borrower.mappings_out, 2);
	assert_int_equal(fake_xen.live, 1);
	assert_int_equal(borrower.mapped, 3 + 66);
	mem_xen_get_stats(&after);
	assert_int_equal(after.failures, before.failures + 1 + 65 + 65);
	give_back(0, 1);
	give_back(4, 1);
}

/* References that the guest revokes, or that never were writable: found when given back. */
static void test_bad_reference_late(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		add_blk(&request[i], 4 * i, PAGE, false);
	fake_xen.readonly[5] = true;
	borrow_good(3);
	for (unsigned i = 0; i < 3; i++)
		memset(request[i].iov[1].iov_base, 0xaa, PAGE);
	guest_mem_give_back(&borrower, mappings, 3);
	assert_int_equal(mappings[0]->status, 0);
	assert_int_equal(mappings[1]->status, -EIO);
	assert_int_equal(mappings[2]->status, 0);
	assert_int_equal(fake_xen_byte(9, 0), 0xaa);
	assert_int_equal(fake_xen_byte(5, 0), 6);
	assert_int_equal(borrower.mapped, 0);
}

static void test_calls_fail(void **state)
{
	add_blk(&request[0], 0, PAGE, false);
	add_blk(&request[1], 10, 64 * PAGE, false);
	add(&request[2], at(100), 1, true);
	fake_xen.ioctl_errno = ENOMEM;
	borrow(3);
	assert_int_equal(mappings[0]->status, -EIO);
	assert_int_equal(mappings[1]->status, -EIO);
	assert_int_equal(mappings[2]->status, 0); /* nothing was to be read */
	request[2].mapping.written = 1;
	guest_mem_give_back(&borrower, &mappings[2], 1);
	assert_int_equal(mappings[2]->status, -EIO);
	fake_xen.ioctl_errno = 0;
	fake_xen.fail_mmap = true;
	borrow(2);
	assert_int_equal(mappings[0]->status, 0);
	assert_int_equal(mappings[1]->status, -EIO);
	give_back(0, 1);
	assert_int_equal(fake_xen.live, 0);
	assert_int_equal(borrower.mapped, 0);
}

/* The pages that are mapped are bounded: a request waits, or fails if it alone has too many. */
static void test_budget(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		add(&request[i], at(1), 1500 * PAGE, true);
	for (unsigned i = 0; i < 3; i++)
		add(&request[3], at(1), 1500 * PAGE, true);
	borrow(4);
	assert_int_equal(mappings[0]->status, 0);
	assert_int_equal(mappings[1]->status, 0);
	assert_int_equal(mappings[2]->status, -EAGAIN);
	assert_int_equal(mappings[3]->status, -EIO);
	assert_int_equal(mappings[2]->n_iov, 0);
	assert_int_equal(borrower.mapped, 3000);
	assert_int_equal(fake_xen.live, 2);
	give_back(0, 1);
	guest_mem_borrow(&borrower, &mappings[2], 1);
	assert_int_equal(mappings[2]->status, 0);
	give_back(1, 2);
	assert_int_equal(borrower.mapped, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_region(test_copy),
		with_region(test_copy_part),
		with_region(test_map),
		with_region(test_map_readonly),
		with_region(test_map_pieces),
		with_region(test_bad_reference),
		with_region(test_bad_reference_late),
		with_region(test_calls_fail),
		with_region(test_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

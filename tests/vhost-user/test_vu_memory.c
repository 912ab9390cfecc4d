/* SPDX-License-Identifier: Apache-2.0 */
/* Telling a back-end of memory: one table, or as many messages as there are differences. */
#include "front_fixture.h"

#include <sys/mman.h>

#include "base/util.h"

/* Regions, one page each, of two files in turn. */
#define N_REGIONS 12
static struct mem_region_desc regions[N_REGIONS];
static int files[2], fds[N_REGIONS];

static void make_regions(void)
{
	files[0] = memfd_create("a", MFD_CLOEXEC);
	files[1] = memfd_create("b", MFD_CLOEXEC);
	for (unsigned i = 0; i < N_REGIONS; i++) {
		fds[i] = files[i % 2];
		regions[i] = (struct mem_region_desc){
			.guest_addr = i << 16,
			.size = 4096,
			.user_addr = i << 20,
			.mmap_offset = i << 12,
		};
	}
}

static void drop_regions(void)
{
	fd_close(&files[0]);
	fd_close(&files[1]);
}

static void test_memory_table(void **state)
{
	const struct fake_note *note;

	make_regions();
	connect_fresh();
	assert_true(vu_front_set_memory(f, regions, fds, 8, NULL));
	assert_true(vu_front_set_memory(f, regions + 1, fds + 1, 1, NULL));
	finish();
	drop_regions();
	assert_int_equal(fake_count(b, VU_SET_MEM_TABLE), 2);
	assert_int_equal(b->n_notes, 2);
	assert_int_equal(b->notes[0].size, 8 + 8 * 32);
	assert_int_equal(b->notes[0].n_fds, 8);
	note = &b->notes[1];
	assert_int_equal(note->size, 8 + 32);
	assert_int_equal(note->n_fds, 1);
	assert_int_equal(note->u64[0], 1);
	assert_int_equal(note->u64[1], 1 << 16);
	assert_int_equal(note->u64[2], 4096);
	assert_int_equal(note->u64[3], 1 << 20);
	assert_int_equal(note->u64[4], 1 << 12);
}

static void test_memory_slots(void **state)
{
	make_regions();
	connect_fresh();
	assert_true(vu_front_set_memory(f, regions, fds, 2, NULL));
	assert_true(vu_front_set_memory(f, regions, fds, 10, NULL));
	/* The first two are there from the table. */
	assert_int_equal(fake_count(b, VU_ADD_MEM_REG), 8);
	assert_int_equal(fake_note(b, VU_ADD_MEM_REG)->u64[1], 2 << 16);
	assert_int_equal(fake_note(b, VU_ADD_MEM_REG)->n_fds, 1);
	/* Two others, and one whose file is another. */
	b->n_notes = 0;
	fds[5] = files[0];
	assert_true(vu_front_set_memory(f, regions + 2, fds + 2, 10, NULL));
	assert_int_equal(fake_count(b, VU_REM_MEM_REG), 3);
	assert_int_equal(fake_count(b, VU_ADD_MEM_REG), 3);
	assert_int_equal(fake_note(b, VU_REM_MEM_REG)->n_fds, 0);
	assert_int_equal(fake_note(b, VU_REM_MEM_REG)->size, 40);
	assert_int_equal(b->n_notes, 6);
	/* Nothing new. */
	b->n_notes = 0;
	assert_true(vu_front_set_memory(f, regions + 2, fds + 2, 10, NULL));
	assert_int_equal(b->n_notes, 0);
	finish();
	drop_regions();
}

static void test_memory_refused_half_way(void **state)
{
	GError *error = NULL;

	make_regions();
	b->quirk[VU_REM_MEM_REG] = FAKE_REFUSE;
	connect_fresh();
	assert_true(vu_front_set_memory(f, regions, fds, 9, NULL));
	b->n_notes = 0;
	assert_false(vu_front_set_memory(f, regions + 1, fds + 1, 9, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "REM_MEM_REG of memory at 0x0");
	assert_int_equal(b->n_notes, 1);
	b->quirk[VU_REM_MEM_REG] = FAKE_RIGHT;
	assert_true(vu_front_set_memory(f, regions + 1, fds + 1, 9, NULL));
	assert_int_equal(fake_count(b, VU_REM_MEM_REG), 2);
	assert_int_equal(fake_count(b, VU_ADD_MEM_REG), 1);
	finish();
	drop_regions();
}

static void test_memory_beyond_slots(void **state)
{
	const int closed[] = { -1 };
	GError *error = NULL;

	make_regions();
	b->slots = 9;
	connect_fresh();
	assert_false(vu_front_set_memory(f, regions, fds, 10, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "10 memory regions, the back-end takes 9");
	assert_false(vu_front_set_memory(f, regions, closed, 1, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "memory at 0x0");
	assert_true(vu_front_is_alive(f));
	finish();
	b->protocol &= ~VU_BIT(VU_F_CONFIGURE_MEM_SLOTS);
	connect_fresh();
	assert_false(vu_front_set_memory(f, regions, fds, 9, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "takes 8");
	finish();
	assert_int_equal(b->n_notes, 0);
	drop_regions();
}

static void connect_xen(void)
{
	options.xen_memory = true;
	b->protocol |= VU_BIT(VU_F_XEN_MMAP);
	connect_fresh();
	assert_true(b->acked & VU_BIT(VU_F_XEN_MMAP));
}

static void test_xen_table_byte_for_byte(void **state)
{
	const struct mem_region_desc two[] = {
		{ 0x40000000, 0x8000000, 0x7f0000000000, 0, 1, 5 },
		{ UINT64_C(1) << 63, 0x1000000, 0, 0, 0xa, 0x1234 },
	};
	const uint64_t wire[] = { 2, 0x40000000, 0x8000000, 0x7f0000000000, 0,
		1 | UINT64_C(5) << 32, UINT64_C(1) << 63, 0x1000000, 0, 0,
		0xa | UINT64_C(0x1234) << 32 };

	make_regions();
	connect_xen();
	for (unsigned i = 0; i < 2; i++) /* the same again is sent again */
		assert_true(vu_front_set_memory(f, two, fds, 2, NULL));
	finish();
	drop_regions();
	assert_int_equal(b->n_notes, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(b->notes[i].request, VU_SET_MEM_TABLE);
		assert_int_equal(b->notes[i].flags, VU_VERSION | VU_FLAG_NEED_REPLY);
		assert_int_equal(b->notes[i].size, sizeof(wire));
		assert_int_equal(b->notes[i].n_fds, 2);
	}
	assert_memory_equal(b->table, wire, sizeof(wire));
}

static void test_xen_table_has_as_many_as_fds(void **state)
{
	static struct mem_region_desc many[VU_MAX_REGIONS + 1];
	int same[VU_MAX_REGIONS + 1];
	GError *error = NULL;
	uint32_t domid;

	make_regions();
	for (unsigned i = 0; i <= VU_MAX_REGIONS; i++) {
		many[i] = (struct mem_region_desc){ .guest_addr = i, .xen_domid = i };
		same[i] = files[0];
	}
	b->slots = 8;
	connect_xen();
	assert_true(vu_front_set_memory(f, many, same, VU_MAX_REGIONS, NULL));
	assert_int_equal(b->n_notes, 1);
	assert_int_equal(b->notes[0].size, 8 + VU_MAX_REGIONS * 40);
	assert_int_equal(b->notes[0].n_fds, VU_MAX_REGIONS);
	memcpy(&domid, b->table + b->notes[0].size - 4, 4);
	assert_int_equal(domid, VU_MAX_REGIONS - 1);
	assert_false(vu_front_set_memory(f, many, same, VU_MAX_REGIONS + 1, &error));
	expect_error(&error, VU_FRONT_ERROR_REFUSED, "254 memory regions, a message takes 253");
	assert_true(vu_front_is_alive(f));
	finish();
	drop_regions();
	assert_int_equal(b->n_notes, 1);
}

static void test_xen_memory_is_not_offered(void **state)
{
	options.xen_memory = true;
	expect_failure(
		VU_FRONT_ERROR_PROPERTIES, "does not support memory of Xen guests (XEN_MMAP;");
	assert_int_equal(fake_count(b, VU_SET_PROTOCOL_FEATURES), 0);
	b->features &= ~VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	b->protocol |= VU_BIT(VU_F_XEN_MMAP);
	expect_failure(
		VU_FRONT_ERROR_PROPERTIES, "does not support memory of Xen guests (XEN_MMAP;");
}

static void test_xen_memory_is_not_wanted(void **state)
{
	make_regions();
	regions[0].xen_flags = 1;
	b->protocol |= VU_BIT(VU_F_XEN_MMAP);
	connect_fresh();
	assert_false(b->acked & VU_BIT(VU_F_XEN_MMAP));
	assert_true(vu_front_set_memory(f, regions, fds, 1, NULL));
	finish();
	drop_regions();
	assert_int_equal(b->notes[0].size, 8 + 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(front, test_memory_table),
		TEST_WITH(front, test_memory_slots),
		TEST_WITH(front, test_memory_refused_half_way),
		TEST_WITH(front, test_memory_beyond_slots),
		TEST_WITH(front, test_xen_table_byte_for_byte),
		TEST_WITH(front, test_xen_table_has_as_many_as_fds),
		TEST_WITH(front, test_xen_memory_is_not_offered),
		TEST_WITH(front, test_xen_memory_is_not_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Requests in a packed vring: how they look to the device. */
#include "fake_device.h"

#include <errno.h>

static void assert_desc(
	const struct vring_packed_desc *d, uint64_t addr, uint32_t len, int id, uint16_t flags)
{
	assert_int_equal(le64toh(d->addr), addr);
	assert_int_equal(le32toh(d->len), len);
	if (id >= 0)
		assert_int_equal(le16toh(d->id), id);
	assert_int_equal(le16toh(d->flags), flags);
}

/* A chain, over the end of the vring at every second pass: flags follow the wrap counter. */
static void test_chain(void **state)
{
	struct driver_buf buf[] = { { 0xabcdef0123456789, 16 }, { 4096, 512 }, { 7, 1 } };
	struct fake_device f;

	fake_up(&f, 5, F_PACKED);
	assert_int_equal(driver_ring_initial_base(f.ring), 0x80008000);
	assert_int_equal(driver_ring_resume_base(f.ring), 0x80008000);
	for (unsigned at = 10; at < 100; at += 3) {
		const struct vring_packed_desc *d[3];
		int id;

		for (unsigned i = 0; i < 3; i++)
			d[i] = &f.packed[(at + i) % 5];
		assert_int_equal(driver_ring_add(f.ring, buf, 2, 1, &f), 0);
		assert_int_equal(fake_pop(&f), -1); /* not published */
		assert_true(driver_ring_publish(f.ring));
		assert_false(driver_ring_publish(f.ring)); /* nothing new */
		id = fake_pop(&f);
		assert_in_range(id, 0, 4);
		assert_int_equal(fake_pop(&f), -1);
		assert_desc(d[0], 0xabcdef0123456789, 16, -1,
			VRING_DESC_F_NEXT | fake_avail_flags(&f, at));
		assert_desc(d[1], 4096, 512, -1, VRING_DESC_F_NEXT | fake_avail_flags(&f, at + 1));
		assert_desc(d[2], 7, 1, id, VRING_DESC_F_WRITE | fake_avail_flags(&f, at + 2));
		fake_push(&f, id, 1);
		fake_publish(&f);
		assert_int_equal(driver_ring_outstanding(f.ring), 1);
		assert_reap_fails(&f, 1);
		assert_int_equal(driver_ring_outstanding(f.ring), 0);
	}
	fake_down(&f);
}

/* Of a batch the first descriptor becomes available last, and only at publication. */
static void test_first_is_last(void **state)
{
	struct fake_device f;

	fake_up(&f, 8, F_PACKED);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fake_add(&f, 1, 1, 8, i), 0);
	assert_int_equal(f.packed[0].flags, 0);
	assert_int_equal(driver_ring_outstanding(f.ring), 4);
	driver_ring_publish(f.ring);
	for (unsigned i = 0; i < 4; i++)
		assert_int_not_equal(fake_pop(&f), -1);
	fake_push(&f, 3, 8);
	fake_publish(&f);
	assert_reaped(&f, 3, 8);
	/* In the next pass, too. */
	assert_int_equal(fake_add(&f, 0, 2, 8, 9), 0);
	assert_int_equal(le16toh(f.packed[0].flags), VRING_DESC_F_WRITE | P_AVAIL | P_USED);
	driver_ring_publish(f.ring);
	assert_int_equal(le16toh(f.packed[0].flags),
		VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | fake_avail_flags(&f, 8));
	assert_int_not_equal(fake_pop(&f), -1);
	fake_down(&f);
}

static void test_indirect(void **state)
{
	const struct vring_packed_desc *d, *table;
	struct fake_device f;

	fake_up(&f, 3, F_PACKED | F_INDIRECT);
	assert_int_equal(fake_add(&f, 1, 2, 512, 1), 0);
	assert_int_equal(fake_add(&f, 0, 1, 512, 2), 0); /* one buffer needs no table */
	driver_ring_publish(f.ring);
	d = &f.packed[0];
	assert_int_equal(le16toh(d->flags), VRING_DESC_F_INDIRECT | P_AVAIL);
	assert_int_equal(le16toh(d->id), fake_pop(&f));
	assert_int_equal(le32toh(d->len), 3 * sizeof(*table));
	assert_int_equal(le64toh(d->addr) % 16, 0);
	table = driver_mem_host(f.mem, le64toh(d->addr), le32toh(d->len));
	assert_non_null(table);
	assert_desc(&table[0], 0x1234500000000, 512, -1, 0);
	assert_desc(&table[1], 0x1234500000200, 512, -1, VRING_DESC_F_WRITE);
	assert_desc(&table[2], 0x1234500000400, 512, -1, VRING_DESC_F_WRITE);
	assert_desc(&f.packed[1], 0x1234500000000, 512, fake_pop(&f), VRING_DESC_F_WRITE | P_AVAIL);
	fake_down(&f);
}

/* Tables are of different slots: none is written over while its request is out. */
static void test_indirect_apart(void **state)
{
	struct fake_device f;
	unsigned last = 99;

	fake_up(&f, 100, F_PACKED | F_INDIRECT);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(fake_add(&f, DRIVER_RING_TABLE_LEN - 1, 1, i + 1, i), 0);
	assert_int_equal(fake_add(&f, 1, 1, 1, 0), -ENOSPC);
	driver_ring_publish(f.ring);
	for (unsigned i = 0; i < 100; i++) {
		const struct vring_packed_desc *table;

		table = driver_mem_host(f.mem, le64toh(f.packed[i].addr), 16 * 66);
		assert_non_null(table);
		assert_int_not_equal(fake_pop(&f), -1);
		for (unsigned j = 0; j < DRIVER_RING_TABLE_LEN; j++)
			assert_int_equal(le32toh(table[j].len), i + 1);
	}
	/* Come back out of order, the id goes to the next request, and its table with it. */
	fake_push(&f, last, 1);
	fake_publish(&f);
	assert_reaped(&f, last, 1);
	assert_int_equal(fake_add(&f, 1, 1, 1, 0), 0);
	driver_ring_publish(f.ring);
	assert_int_equal(fake_pop(&f), last);
	fake_down(&f);
}

/* 2.8.6: a used length counts only with the flag. */
static void test_no_write_flag(void **state)
{
	struct fake_device f;

	fake_up(&f, 4, F_PACKED);
	assert_int_equal(fake_add(&f, 1, 0, 8, 5), 0);
	driver_ring_publish(f.ring);
	fake_push(&f, fake_pop(&f), 0);
	shm_store32(&f.packed[0].len, 77777);
	fake_publish(&f);
	assert_reaped(&f, 5, 0);
	fake_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fd_checked(test_chain),
		fd_checked(test_first_is_last),
		fd_checked(test_indirect),
		fd_checked(test_indirect_apart),
		fd_checked(test_no_write_flag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

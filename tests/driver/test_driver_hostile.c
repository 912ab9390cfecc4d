/* SPDX-License-Identifier: Apache-2.0 */
/* A device that lies. */
#include "fake_device.h"

#include <errno.h>

static const uint64_t all_features[] = { 0, F_INDIRECT, F_EVENT_IDX, F_IN_ORDER, F_PACKED,
	F_PACKED | F_INDIRECT, F_PACKED | F_IN_ORDER };

/* Adds three requests of two buffers, 8 bytes writable each, available; a fourth only added. */
static void three_up(struct fake_device *f, uint64_t features, int head[3])
{
	fake_up(f, 16, features);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_add(f, 1, 1, 8, i), 0);
	driver_ring_publish(f->ring);
	assert_int_equal(fake_add(f, 1, 1, 8, 3), 0);
	for (unsigned i = 0; i < 3; i++)
		head[i] = fake_pop(f);
}

static void assert_lie(uint64_t features, uint32_t id, uint32_t len)
{
	struct fake_device f;
	int head[3];

	three_up(&f, features, head);
	fake_push(&f, head[0], 8);
	fake_push(&f, id, len);
	fake_publish(&f);
	assert_reaped(&f, 0, 8);
	assert_reap_fails(&f, -EPROTO);
	assert_reap_fails(&f, -EPROTO);
	assert_int_equal(driver_ring_outstanding(f.ring), 3);
	fake_down(&f);
}

static void test_id(void **state)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(all_features); i++) {
		uint64_t feature = all_features[i];
		/* Numbers count descriptors; those of packed vrings requests, if in no order. */
		bool by_place = !(feature & F_PACKED) || feature & F_IN_ORDER;
		unsigned step = by_place && !(feature & F_INDIRECT) ? 2 : 1;

		assert_lie(feature, 16, 0);
		assert_lie(feature, 0xffff, 0);
		if (!(feature & F_PACKED))
			assert_lie(feature, 0x10000 + step, 0);
		assert_lie(feature, 0, 0); /* twice */
		assert_lie(feature, 3 * step, 0); /* added, not published */
		assert_lie(feature, 15, 0); /* free */
		if (step == 2)
			assert_lie(feature, step + 1, 0); /* inside a chain */
	}
}

/* 8 bytes are writable: an error of its own, and the numbers for a message. */
static void test_used_length_too_large(void **state)
{
	static const uint32_t lens[] = { 9, UINT32_MAX };
	struct fake_device f;
	int head[3];

	for (unsigned i = 0; i < 2 * G_N_ELEMENTS(all_features); i++) {
		three_up(&f, all_features[i / 2], head);
		fake_push(&f, head[0], 8);
		fake_push(&f, head[1], lens[i % 2]);
		fake_publish(&f);
		assert_reaped(&f, 0, 8);
		assert_int_equal(driver_ring_excess(f.ring)->times, 0);
		assert_reap_fails(&f, -EMSGSIZE);
		assert_int_equal(driver_ring_excess(f.ring)->len, lens[i % 2]);
		assert_int_equal(driver_ring_excess(f.ring)->writable, 8);
		assert_int_equal(driver_ring_outstanding(f.ring), 3);
		fake_down(&f);
	}
}

/* QEMU's reference daemon reports a byte too many: the request is complete all the same. */
static void test_used_length_too_large_is_cut(void **state)
{
	struct fake_device f;
	int head[3];

	for (unsigned i = 0; i < G_N_ELEMENTS(all_features); i++) {
		three_up(&f, all_features[i], head);
		driver_ring_cut_excess(f.ring);
		fake_push(&f, head[0], 9);
		fake_push(&f, head[1], 10);
		fake_push(&f, head[2], 7);
		fake_publish(&f);
		assert_reaped(&f, 0, 8);
		assert_reaped(&f, 1, 8);
		assert_reaped(&f, 2, 7);
		assert_int_equal(driver_ring_excess(f.ring)->times, 2);
		assert_int_equal(driver_ring_excess(f.ring)->len, 9);
		assert_int_equal(driver_ring_excess(f.ring)->writable, 8);
		fake_down(&f);
	}
}

static void test_index(void **state)
{
	static const uint64_t features[] = { 0, F_IN_ORDER };
	static const uint16_t jumps[] = { 4, 5, 16, 17, 32768, 65535, 0 };
	struct fake_device f;
	int head[3];

	for (unsigned i = 0; i < 2 * G_N_ELEMENTS(jumps); i++) {
		three_up(&f, features[i % 2], head);
		fake_push(&f, head[0], 0);
		fake_publish(&f);
		assert_reaped(&f, 0, 0);
		/* Even if the entries of those that were out are good. */
		fake_push(&f, head[1], 0);
		fake_push(&f, head[2], 0);
		shm_store16(&f.used->idx, jumps[i / 2]);
		assert_reap_fails(&f, -EPROTO);
		fake_down(&f);
	}
}

/* Scribbles over the shared descriptors: nothing here depends on them. */
static void scribble(uint64_t features)
{
	struct fake_device f;
	int head[3];

	three_up(&f, features, head);
	if (f.is_packed)
		for (unsigned i = 0; i < 16; i++)
			memset(&f.packed[i], 0xff, offsetof(struct vring_packed_desc, flags));
	else
		memset(f.desc, 0xff, 16 * sizeof(*f.desc));
	if (!f.is_packed)
		memset(f.avail, 0xff, 6 + 2 * 16);
	for (int i = 2; i >= 0; i--)
		fake_push(&f, head[i], 8);
	fake_publish(&f);
	for (int i = 2; i >= 0; i--)
		assert_reaped(&f, i, 8);
	for (unsigned i = 0; i < 14; i++)
		assert_int_equal(fake_add(&f, 0, 1, 8, i), 0);
	assert_int_equal(fake_add(&f, 0, 1, 8, 0), -ENOSPC);
	fake_down(&f);
}

static void test_scribble(void **state)
{
	scribble(0);
	scribble(F_PACKED);
}

/* Packed: a descriptor that should be available, marked as neither that nor used. */
static void test_wrap(void **state)
{
	static const uint64_t features[] = { F_PACKED, F_PACKED | F_IN_ORDER };
	struct fake_device f;
	int head[3];

	for (unsigned i = 0; i < 2; i++) {
		three_up(&f, features[i], head);
		shm_store16(&f.packed[0].flags, fake_used_flags(&f, 16));
		assert_reap_fails(&f, -EPROTO);
		shm_store16(&f.packed[0].flags, fake_avail_flags(&f, 16));
		assert_reap_fails(&f, -EPROTO);
		/* as it should be */
		shm_store16(&f.packed[0].flags, fake_avail_flags(&f, 0));
		assert_reap_fails(&f, 0);
		fake_down(&f);
	}
}

/* Packed: used, though nothing is out; what the last pass left is no such claim. */
static void test_nothing_out(void **state)
{
	struct fake_device f;

	fake_up(&f, 3, F_PACKED);
	for (unsigned i = 0; i < 20; i++) {
		assert_reap_fails(&f, 0);
		assert_int_equal(fake_add(&f, 0, 1, 8, i), 0);
		assert_reap_fails(&f, 0);
		driver_ring_publish(f.ring);
		assert_reap_fails(&f, 0);
		fake_push(&f, fake_pop(&f), 8);
		fake_publish(&f);
		assert_reaped(&f, i, 8);
	}
	shm_store16(&f.packed[20 % 3].flags, fake_used_flags(&f, 20));
	assert_reap_fails(&f, -EPROTO);
	/* Added is not out. */
	assert_int_equal(fake_add(&f, 0, 1, 8, 0), 0);
	assert_reap_fails(&f, -EPROTO);
	fake_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fd_checked(test_id),
		fd_checked(test_used_length_too_large),
		fd_checked(test_used_length_too_large_is_cut),
		fd_checked(test_index),
		fd_checked(test_scribble),
		fd_checked(test_wrap),
		fd_checked(test_nothing_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* VIRTIO_F_IN_ORDER: the order of descriptors, and batches, true and false. */
#include "fake_device.h"

#include <errno.h>

/* Sends 70000 requests by batches of any size: indices, places and positions wrap. */
static void batch(unsigned size, uint64_t features, unsigned n_out)
{
	unsigned token = 0, done = 0, at = 0, per_request = features & F_INDIRECT ? 1 : n_out + 1;
	unsigned half = size / per_request / 2;
	int head[16];
	struct fake_device f;

	fake_up(&f, size, features | F_IN_ORDER);
	while (done < 70000) {
		unsigned n = 1 + done % half, m = 1 + done % (half + 1) % half;

		for (unsigned i = 0; i < n + m; i++)
			assert_int_equal(fake_add(&f, n_out, 1, 100, token++), 0);
		driver_ring_publish(f.ring);
		/* 2.7.5.2: descriptors in ring order */
		for (unsigned i = 0; i < n + m; i++, at = (at + per_request) % size) {
			head[i] = fake_pop(&f);
			assert_int_equal(head[i], at);
		}
		fake_push_batch(&f, head, n, 60);
		fake_push_batch(&f, head + n, m, 70);
		fake_publish(&f);
		for (unsigned i = 0; i < n + m; i++, done++)
			assert_reaped(&f, done, i == n - 1 ? 60 : i == n + m - 1 ? 70 : 100);
		assert_reap_fails(&f, 0);
		assert_int_equal(driver_ring_outstanding(f.ring), 0);
	}
	fake_down(&f);
}

static void test_batch(void **state)
{
	batch(16, 0, 0);
	batch(16, 0, 1);
	batch(16, F_PACKED, 0);
	batch(13, F_PACKED, 0);
	batch(13, F_PACKED, 2);
	batch(15, F_PACKED | F_INDIRECT, 3);
}

static void three_up(struct fake_device *f, uint64_t features, int head[3])
{
	fake_up(f, 16, features | F_IN_ORDER);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_add(f, 1, 1, 8, i), 0);
	driver_ring_publish(f->ring);
	for (unsigned i = 0; i < 3; i++)
		head[i] = fake_pop(f);
}

/* An index in the middle of the batch: its last one was not published. */
static void test_cut(void **state)
{
	struct fake_device f;
	int head[3];

	three_up(&f, 0, head);
	fake_push_batch(&f, head, 3, 8);
	f.used_idx--;
	fake_publish(&f);
	assert_reap_fails(&f, -EPROTO);
	fake_down(&f);
}

/* Reaps half a batch: there still is something to reap. */
static void half(uint64_t features)
{
	struct fake_device f;
	int head[3];

	three_up(&f, features, head);
	fake_push_batch(&f, head, 2, 8);
	fake_publish(&f);
	assert_reaped(&f, 0, 8);
	assert_true(driver_ring_arm(f.ring));
	assert_reaped(&f, 1, 8);
	assert_false(driver_ring_arm(f.ring));
	assert_reap_fails(&f, 0);
	fake_down(&f);
}

static void test_half(void **state)
{
	half(0);
	half(F_EVENT_IDX);
	half(F_PACKED);
	half(F_PACKED | F_EVENT_IDX);
}

/* Chains in ring order, over the vring's end: next is x + 1, and 0 behind the last (2.7.5.2). */
static void test_ring_order(void **state)
{
	struct fake_device f;

	fake_up(&f, 8, F_IN_ORDER);
	for (unsigned round = 0, at = 0; round < 20; round++) {
		assert_int_equal(fake_add(&f, 1, 2, 8, round), 0);
		driver_ring_publish(f.ring);
		assert_int_equal(fake_pop(&f), at);
		assert_int_equal(le16toh(f.desc[at].next), (at + 1) % 8);
		assert_int_equal(le16toh(f.desc[(at + 1) % 8].next), (at + 2) % 8);
		fake_push(&f, at, 16);
		fake_publish(&f);
		assert_reaped(&f, round, 16);
		at = (at + 3) % 8;
	}
	fake_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fd_checked(test_batch),
		fd_checked(test_cut),
		fd_checked(test_half),
		fd_checked(test_ring_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

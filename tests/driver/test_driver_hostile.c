/* SPDX-License-Identifier: Apache-2.0 */
/* A device that lies, and batches of VIRTIO_F_IN_ORDER, true and false. */
#include "fake_device.h"

#include <errno.h>

/* Three requests of two buffers, 8 bytes writable each, available; a fourth only added. */
static void three_up(struct fake *f, uint64_t features, int head[3])
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
	struct fake f;
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
	static const uint64_t features[] = { 0, F_INDIRECT, F_EVENT_IDX, F_IN_ORDER };

	for (unsigned i = 0; i < G_N_ELEMENTS(features); i++) {
		uint64_t feature = features[i];
		unsigned step = feature & F_INDIRECT ? 1 : 2; /* descriptors of a request */

		assert_lie(feature, 16, 0);
		assert_lie(feature, 0x10000 + step, 0);
		assert_lie(feature, UINT32_MAX, 0);
		assert_lie(feature, 0, 0); /* twice */
		assert_lie(feature, 3 * step, 0); /* added, not published */
		assert_lie(feature, 15, 0); /* free */
		if (step == 2)
			assert_lie(feature, step + 1, 0); /* inside a chain */
		assert_lie(feature, step, 9);
		assert_lie(feature, step, UINT32_MAX);
	}
}

static void test_index(void **state)
{
	static const uint64_t features[] = { 0, F_IN_ORDER };
	static const uint16_t jumps[] = { 4, 5, 16, 17, 32768, 65535, 0 };
	struct fake f;
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

/* The shared descriptors may be scribbled over: nothing here depends on them. */
static void test_scribble(void **state)
{
	struct fake f;
	int head[3];

	three_up(&f, 0, head);
	memset(f.desc, 0xff, 16 * sizeof(*f.desc));
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

/* One entry, for the last of the batch at the place of the first (2.7.9). */
static void push_batch(struct fake *f, int last, unsigned n, uint32_t len)
{
	fake_push(f, last, len);
	f->used_idx += n - 1;
}

static void test_batch(void **state)
{
	struct fake f;
	int head[16];
	unsigned token = 0, done = 0;

	/* 70000 passes of the ring end: positions wrap, too. */
	fake_up(&f, 16, F_IN_ORDER);
	while (done < 70000) {
		unsigned n = 1 + done % 7, m = 1 + done % 8;

		for (unsigned i = 0; i < n + m; i++)
			assert_int_equal(fake_add(&f, 0, 1, 100, token++), 0);
		driver_ring_publish(f.ring);
		for (unsigned i = 0; i < n + m; i++)
			head[i] = fake_pop(&f);
		/* 2.7.5.2: descriptors in ring order */
		for (unsigned i = 0; i < n + m; i++)
			assert_int_equal(head[i], (done + i) % 16);
		push_batch(&f, head[n - 1], n, 60);
		push_batch(&f, head[n + m - 1], m, 70);
		fake_publish(&f);
		for (unsigned i = 0; i < n + m; i++, done++)
			assert_reaped(&f, done, i == n - 1 ? 60 : i == n + m - 1 ? 70 : 100);
		assert_reap_fails(&f, 0);
	}
	fake_down(&f);
}

/* An index in the middle of the batch: its last one was not published. */
static void test_batch_cut(void **state)
{
	struct fake f;
	int head[3];

	three_up(&f, F_IN_ORDER, head);
	push_batch(&f, head[2], 3, 8);
	f.used_idx--;
	fake_publish(&f);
	assert_reap_fails(&f, -EPROTO);
	f.used_idx++;
	fake_down(&f);

	three_up(&f, F_IN_ORDER, head);
	push_batch(&f, head[1], 2, 8);
	fake_publish(&f);
	assert_reaped(&f, 0, 8);
	/* Half a batch reaped is still something to reap. */
	assert_true(driver_ring_arm(f.ring));
	assert_reaped(&f, 1, 8);
	assert_false(driver_ring_arm(f.ring));
	assert_reap_fails(&f, 0);
	fake_down(&f);
}

/* Chains in ring order, over the ring's end: next is x + 1, and 0 behind the last (2.7.5.2). */
static void test_ring_order(void **state)
{
	struct fake f;

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
		fd_checked(test_id),
		fd_checked(test_index),
		fd_checked(test_scribble),
		fd_checked(test_batch),
		fd_checked(test_batch_cut),
		fd_checked(test_ring_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

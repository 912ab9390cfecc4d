/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio-mmio window: queues, configuration space, and accesses as no driver makes them. */
#include "owner.h"

static void test_queue(void **state)
{
	struct owner *o = *state;
	const struct virtio_mmio_queue *q = virtio_mmio_queue(o->m, 2);

	wr(o, VIRTIO_MMIO_QUEUE_SEL, 2);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_READY), 0);
	wr(o, VIRTIO_MMIO_QUEUE_NUM, 128);
	wr(o, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x11110000);
	wr(o, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0x1);
	wr(o, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x22220000);
	wr(o, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0x2);
	wr(o, VIRTIO_MMIO_QUEUE_USED_LOW, 0x33330000);
	wr(o, VIRTIO_MMIO_QUEUE_USED_HIGH, 0x3);
	assert_int_equal(o->calls, 0);
	wr(o, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_READY), 1);
	assert_int_equal(o->ready_calls, 1);
	assert_int_equal(o->queue, 2);
	assert_true(o->ready);
	/* Frozen while ready. */
	wr(o, VIRTIO_MMIO_QUEUE_READY, 1);
	wr(o, VIRTIO_MMIO_QUEUE_NUM, 64);
	wr(o, VIRTIO_MMIO_QUEUE_DESC_LOW, 0);
	wr(o, VIRTIO_MMIO_QUEUE_USED_HIGH, 0);
	assert_int_equal(o->ready_calls, 1);
	assert_int_equal(q->size, 128);
	assert_true(q->desc == 0x111110000);
	assert_true(q->driver == 0x222220000);
	assert_true(q->device == 0x333330000);
	/* Only that one. */
	assert_false(virtio_mmio_queue(o->m, 0)->ready);
	assert_false(virtio_mmio_queue(o->m, 1)->ready);
	/* The low half alone, the high one stays. */
	o->answer = VIRTIO_MMIO_LATER;
	assert_int_equal(wr(o, VIRTIO_MMIO_QUEUE_READY, 0), VIRTIO_MMIO_LATER);
	assert_false(o->ready);
	wr(o, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x5000);
	assert_true(q->desc == 0x100005000);
	wr(o, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(o->ready_calls, 2);
}

static void test_queue_absent(void **state)
{
	struct owner *o = *state;
	static const uint32_t absent[] = { 3, 255, 256, 65536, UINT32_MAX };

	for (unsigned i = 0; i < 5; i++) {
		wr(o, VIRTIO_MMIO_QUEUE_SEL, absent[i]);
		assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		wr(o, VIRTIO_MMIO_QUEUE_NUM, 16);
		wr(o, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x1000);
		wr(o, VIRTIO_MMIO_QUEUE_READY, 1);
		assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_READY), 0);
		wr(o, VIRTIO_MMIO_QUEUE_NOTIFY, absent[i]);
		assert_null(virtio_mmio_queue(o->m, absent[i]));
	}
	assert_int_equal(o->calls, 0);
}

static void test_queue_size(void **state)
{
	struct owner *o = *state;
	static const uint32_t split_bad[] = { 0, 3, 255, 257, 512, UINT32_MAX };

	for (unsigned i = 0; i < 6; i++) {
		setup_queue(o, 0, split_bad[i]);
		assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_READY), 0);
	}
	setup_queue(o, 0, 256);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_READY), 1);
	setup_queue(o, 1, 1);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_READY), 1);
	/* A packed ring's size need not be a power of two. */
	write_features(o, VERSION_1 | PACKED);
	setup_queue(o, 2, 257);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_READY), 0);
	setup_queue(o, 2, 255);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_READY), 1);
	assert_int_equal(o->ready_calls, 3);
}

static void test_notify(void **state)
{
	struct owner *o = *state;

	wr(o, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	assert_int_equal(o->notify_calls, 0);
	setup_queue(o, 1, 16);
	wr(o, VIRTIO_MMIO_QUEUE_SEL, 0);
	wr(o, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	assert_int_equal(o->notify_calls, 1);
	assert_int_equal(o->queue, 1);
	wr(o, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	wr(o, VIRTIO_MMIO_QUEUE_NOTIFY, 0x10001);
	assert_int_equal(o->notify_calls, 1);
}

static void test_queue_reset(void **state)
{
	struct owner *o = *state;

	/* Not negotiated: no such register. */
	setup_queue(o, 0, 16);
	wr(o, VIRTIO_MMIO_QUEUE_RESET, 1);
	assert_int_equal(o->reset_calls, 0);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_READY), 1);
	driver_ok(o, VERSION_1 | RING_RESET);
	wr(o, VIRTIO_MMIO_QUEUE_RESET, 0);
	wr(o, VIRTIO_MMIO_QUEUE_RESET, 2);
	assert_int_equal(o->reset_calls, 0);
	o->answer = VIRTIO_MMIO_LATER;
	assert_int_equal(wr(o, VIRTIO_MMIO_QUEUE_RESET, 1), VIRTIO_MMIO_LATER);
	assert_int_equal(o->reset_calls, 1);
	assert_int_equal(o->queue, 0);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_RESET), 0);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(virtio_mmio_queue(o->m, 0)->size, 0);
	/* Nothing left to let go of. */
	assert_int_equal(wr(o, VIRTIO_MMIO_QUEUE_RESET, 1), VIRTIO_MMIO_DONE);
	/* And back in service. */
	setup_queue(o, 0, 32);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_READY), 1);
	assert_int_equal(o->ready_calls, 2);
}

static void test_config(void **state)
{
	struct owner *o = *state;
	uint64_t value;

	for (unsigned i = 0; i < sizeof(o->config); i++)
		o->config[i] = i + 1;
	for (unsigned size = 1; size <= 8; size <<= 1) {
		for (unsigned off = 0; off < 40; off++) {
			bool inside = off + size <= probe.config_size;
			unsigned calls = o->config_calls;
			uint64_t want = 0;

			if (inside)
				memcpy(&want, o->config + off, size);
			value = UINT64_MAX;
			virtio_mmio_access(o->m, 0x100 + off, size, false, &value);
			assert_true(value == want);
			assert_int_equal(o->config_calls, calls + inside);
			value = UINT64_C(0xa0a1a2a3a4a5a6a7);
			virtio_mmio_access(o->m, 0x100 + off, size, true, &value);
			assert_int_equal(o->config_calls, calls + 2 * inside);
			if (!inside)
				continue;
			assert_true(o->write);
			assert_int_equal(o->offset, off);
			assert_int_equal(o->size, size);
			assert_memory_equal(o->config + off, &value, size);
		}
	}
	o->answer = VIRTIO_MMIO_LATER;
	assert_int_equal(virtio_mmio_access(o->m, 0x100, 2, false, &value), VIRTIO_MMIO_LATER);
	assert_int_equal(virtio_mmio_access(o->m, 0x100, 2, true, &value), VIRTIO_MMIO_LATER);
}

static void test_widths(void **state)
{
	struct owner *o = *state;
	static const unsigned sizes[] = { 0, 1, 2, 3, 8, 16 };
	uint64_t value;

	for (unsigned i = 0; i < 6; i++) {
		value = UINT64_MAX;
		virtio_mmio_access(o->m, VIRTIO_MMIO_MAGIC_VALUE, sizes[i], false, &value);
		assert_true(value == 0);
		value = 1;
		virtio_mmio_access(o->m, VIRTIO_MMIO_STATUS, sizes[i], true, &value);
		assert_int_equal(virtio_mmio_status(o->m), 0);
	}
	/* Unaligned, across two registers or into the configuration. */
	assert_int_equal(rd(o, 2), 0);
	assert_int_equal(rd(o, 0xfe), 0);
	for (unsigned i = 0; i < 3; i++) {
		static const unsigned odd[] = { 3, 5, 16 };

		value = UINT64_MAX;
		virtio_mmio_access(o->m, 0x100, odd[i], false, &value);
		assert_true(value == 0);
	}
	/* Registers of version 1, and gaps. */
	assert_int_equal(rd(o, 0x028) + rd(o, 0x03c) + rd(o, 0x040) + rd(o, 0x018), 0);
	wr(o, 0x040, 5);
	assert_int_equal(rd(o, 0x040), 0);
	assert_int_equal(o->calls, 0);
}

/*
 * Any access at all: no crash, no value wider than asked, ready queues only as the rules have it.
 */
static void test_random(void **state)
{
	struct owner *o = *state;
	uint64_t seed = 88172645463325252u;

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t r, offset, value;
		unsigned size;
		bool write;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		r = seed;
		offset = (r & 1) ? (r >> 8) % 0x140 : ((r & 6) ? ((r >> 8) % 0x50) * 4 : r);
		size = (r & 8) ? 4 : (r >> 20) % 10;
		write = r & 16;
		value = (r & 32) ? (r >> 32) & 0x1f : r >> 24;
		o->answer = (r & 64) ? VIRTIO_MMIO_LATER : VIRTIO_MMIO_DONE;
		virtio_mmio_access(o->m, offset, size, write, &value);
		if (!write && o->answer == VIRTIO_MMIO_DONE && size < 8)
			assert_true(value >> (8 * size) == 0);
		if ((r & 0xff00) == 0)
			virtio_mmio_used(o->m);
		if ((r & 0xff0000) == 0)
			virtio_mmio_needs_reset(o->m);
		for (unsigned q = 0; q < 3; q++) {
			const struct virtio_mmio_queue *queue = virtio_mmio_queue(o->m, q);

			assert_true(!queue->ready || (queue->size && queue->size <= 256));
		}
	}
	assert_true(o->status_calls && o->ready_calls && o->config_calls);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST_WITH(owner, test_queue),
		TEST_WITH(owner, test_queue_absent),
		TEST_WITH(owner, test_queue_size),
		TEST_WITH(owner, test_notify),
		TEST_WITH(owner, test_queue_reset),
		TEST_WITH(owner, test_config),
		TEST_WITH(owner, test_widths),
		TEST_WITH(owner, test_random),
	};

	return cmocka_run_group_tests_name("mmio_queue", tests, NULL, NULL);
}

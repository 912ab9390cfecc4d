/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which slots are taken and which are left: the kernel's, those of devices to come, a
 * predecessor's.
 */
#include "ioreq_fixture.h"

#include <linux/virtio_mmio.h>

static void test_kernel(void **state)
{
	struct ioreq_test *w = *state;

	w->kernel = true;
	slot_post(w, 0, true, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0xffff0001);
	ioreq_event(w->q, 0);
	slot_assert_waits(w, 0, IOREQ_READY);
	assert_true(ioreq_again(w->q) > 0);
	slot_set_state(w, 0, IOREQ_INPROCESS);
	ioreq_event(w->q, 0);
	slot_assert_waits(w, 0, IOREQ_INPROCESS);
	assert_true(ioreq_again(w->q) > 0);
	slot_set_state(w, 0, IOREQ_RESP_READY);
	assert_int_equal(ioreq_again(w->q), -1);
	assert_int_equal(w->accesses, 0);

	/* Another queue, another width, a read: not the kernel's. */
	slot_post(w, 0, true, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 2);
	ioreq_event(w->q, 0);
	slot_assert_answered(w, 0, 1);
	slot_post(w, 0, true, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 2, 1);
	ioreq_event(w->q, 0);
	slot_assert_answered(w, 0, 2);
	slot_post(w, 0, false, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 1);
	ioreq_event(w->q, 0);
	slot_assert_answered(w, 0, 3);

	slot_post(w, 1, true, BASE + VIRTIO_MMIO_QUEUE_NOTIFY, 4, 1);
	ioreq_event(w->q, 1);
	slot_assert_waits(w, 1, IOREQ_READY);
	ioreq_look_until_done(w);
	slot_assert_answered(w, 1, 1);
}

static void test_flip(void **state)
{
	struct ioreq_test *w = *state;

	slot_post(w, 0, true, BASE + 0x70, 4, 1);
	slot_set_state(w, 0, IOREQ_INPROCESS);
	ioreq_event(w->q, 0);
	assert_true(ioreq_again(w->q) > 0);
	test_pause(5000);
	assert_true(ioreq_again(w->q) > 0);
	slot_assert_waits(w, 0, IOREQ_INPROCESS);
	assert_int_equal(w->journal.taken[0], 0);
	slot_set_state(w, 0, IOREQ_READY);
	assert_int_equal(ioreq_again(w->q), -1);
	slot_assert_answered(w, 0, 1);
}

static void test_device_to_come(void **state)
{
	struct ioreq_test *w = *state;

	w->there = false;
	slot_post(w, 0, false, BASE, 4, 0);
	ioreq_event(w->q, 0);
	slot_assert_waits(w, 0, IOREQ_READY);
	assert_true(ioreq_again(w->q) > 0);
	w->there = true;
	assert_int_equal(ioreq_again(w->q), -1);
	slot_assert_answered(w, 0, 1);
	assert_int_equal(w->accesses, 1);
}

static void test_successor(void **state)
{
	struct ioreq_test *w = *state;

	/* Before it was taken; the journal first. */
	for (unsigned ours = 0; ours < 2; ours++) {
		slot_post(w, ours, false, BASE, 4, 0);
		w->journal.taken[ours] = ours;
		ioreq_succeed(w);
		ioreq_resume(w->q);
		slot_assert_answered(w, ours, 1);
		assert_int_equal(w->accesses, ours + 1);
	}
	/* Answered, and perhaps not said. */
	for (unsigned ours = 0; ours < 2; ours++) {
		slot_post(w, 2, false, BASE, 4, 77);
		slot_set_state(w, 2, IOREQ_RESP_READY);
		slot_set_state(w, 0, IOREQ_NONE);
		slot_set_state(w, 1, IOREQ_NONE);
		w->journal.taken[2] = ours;
		ioreq_succeed(w);
		ioreq_resume(w->q);
		slot_assert_answered(w, 2, ours + 1);
		assert_int_equal(w->page[2].data, 77);
		assert_int_equal(w->accesses, 2);
	}
	/* Taken, not answered, also while the device is still to come. */
	slot_post(w, 3, false, BASE, 4, 0);
	slot_set_state(w, 3, IOREQ_INPROCESS);
	w->journal.taken[3] = 1;
	w->there = false;
	ioreq_succeed(w);
	ioreq_resume(w->q);
	test_pause(10000);
	assert_true(ioreq_again(w->q) > 0);
	slot_assert_waits(w, 3, IOREQ_INPROCESS);
	assert_int_equal(w->journal.taken[3], 1);
	w->there = true;
	ioreq_look_until_done(w);
	slot_assert_answered(w, 3, 1);
	assert_int_equal(w->accesses, 3);
}

static void test_successor_and_kernel(void **state)
{
	struct ioreq_test *w = *state;

	slot_post(w, 0, true, BASE + 0x70, 4, 1);
	slot_set_state(w, 0, IOREQ_INPROCESS);
	w->journal.taken[0] = 1;
	ioreq_succeed(w);
	ioreq_resume(w->q);
	slot_assert_waits(w, 0, IOREQ_INPROCESS);
	slot_set_state(w, 0, IOREQ_READY);
	assert_int_equal(ioreq_again(w->q), -1);
	slot_assert_answered(w, 0, 1);
	slot_post(w, 0, true, BASE + 0x70, 4, 1);
	slot_set_state(w, 0, IOREQ_INPROCESS);
	ioreq_event(w->q, 0);
	test_pause(5000);
	assert_true(ioreq_again(w->q) > 0);
	assert_int_equal(w->accesses, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(ioreq, test_kernel),
		TEST_WITH(ioreq, test_flip),
		TEST_WITH(ioreq, test_device_to_come),
		TEST_WITH(ioreq, test_successor),
		TEST_WITH(ioreq, test_successor_and_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

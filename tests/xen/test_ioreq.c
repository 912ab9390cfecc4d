/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: how each is served and answered. */
#include "ioreq_fixture.h"

static void test_read(void **state)
{
	static const uint64_t want[] = { 0, 0x88, 0x7788, 0, 0x55667788, 0, 0, 0,
		UINT64_C(0x1122334455667788) };
	struct ioreq_test *w = *state;
	unsigned n = 0;

	for (unsigned size = 1; size <= 8; size *= 2) {
		slot_post(w, 2, false, BASE + 0x100, size, 99);
		ioreq_event(w->q, 2);
		slot_assert_answered(w, 2, ++n);
		assert_int_equal(w->page[2].bits & IOREQ_DIR_READ, IOREQ_DIR_READ);
		assert_true(w->page[2].data == want[size]);
		assert_int_equal(w->offset, 0x100);
		assert_int_equal(w->size, size);
		assert_false(w->write);
	}
	/* Nothing there any more. */
	ioreq_event(w->q, 2);
	slot_set_state(w, 2, IOREQ_NONE);
	ioreq_event(w->q, 2);
	ioreq_event(w->q, 127);
	assert_int_equal(w->accesses, n);
}

static void test_write(void **state)
{
	struct ioreq_test *w = *state;

	slot_post(w, 0, true, BASE + 0x70, 2, 0xabcdef);
	ioreq_event(w->q, 0);
	slot_assert_answered(w, 0, 1);
	assert_true(w->write);
	assert_int_equal(w->value, 0xcdef);
	assert_int_equal(w->page[0].data, 0xabcdef);
}

static void test_later(void **state)
{
	struct ioreq_test *w = *state;
	void *token;

	w->later = true;
	slot_post(w, 1, false, BASE, 4, 0);
	ioreq_event(w->q, 1);
	token = w->token;
	slot_assert_waits(w, 1, IOREQ_INPROCESS);
	assert_int_equal(w->journal.taken[1], 1);
	assert_int_equal(ioreq_again(w->q), -1);
	ioreq_event(w->q, 1);
	assert_int_equal(w->accesses, 1);
	/* Others go on. */
	w->later = false;
	slot_post(w, 0, false, BASE, 4, 0);
	ioreq_event(w->q, 0);
	slot_assert_answered(w, 0, 1);
	ioreq_done(token, 0x1234567890);
	slot_assert_answered(w, 1, 1);
	assert_int_equal(w->page[1].data, 0x34567890);
}

static void test_early(void **state)
{
	struct ioreq_test *w = *state;

	w->later = w->early = true;
	slot_post(w, 1, false, BASE, 4, 0);
	ioreq_event(w->q, 1);
	slot_assert_answered(w, 1, 1);
	assert_int_equal(w->page[1].data, 0xeeff0011);
}

static void test_strays(void **state)
{
	struct ioreq_test *w = *state;
	struct ioreq_counters c;
	unsigned n = 0;

	for (unsigned kind = 0; kind < 6; kind++) {
		slot_post(w, 3, false, BASE, 4, 0);
		if (kind == 0)
			w->page[3].size = 3;
		else if (kind == 1)
			w->page[3].size = 0x80000000;
		else if (kind == 2)
			w->page[3].count = 2;
		else if (kind == 3)
			w->page[3].bits |= IOREQ_DATA_IS_PTR;
		else if (kind == 4)
			w->page[3].type = 0;
		else
			w->page[3].type = 2;
		ioreq_event(w->q, 3);
		slot_assert_answered(w, 3, ++n);
		assert_true(w->page[3].data == UINT64_MAX);
	}
	ioreq_counters(w->q, &c);
	assert_int_equal(c.requests, n);
	assert_int_equal(c.strays, n);
	assert_int_equal(w->accesses, 0);
}

static void test_invalidate(void **state)
{
	struct ioreq_test *w = *state;
	struct ioreq_counters c;

	for (unsigned i = 0; i < 4; i++) {
		w->invalidations = i;
		w->early = i == 2;
		w->notifies[0] = 0;
		slot_post(w, 0, true, 0, 4, UINT64_MAX);
		w->page[0].type = IOREQ_INVALIDATE;
		ioreq_event(w->q, 0);
		for (unsigned k = w->early ? 1 : 0; k < i; k++) {
			slot_assert_waits(w, 0, IOREQ_INPROCESS);
			ioreq_done(w->token, 0);
		}
		slot_assert_answered(w, 0, 1);
	}
	ioreq_counters(w->q, &c);
	assert_int_equal(c.invalidates, 4);
	assert_int_equal(c.requests, 0);
}

static void *answer_main(void *token)
{
	ioreq_done(token, 0);
	return NULL;
}

/* Devices have a thread each. */
static void test_invalidate_threads(void **state)
{
	struct ioreq_test *w = *state;
	pthread_t thread[VCPUS];

	w->invalidations = VCPUS;
	slot_post(w, 0, true, 0, 4, UINT64_MAX);
	w->page[0].type = IOREQ_INVALIDATE;
	ioreq_event(w->q, 0);
	for (unsigned i = 0; i < VCPUS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, answer_main, w->token), 0);
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(thread[i], NULL);
	slot_assert_answered(w, 0, 1);
}

/* QueueNotify that the kernel has is left to it; if it does not come, it is taken. */
/* The kernel looks at every write for a moment. */
/* Every state that one who was killed can leave (ioreq.c). */
/* The journal is from the request before this one, which the kernel has for a moment. */

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(ioreq, test_read),
		TEST_WITH(ioreq, test_write),
		TEST_WITH(ioreq, test_later),
		TEST_WITH(ioreq, test_early),
		TEST_WITH(ioreq, test_strays),
		TEST_WITH(ioreq, test_invalidate),
		TEST_WITH(ioreq, test_invalidate_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

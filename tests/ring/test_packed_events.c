/* SPDX-License-Identifier: Apache-2.0 */
/* The packed format: kicks and calls, by event index and without. */
#include "fake.h"

#define DISABLE VRING_PACKED_EVENT_FLAG_DISABLE
#define DESC VRING_PACKED_EVENT_FLAG_DESC

/* Kicks: asked for when idle, at the position; taken back before the driver meets it again. */
static void test_kicks(void **state)
{
	struct fake f;

	fake_start(&f, false, 8, EVENT_IDX);
	assert_int_equal(fake_serve(&f), 0);
	assert_int_equal(f.device->flags, DESC);
	assert_int_equal(f.device->off_wrap, 0x8000);
	assert_true(fake_publish(&f, 0, 2));
	vq_burst_begin(f.q);
	vq_push(vq_pop(f.q));
	vq_burst_end(f.q);
	/* Still that one, which has passed. */
	assert_int_equal(f.device->off_wrap, 0x8000);
	assert_false(fake_publish(&f, 2, 6));
	/* Busy all the time, for three turns. */
	for (unsigned i = 0; i < 3 * 8; i++) {
		vq_burst_begin(f.q);
		for (unsigned n = 0; n < 2; n++)
			vq_push(vq_pop(f.q));
		vq_burst_end(f.q);
		assert_int_equal(fake_reap_all(&f), i ? 2 : 3);
		assert_false(fake_publish(&f, 8 + 2 * i, i ? 2 : 3));
	}
	assert_int_equal(f.device->flags, DISABLE);
	assert_int_equal(fake_serve(&f), 8);
	assert_int_equal(f.device->flags, DESC);
	assert_int_equal(f.device->off_wrap, f.at);
	assert_true(fake_publish(&f, 0, 1));
	fake_close(&f);
}

static void test_kicks_without_event_idx(void **state)
{
	struct fake f;

	fake_start(&f, false, 8, 0);
	f.device->flags = DISABLE; /* a previous owner died busy */
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(fake_serve(&f), 0);
		assert_int_equal(f.device->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
		assert_true(fake_publish(&f, i, 2));
		vq_burst_begin(f.q);
		vq_push(vq_pop(f.q));
		assert_int_equal(f.device->flags, DISABLE);
		assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
		assert_false(fake_publish(&f, i + 2, 1));
		assert_int_equal(fake_serve(&f), 2);
		assert_int_equal(fake_reap_all(&f), 3);
	}
	fake_close(&f);
}

static void set_event(struct fake *f, int event)
{
	f->driver->off_wrap = fake_packed_move(f, f->used_at, event);
}

/* Asks for a call in the middle of a list; with flags that are none, too. */
static void expect_calls_in_list(struct fake *f)
{
	const struct fake_buf buf[3] = { { DATA_ADDR, 1 }, { DATA_ADDR, 1 }, { DATA_ADDR, 1 } };

	for (unsigned i = 0; i < 3; i++) {
		set_event(f, 2);
		f->driver->flags = i == 2 ? 3 : i == 1 ? DISABLE : DESC;
		fake_list(f, 9, buf, 3);
		f->calls = 0;
		assert_int_equal(fake_serve(f), 1);
		assert_int_equal(f->calls, i != 1);
		assert_int_equal(fake_reap_all(f), 1);
	}
}

/* A call is due when the descriptor at the position wished for is among those just used. */
static void test_calls(void **state)
{
	for (unsigned start = 0; start < 2 * 7; start++) {
		struct fake f;

		fake_open(&f, false);
		fake_layout(&f, 7, EVENT_IDX);
		f.at = f.used_at = f.setup.base = fake_base(&f, start) & 0xffff;
		f.setup.base *= 0x10001u;
		for (unsigned i = 0; i < 7; i++)
			f.list[i].flags = (i < start % 7) == (start < 7) ? 0x8080 : 0;
		fake_vq_start(&f);
		/* The first one after a start calls, whatever is wished for. */
		f.driver->flags = DESC;
		set_event(&f, -2);
		fake_request(&f, 0);
		assert_int_equal(fake_serve(&f), 1);
		assert_int_equal(f.calls, 1);
		assert_int_equal(fake_reap_all(&f), 1);
		fake_expect_event_calls(&f, set_event);
		expect_calls_in_list(&f);
		/* Of a vring much larger than it is. */
		f.driver->flags = DESC;
		f.driver->off_wrap = 0x7fff;
		fake_request(&f, 0);
		assert_int_equal(fake_serve(&f), 1);
		fake_close(&f);
	}
}

static void test_calls_without_event_idx(void **state)
{
	struct fake f;

	fake_start(&f, false, 8, 0);
	for (unsigned i = 0; i < 4; i++) {
		f.driver->flags = i;
		f.calls = 0;
		fake_request(&f, 0);
		assert_int_equal(fake_serve(&f), 1);
		assert_int_equal(f.calls, i != DISABLE);
	}
	fake_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kicks),
		cmocka_unit_test(test_kicks_without_event_idx),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_calls_without_event_idx),
	};

	fake_format = PACKED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

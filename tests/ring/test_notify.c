/* SPDX-License-Identifier: Apache-2.0 */
/* When the driver kicks and is called, with EVENT_IDX and without; when it sees what is done. */
#include "fake.h"

#include "base/util.h"
#include "ring/vq_impl.h"

static unsigned serve_n(struct fake *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct vq_chain *c = vq_pop(f->q);

		if (!c)
			return i;
		vq_push(c);
	}
	return n;
}

/* avail_event stands still while the device is busy, and is set when it has found nothing. */
static void test_avail_event(void **state)
{
	struct fake f;

	fake_start(&f, false, 256, EVENT_IDX);
	*fake_avail_event(&f) = 0x5555;
	fake_request(&f, 0);
	vq_burst_begin(f.q);
	assert_int_equal(serve_n(&f, 1), 1);
	assert_int_equal(*fake_avail_event(&f), 0x5555);
	/* The device left it at that: no kick is asked for. */
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	assert_int_equal(*fake_avail_event(&f), 0x5555);
	vq_burst_begin(f.q);
	assert_null(vq_pop(f.q));
	assert_int_equal(*fake_avail_event(&f), 0x5555);
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	assert_int_equal(*fake_avail_event(&f), 1);

	/* New ones between the last look and going idle are seen. */
	for (unsigned i = 0; i < 3; i++)
		fake_request(&f, i);
	vq_burst_begin(f.q);
	assert_int_equal(serve_n(&f, 4), 3);
	fake_request(&f, 3);
	assert_int_equal(vq_burst_end(f.q), VQ_MORE);
	assert_int_equal(*fake_avail_event(&f), 4);
	/* Only once, if the device does not want them. */
	vq_burst_begin(f.q);
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	assert_int_equal(fake_serve(&f), 1);
	assert_int_equal(*fake_avail_event(&f), 5);
	fake_close(&f);
}

/* A paused burst publishes and calls and asks for no kick; the owner looks by itself. */
static void test_pause(void **state)
{
	struct fake f;

	fake_start(&f, false, 256, EVENT_IDX);
	*fake_avail_event(&f) = 0x5555;
	fake_request(&f, 0);
	vq_burst_begin(f.q);
	assert_int_equal(serve_n(&f, 1), 1);
	assert_int_equal(vq_burst_pause(f.q), VQ_IDLE);
	assert_int_equal(f.used->idx, 1);
	assert_int_equal(f.calls, 1);
	/* The device did not look whether there are more: it will, of its own accord. */
	fake_request(&f, 1);
	assert_false(vq_has_more(f.q));
	vq_burst_begin(f.q);
	assert_int_equal(serve_n(&f, 2), 1);
	assert_int_equal(vq_burst_pause(f.q), VQ_IDLE);
	assert_false(vq_has_more(f.q));
	assert_int_equal(*fake_avail_event(&f), 0x5555);
	fake_request(&f, 2);
	assert_true(vq_has_more(f.q));
	assert_int_equal(vq_burst_end(f.q), VQ_MORE);
	assert_int_equal(*fake_avail_event(&f), 2);
	vq_burst_begin(f.q);
	assert_int_equal(serve_n(&f, 2), 1);
	assert_int_equal(vq_burst_pause(f.q), VQ_IDLE);
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	assert_int_equal(*fake_avail_event(&f), 3);
	/* What the device leaves is no reason to go on. */
	fake_request(&f, 0);
	assert_true(vq_has_more(f.q));
	vq_burst_begin(f.q);
	vq_announce(f.q);
	assert_int_equal(vq_burst_pause(f.q), VQ_IDLE);
	assert_false(vq_has_more(f.q));
	assert_int_equal(fake_serve(&f), 1);
	/* A burst that is cut short is to go on. */
	for (unsigned i = 0; i < VQ_BURST; i++)
		fake_request(&f, i);
	vq_burst_begin(f.q);
	assert_int_equal(serve_n(&f, VQ_BURST + 1), VQ_BURST);
	assert_int_equal(vq_burst_pause(f.q), VQ_MORE);
	vq_drain(f.q);
	fake_request(&f, 0);
	assert_int_equal(vq_burst_pause(f.q), VQ_IDLE);
	assert_false(vq_has_more(f.q));
	fake_close(&f);
}

static void test_flags(void **state)
{
	struct fake f;

	fake_start(&f, false, 256, 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(f.used->flags, 0);
		fake_request(&f, 0);
		vq_burst_begin(f.q);
		assert_int_equal(serve_n(&f, 2), 1);
		assert_int_equal(f.used->flags, VRING_USED_F_NO_NOTIFY);
		assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	}
	assert_int_equal(f.used->flags, 0);
	assert_int_equal(f.calls, 2);

	f.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	fake_request(&f, 0);
	assert_int_equal(fake_serve(&f), 1);
	assert_int_equal(f.calls, 2);
	f.avail->flags = 0;
	fake_request(&f, 0);
	assert_int_equal(fake_serve(&f), 1);
	assert_int_equal(f.calls, 3);

	/* A previous owner died busy: asked for again, though nothing is there. */
	fake_vq_stop(&f);
	f.used->flags = VRING_USED_F_NO_NOTIFY;
	f.setup.base = shm_load16(&f.avail->idx);
	fake_vq_start(&f);
	assert_int_equal(fake_serve(&f), 0);
	assert_int_equal(f.used->flags, 0);
	fake_close(&f);
}

static void set_event(struct fake *f, int event)
{
	*fake_used_event(f) = shm_load16(&f->used->idx) + event;
}

/* A call is due when the entry that used_event names is among those just published. */
static void test_used_event(void **state)
{
	static const int far[] = { 32767, -32768 };
	static const uint16_t bases[] = { 0, 100, 65530, 65535, 32767 };

	for (unsigned b = 0; b < G_N_ELEMENTS(bases); b++) {
		struct fake f;

		fake_open(&f, false);
		fake_layout(&f, 16, EVENT_IDX);
		f.setup.base = bases[b];
		f.avail->idx = f.used->idx = f.seen = bases[b];
		fake_vq_start(&f);
		/* The first one after a start calls, whatever used_event is. */
		*fake_used_event(&f) = bases[b] + 1000;
		fake_request(&f, 0);
		assert_int_equal(fake_serve(&f), 1);
		assert_int_equal(f.calls, 1);
		assert_int_equal(fake_reap_all(&f), 1);
		fake_expect_event_calls(&f, set_event);
		for (unsigned i = 0; i < G_N_ELEMENTS(far); i++) {
			set_event(&f, far[i]);
			fake_request(&f, 0);
			f.calls = 0;
			assert_int_equal(fake_serve(&f), 1);
			assert_int_equal(f.calls, 0);
		}
		fake_close(&f);
	}
}

/* Both sides sleep by the event indices for more than one turn of 65536: nothing is lost. */
static void test_long_run(void **state)
{
	enum { TOTAL = 150000, RING = 64 };
	g_autoptr(GRand) rand = g_rand_new_with_seed(7);
	unsigned added = 0, served = 0, reaped = 0, kicks = 0, calls = 0;
	bool kicked = true, called = true;
	struct fake f;

	fake_start(&f, false, RING, EVENT_IDX);
	while (reaped < TOTAL) {
		if (called) {
			unsigned n;

			called = false;
			reaped += fake_reap_all(&f);
			assert_false(fake_arm(&f));
			n = g_rand_int_range(rand, 1, RING - (added - reaped) + 1);
			n = MIN(n, TOTAL - added);
			if (n && fake_publish(&f, added, n))
				kicked = true;
			added += n;
			kicks += kicked;
		}
		if (kicked) {
			kicked = false;
			f.calls = 0;
			served += fake_serve(&f);
			called = f.calls > 0;
			calls += f.calls;
		}
		if (!kicked && !called)
			break;
	}
	assert_int_equal(served, TOTAL);
	assert_int_equal(reaped + fake_reap_all(&f), TOTAL);
	/* One call a wake-up, for a whole burst. */
	assert_int_equal(calls, kicks);
	fake_close(&f);
}

static void test_long_run_packed(void **state)
{
	fake_format = PACKED;
	test_long_run(state);
	fake_format = 0;
}

/* Inside a burst, one that was pushed is seen when the device says so, and not before. */
static void test_publish(void **state)
{
	struct vq_chain *c[2];
	uint32_t id, len;
	struct fake f;

	fake_start(&f, true, 256, 0);
	fake_request(&f, 0);
	fake_request(&f, 1);
	vq_burst_begin(f.q);
	c[0] = vq_pop(f.q);
	c[1] = vq_pop(f.q);
	iov_push(&c[0]->in, "x", 1);
	vq_push(c[0]);
	assert_false(fake_reap(&f, &id, &len));
	vq_publish(f.q);
	assert_true(fake_reap(&f, &id, &len));
	assert_int_equal(id, 0);
	assert_int_equal(len, 1);
	assert_int_equal(f.calls, 1);
	vq_publish(f.q);
	assert_int_equal(f.calls, 1);
	vq_push(c[1]);
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	assert_true(fake_reap(&f, &id, &len));
	assert_int_equal(id, 1);
	fake_vq_stop(&f);
	fake_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_avail_event),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_used_event),
		cmocka_unit_test(test_long_run),
		cmocka_unit_test(test_long_run_packed),
		cmocka_unit_test(test_publish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

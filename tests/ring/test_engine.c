/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: batches, completion in any order or in order, unpop, drain, budget. */
#include "fake.h"

#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "ring/vq_impl.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define IND VRING_DESC_F_INDIRECT
#define TABLE (DATA_ADDR + 0x100000)

/* Pops n, which must be there. */
static void pop(struct fake *f, struct vq_chain **c, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		c[i] = vq_pop(f->q);
		assert_non_null(c[i]);
	}
}

static void expect_used(struct fake *f, uint32_t id, uint32_t len)
{
	uint32_t got_id, got_len;

	assert_true(fake_reap(f, &got_id, &got_len));
	assert_int_equal(got_id, id);
	assert_int_equal(got_len, len);
}

/* One call to the memory type for a batch, each way; its tables make one more each. */
static void test_one_borrow_a_batch(void **state)
{
	const struct fake_buf table = { TABLE, 6 * 16, IND };
	struct vq_chain *c[VQ_BATCH + 1];
	struct fake f;

	for (unsigned tables = 0; tables < 2; tables++) {
		fake_start(&f, true, 256, INDIRECT);
		/* Some have six buffers, which is more than a request has room for at first. */
		for (unsigned i = 0; tables && i < 6; i++)
			fake_table(&f, TABLE, i, DATA_ADDR, 16, WRITE | (i < 5 ? NEXT : 0), i + 1);
		for (unsigned i = 0; i < VQ_BATCH + 1; i++) {
			if (tables && i % 2)
				fake_list(&f, i, &table, 1);
			else
				fake_request(&f, i);
		}
		vq_burst_begin(f.q);
		pop(&f, c, VQ_BATCH);
		assert_int_equal(f.borrows, tables + 1);
		assert_int_equal(f.give_backs, tables);
		pop(&f, c + VQ_BATCH, 1);
		assert_int_equal(f.borrows, tables + 2);
		for (unsigned i = 0; i < VQ_PUBLISH_MAPPED; i++)
			vq_push(c[i]);
		assert_int_equal(f.give_backs, tables + 1);
		assert_int_equal(fake_reap_all(&f), VQ_PUBLISH_MAPPED);
		for (unsigned i = VQ_PUBLISH_MAPPED; i < VQ_PUBLISH_MAPPED + 3; i++)
			vq_push(c[i]);
		assert_int_equal(fake_reap_all(&f), 0);
		vq_burst_end(f.q);
		assert_int_equal(f.give_backs, tables + 2);
		assert_int_equal(fake_reap_all(&f), 3);
		assert_int_equal(f.calls, 2);
		assert_int_equal(vq_stats(f.q)->publications, 2);
		assert_int_equal(vq_stats(f.q)->published, VQ_PUBLISH_MAPPED + 3);
		assert_int_equal(vq_stats(f.q)->popped, VQ_BATCH + 1);
		assert_int_equal(vq_stats(f.q)->calls, 2);
		for (unsigned i = VQ_PUBLISH_MAPPED + 3; i < VQ_BATCH + 1; i++)
			vq_push(c[i]);
		fake_close(&f);
	}
}

/* Much work for one request is published at once. */
static void test_large_request(void **state)
{
	const struct fake_buf buf[] = { { DATA_ADDR, VQ_PUBLISH_BYTES / 2 },
		{ DATA_ADDR, VQ_PUBLISH_BYTES / 2, WRITE } };
	struct fake f;

	fake_start(&f, false, 8, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct vq_chain *c;

		fake_list(&f, 0, buf, 2);
		c = vq_pop(f.q);
		iov_skip(&c->out, VQ_PUBLISH_BYTES / 2);
		iov_push_zeroes(&c->in, VQ_PUBLISH_BYTES / 2 - !i);
		vq_push(c);
		assert_int_equal(fake_reap_all(&f), i);
		vq_publish(f.q);
		assert_int_equal(fake_reap_all(&f), !i);
	}
	fake_close(&f);
}

/* The used length is what went through `in`; what must reach the guest may be more. */
static void test_written(void **state)
{
	struct iov_cursor status;
	struct vq_chain *c;
	struct fake f;

	fake_start(&f, true, 8, 0);
	for (unsigned i = 0; i < 3; i++)
		fake_request(&f, i);
	c = vq_pop(f.q);
	iov_push(&c->in, "abc", 3);
	vq_push(c);
	vq_publish(f.q);
	assert_int_equal(f.written, 3);
	expect_used(&f, 0, 3);

	/* A status byte at the end, after a short answer. */
	c = vq_pop(f.q);
	assert_true(iov_split_tail(&c->in, 1, &status));
	iov_push(&c->in, "abc", 3);
	iov_push(&status, "s", 1);
	iov_join_tail(&c->in, &status);
	vq_push(c);
	vq_publish(f.q);
	assert_int_equal(f.written, 16);
	expect_used(&f, 1, 3);

	/* And after a whole one. */
	c = vq_pop(f.q);
	assert_true(iov_split_tail(&c->in, 1, &status));
	iov_push_zeroes(&c->in, 15);
	iov_push(&status, "s", 1);
	iov_join_tail(&c->in, &status);
	vq_push(c);
	vq_publish(f.q);
	assert_int_equal(f.written, 16);
	expect_used(&f, 2, 16);
	fake_close(&f);
}

static void test_out_of_order(void **state)
{
	static const unsigned order[] = { 3, 0, 4, 2, 1 };
	struct vq_chain *c[5];
	struct fake f;

	fake_start(&f, true, 8, 0);
	for (unsigned i = 0; i < 5; i++)
		fake_request(&f, i);
	pop(&f, c, 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(vq_in_flight(f.q), 5 - i);
		vq_push(c[order[i]]);
	}
	vq_publish(f.q);
	for (unsigned i = 0; i < 5; i++)
		expect_used(&f, order[i], 0);
	fake_close(&f);
}

/* VIRTIO_F_IN_ORDER: used entries follow the available ring, and wait for it. */
static void test_in_order(void **state)
{
	struct vq_chain *c[20];
	struct fake f;

	fake_start(&f, true, 32, IN_ORDER);
	for (unsigned i = 0; i < 20; i++)
		fake_request(&f, 31 - i);
	vq_burst_begin(f.q);
	pop(&f, c, 20);
	for (unsigned i = 19; i > 1; i--)
		vq_push(c[i]);
	vq_publish(f.q);
	assert_int_equal(vq_in_flight(f.q), 2);
	assert_int_equal(fake_reap_all(&f), 0);
	vq_push(c[0]);
	vq_publish(f.q);
	expect_used(&f, 31, 0);
	assert_int_equal(fake_reap_all(&f), 0);
	vq_push(c[1]);
	vq_burst_end(f.q);
	for (unsigned i = 1; i < 20; i++)
		expect_used(&f, 31 - i, 0);
	assert_int_equal(fake_mappings_out(&f), 0);

	/* Broken while some wait: they are given back at the latest by the stop. */
	for (unsigned i = 0; i < 3; i++)
		fake_request(&f, i);
	pop(&f, c, 3);
	vq_push(c[1]);
	vq_break(f.q, "test");
	vq_push(c[2]);
	vq_push(c[0]);
	fake_vq_stop(&f);
	assert_int_equal(fake_reap_all(&f), 0);
	fake_close(&f);
}

static void test_unpop(void **state)
{
	struct vq_chain *c[4];
	char byte;
	struct fake f;

	fake_start(&f, true, 8, IN_ORDER);
	for (unsigned i = 0; i < 4; i++) {
		const struct fake_buf b = { DATA_ADDR + i, 1 };

		*(char *)fake_host(&f, DATA_ADDR + i) = 'a' + i;
		fake_list(&f, i, &b, 1);
	}
	vq_burst_begin(f.q);
	pop(&f, c, 2);
	iov_pull(&c[1]->out, &byte, 1);
	assert_int_equal(byte, 'b');
	vq_unpop(c[1]);
	vq_unpop(c[0]);
	assert_int_equal(vq_in_flight(f.q), 0);
	assert_int_equal(vq_stats(f.q)->popped, 0);
	/* It does not ask to be called again for what it left. */
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	fake_request(&f, 7);
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);

	/* From the beginning again, in the same order. */
	pop(&f, c, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(iov_done(&c[i]->out), 0);
		iov_pull(&c[i]->out, &byte, 1);
		assert_int_equal(byte, 'a' + i);
	}
	assert_int_equal(f.borrows, 1);

	/* With the queue draining it goes back to the vring. */
	vq_drain(f.q);
	vq_unpop(c[3]);
	for (unsigned i = 0; i < 3; i++)
		vq_push(c[i]);
	assert_int_equal(fake_vq_stop(&f), fake_base(&f, 3));
	assert_int_equal(fake_reap_all(&f), 3);
	fake_close(&f);
}

/* What is fetched and not popped goes back; what is in flight is still published; then on. */
static void test_drain_and_resume(void **state)
{
	struct vq_chain *c[5];
	struct fake f;

	fake_start(&f, true, 256, 0);
	for (unsigned i = 0; i < 100; i++)
		fake_request(&f, i);
	vq_burst_begin(f.q);
	pop(&f, c, 5);
	vq_push(c[3]);
	vq_drain(f.q);
	assert_null(vq_pop(f.q));
	assert_int_equal(fake_mappings_out(&f), 5);
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	assert_int_equal(vq_in_flight(f.q), 4);
	assert_int_equal(fake_mappings_out(&f), 4);
	vq_push(c[0]);
	vq_push(c[1]);
	vq_push(c[2]);
	vq_push(c[4]);
	f.setup.base = fake_vq_stop(&f);
	assert_int_equal(f.setup.base, fake_base(&f, 5));
	assert_int_equal(fake_reap_all(&f), 5);
	assert_null(vq_pop(f.q));

	fake_vq_start(&f);
	assert_false(vq_is_fresh(f.q));
	assert_int_equal(fake_serve(&f), 95);
	for (unsigned i = 5; i < 100; i++)
		expect_used(&f, i, 1);
	fake_close(&f);
}

static void test_budget(void **state)
{
	unsigned n = 0;
	struct fake f;

	fake_start(&f, false, 512, EVENT_IDX);
	for (unsigned i = 0; i < VQ_BURST + 10; i++)
		fake_request(&f, i);
	vq_burst_begin(f.q);
	for (struct vq_chain *c; (c = vq_pop(f.q)); n++)
		vq_push(c);
	assert_int_equal(n, VQ_BURST);
	assert_int_equal(vq_burst_end(f.q), VQ_MORE);
	assert_int_equal(fake_serve(&f), 10);

	/* Exactly at the end of the budget, and no more asked for. */
	for (unsigned i = 0; i < VQ_BURST; i++)
		fake_request(&f, i);
	vq_burst_begin(f.q);
	for (unsigned i = 0; i < VQ_BURST; i++)
		vq_push(vq_pop(f.q));
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	fake_close(&f);
}

/* Takes a millisecond, as a slow request does. */
static void work(void)
{
	gint64 end = g_get_monotonic_time() + 1000;

	while (g_get_monotonic_time() < end)
		;
}

/* Requests of few bytes or of many, each of which takes a millisecond. */
static void test_burst_ends_by_time(void **state)
{
	for (unsigned len = 16; len <= VQ_PUBLISH_BYTES; len *= VQ_PUBLISH_BYTES / 16) {
		const struct fake_buf b = { DATA_ADDR, len, WRITE };
		struct vq_chain *c;
		unsigned n = 0;
		struct fake f;

		fake_start(&f, false, VQ_BURST, EVENT_IDX);
		f.q->burst_us = 5000;
		for (unsigned i = 0; i < VQ_BURST - 1; i++)
			fake_list(&f, i, &b, 1);
		vq_burst_begin(f.q);
		for (; (c = vq_pop(f.q)); n++) {
			work();
			vq_push(c);
		}
		assert_in_range(n, 1, 3 * VQ_PUBLISH_REQS);
		assert_int_equal(vq_burst_end(f.q), VQ_MORE);
		f.q->burst_us = INT64_MAX;
		assert_int_equal(fake_serve(&f), VQ_BURST - 1 - n);
		fake_close(&f);
	}
}

static void test_batch(void **state)
{
	struct fake f;

	fake_open(&f, false);
	fake_layout(&f, 64, 0);
	f.setup.batch = 20;
	fake_vq_start(&f);
	vq_burst_begin(f.q);
	for (unsigned i = 0; i < 39; vq_push(vq_pop(f.q)))
		fake_request(&f, i++);
	assert_int_equal(fake_reap_all(&f), 20);
	fake_close(&f);
}

static void test_accessors(void **state)
{
	int data;
	struct fake f;

	fake_open(&f, false);
	assert_null(vq_pop(f.q));
	assert_null(vq_data(f.q));
	vq_push(NULL);
	fake_layout(&f, 8, INDIRECT);
	fake_vq_start(&f);
	assert_int_equal(vq_index(f.q), 3);
	assert_string_equal(vq_name(f.q), "queue 3");
	assert_true(vq_features(f.q) == (INDIRECT | fake_format));
	vq_set_data(f.q, &data);
	fake_vq_stop(&f);
	assert_ptr_equal(vq_data(f.q), &data);
	fake_close(&f);
}

static void drop_line(enum log_level level, const char *line, void *opaque)
{
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_borrow_a_batch),
		cmocka_unit_test(test_large_request),
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_unpop),
		cmocka_unit_test(test_drain_and_resume),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_burst_ends_by_time),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_accessors),
	};

	log_set_sink(drop_line, NULL);
	return fake_run_both(tests);
}

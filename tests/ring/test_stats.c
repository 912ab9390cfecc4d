/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine counts, and what it shows of requests in flight. */
#include "fake.h"

#include "base/clock.h"
#include "ring/vq_impl.h"

#define SIZE 16
#define OUT 16
#define IN 4

static const struct vq_type types[] = { { "a", 0 }, { "b", 10 }, { "c", 1000 }, { NULL } };

/* Makes n requests of OUT and IN bytes available, with ids from 0 on. */
static void offer(struct fake *f, unsigned n)
{
	const struct fake_buf buf[] = { { DATA_ADDR, OUT },
		{ DATA_ADDR + OUT, IN, VRING_DESC_F_WRITE } };

	for (unsigned i = 0; i < n; i++)
		fake_list(f, 2 * i, buf, 2);
}

static struct vq_chain *take(struct fake *f)
{
	struct vq_chain *c = vq_pop(f->q);

	assert_non_null(c);
	return c;
}

static void finish(struct vq_chain *c)
{
	iov_skip(&c->out, OUT);
	iov_push_zeroes(&c->in, IN);
	vq_push(c);
}

static const struct vq_type_stats *type(const struct fake *f, unsigned i)
{
	return &vq_stats(f->q)->type[i];
}

static void expect_counts(
	const struct vq_type_stats *s, uint64_t requests, uint64_t bytes, uint64_t errors)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < VQ_LATENCIES; i++)
		sum += s->latency[i];
	assert_int_equal(s->requests, requests);
	assert_int_equal(s->bytes, bytes);
	assert_int_equal(s->errors, errors);
	assert_int_equal(sum, requests);
}

static void test_counts(void **state)
{
	struct vq_chain *c[5];
	struct fake f;

	fake_start(&f, false, SIZE, 0);
	vq_set_types(f.q, types);
	offer(&f, 5);
	vq_burst_begin(f.q);
	for (unsigned i = 0; i < 5; i++)
		c[i] = take(&f);
	vq_set_type(c[1], 1);
	vq_set_type(c[2], 2);
	vq_set_type(c[3], 1);
	vq_set_failed(c[3]);
	for (unsigned i = 0; i < 4; i++)
		finish(c[i]);
	/* What the driver cannot see yet is not counted. */
	expect_counts(type(&f, 0), 0, 0, 0);
	vq_publish(f.q);
	expect_counts(type(&f, 0), 1, OUT + IN, 0);
	expect_counts(type(&f, 1), 2, OUT + IN - 10, 1);
	expect_counts(type(&f, 2), 1, 0, 0);
	/* A queue that has broken publishes nothing. */
	vq_break(f.q, "enough");
	finish(c[4]);
	vq_publish(f.q);
	expect_counts(type(&f, 0), 1, OUT + IN, 0);
	fake_close(&f);
}

/* The type of an earlier request is not that of one that takes its place. */
static void test_types_end(void **state)
{
	struct vq_chain *c;
	struct fake f;

	fake_start(&f, false, SIZE, 0);
	for (unsigned i = 0; i < 2; i++) {
		offer(&f, 1);
		vq_burst_begin(f.q);
		c = take(&f);
		if (!i) {
			vq_set_type(c, 7);
			vq_set_failed(c);
		}
		finish(c);
		vq_burst_end(f.q);
	}
	expect_counts(type(&f, 7), 1, 0, 1);
	expect_counts(type(&f, 0), 1, OUT + IN, 0);
	fake_close(&f);
}

/* Returns how many requests of a type took so long that the counter is this one, or a later one. */
static uint64_t at_least(const struct vq_type_stats *s, unsigned from)
{
	uint64_t n = 0;

	for (unsigned i = from; i < VQ_LATENCIES; i++)
		n += s->latency[i];
	return n;
}

static void test_latency(void **state)
{
	const uint64_t ns = UINT64_C(1) << (VQ_LATENCY_SHIFT + 8);
	uint64_t start, took;
	struct vq_chain *c;
	struct fake f;

	fake_start(&f, false, SIZE, 0);
	offer(&f, 1);
	vq_burst_begin(f.q);
	start = clock_now_ns();
	c = take(&f);
	while (clock_now_ns() - start < 2 * ns)
		;
	finish(c);
	vq_burst_end(f.q);
	took = clock_now_ns() - start;
	/* Not shorter than the loop, but for the moment before it. */
	assert_int_equal(at_least(type(&f, 0), 9), 1);
	assert_in_range(type(&f, 0)->latency_ns, ns, took);
	/* A time that no clock shows is the last counter's. */
	offer(&f, 1);
	vq_burst_begin(f.q);
	c = take(&f);
	container_of(c, struct vq_req, chain)->since = 0;
	f.q->now = 0;
	finish(c);
	vq_burst_end(f.q);
	assert_int_equal(at_least(type(&f, 0), 9), 2);
	fake_close(&f);
}

static void expect_oldest(struct fake *f, const unsigned *ids, unsigned n, unsigned max)
{
	struct vq_flight flight[SIZE];

	assert_int_equal(vq_oldest(f->q, flight, max), n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(flight[i].id, ids[i]);
		assert_true(flight[i].since <= clock_now_ns());
		assert_true(!i || flight[i].since >= flight[i - 1].since);
	}
}

static void test_in_flight(void **state)
{
	struct vq_chain *c[4];
	struct vq_flight one;
	struct fake f;

	fake_start(&f, false, SIZE, 0);
	expect_oldest(&f, NULL, 0, SIZE);
	offer(&f, 4);
	for (unsigned i = 0; i < 4; i++) {
		/* A burst each: the times differ. */
		vq_burst_begin(f.q);
		f.q->now = (i + 1) * 100;
		f.q->clocked = true;
		c[i] = take(&f);
	}
	expect_oldest(&f, (unsigned[]){ 0, 2, 4, 6 }, 4, SIZE);
	expect_oldest(&f, (unsigned[]){ 0, 2 }, 2, 2);
	vq_unpop(c[3]);
	expect_oldest(&f, (unsigned[]){ 0, 2, 4 }, 3, SIZE);
	vq_set_type(c[1], 5);
	finish(c[0]);
	vq_publish(f.q);
	assert_int_equal(vq_oldest(f.q, &one, 1), 1);
	assert_int_equal(one.id, 2);
	assert_int_equal(one.type, 5);
	assert_int_equal(one.since, 200);
	vq_drain(f.q);
	vq_keep(c[1]);
	expect_oldest(&f, (unsigned[]){ 4 }, 1, SIZE);
	finish(c[2]);
	fake_vq_stop(&f);
	expect_oldest(&f, NULL, 0, SIZE);
	fake_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_types_end),
		cmocka_unit_test(test_latency),
		cmocka_unit_test(test_in_flight),
	};

	return fake_run_both(tests);
}

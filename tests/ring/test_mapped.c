/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is mapped or copied for each request: what is out is bounded, and may get lost. */
#include "fake.h"

#include "base/log.h"
#include "memory/guest_mem.h"
#include "ring/vq_impl.h"

#define RING 16
#define WRITE VRING_DESC_F_WRITE

/* Makes a request of the most that may be mapped, four of which take all. */
static void big_request(struct fake *f, uint16_t i)
{
	const struct fake_buf b = { BORDER_ADDR, REGION_BYTES, WRITE };

	assert_int_equal(4 * REGION_BYTES, GUEST_MEM_MAPPED_MAX * 4096);
	fake_list(f, i, &b, 1);
}

/* What is too much waits, without a kick and without spinning, until something is given back. */
static void test_wait(void **state)
{
	struct vq_chain *c[RING];
	struct fake f;
	unsigned n;

	fake_start(&f, true, RING, 0);
	for (unsigned i = 0; i < 10; i++)
		big_request(&f, i);
	vq_burst_begin(f.q);
	for (n = 0; (c[n] = vq_pop(f.q)); n++)
		;
	assert_int_equal(n, 4);
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	vq_burst_begin(f.q);
	assert_null(vq_pop(f.q));
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);

	vq_push(c[1]);
	assert_int_equal(vq_burst_end(f.q), VQ_MORE);
	vq_burst_begin(f.q);
	c[1] = vq_pop(f.q);
	assert_non_null(c[1]);
	assert_null(vq_pop(f.q));
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	for (unsigned i = 0; i < 4; i++)
		vq_push(c[i]);
	assert_int_equal(vq_burst_end(f.q), VQ_MORE);
	/* A device that completes at once gets them all. */
	assert_int_equal(fake_serve(&f), 5);
	assert_int_equal(fake_reap_all(&f), 10);
	assert_int_equal(f.breaks, 0);
	fake_close(&f);
}

/* One that alone is too much. */
static void test_never(void **state)
{
	struct fake_buf buf[6];
	struct fake f;

	fake_start(&f, true, RING, 0);
	for (unsigned i = 0; i < 6; i++)
		buf[i] = (struct fake_buf){ BORDER_ADDR, i < 5 ? REGION_BYTES : 1, WRITE };
	fake_list(&f, 0, buf, 6);
	assert_int_equal(fake_serve(&f), 0);
	fake_expect_broken(&f, "cannot be mapped");
	fake_close(&f);
}

/* What the device wrote does not get to the guest: the request is not completed. */
static void test_lost(void **state)
{
	struct vq_chain *c[3];
	struct fake f;

	fake_start(&f, true, RING, 0);
	for (unsigned i = 0; i < 3; i++)
		fake_request(&f, i);
	for (unsigned i = 0; i < 3; i++)
		c[i] = vq_pop(f.q);
	vq_push(c[0]);
	vq_publish(f.q);
	f.lost = true;
	vq_push(c[1]);
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	fake_expect_broken(&f, "memory cannot be written");
	f.lost = false;
	vq_push(c[2]);
	assert_int_equal(fake_reap_all(&f), 1);
	fake_close(&f);
}

/* The end of a frame does not get there: its beginning is not completed, either. */
static void test_lost_frame(void **state)
{
	struct vq_chain *c[4];
	struct fake f;

	fake_start(&f, true, RING, 0);
	for (unsigned i = 0; i < 4; i++)
		fake_request(&f, i);
	for (unsigned i = 0; i < 4; i++)
		c[i] = vq_pop(f.q);
	f.lost = true;
	f.lost_from = 3;
	vq_push(c[0]);
	vq_push_all(&c[1], 3);
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	fake_expect_broken(&f, "memory cannot be written");
	f.lost = false;
	assert_int_equal(fake_reap_all(&f), 1);
	fake_close(&f);
}

/* Giving back is what costs: it is done for more requests at a time than elsewhere. */
static void test_few_calls(void **state)
{
	const unsigned n = 2 * VQ_PUBLISH_MAPPED;
	struct fake f;

	for (unsigned map = 0; map < 2; map++) {
		fake_start(&f, map, 2 * n, 0);
		for (unsigned i = 0; i < n; i++)
			fake_request(&f, i);
		assert_int_equal(fake_serve(&f), n);
		assert_int_equal(f.borrows, map);
		assert_int_equal(f.give_backs, 2 * map);
		assert_int_equal(vq_stats(f.q)->publications, map ? 2 : n / VQ_PUBLISH_REQS);
		assert_int_equal(fake_reap_all(&f), n);
		fake_close(&f);
	}
}

static void drop_line(enum log_level level, const char *line, void *opaque)
{
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_lost_frame),
		cmocka_unit_test(test_few_calls),
	};

	log_set_sink(drop_line, NULL);
	return fake_run_both(tests);
}

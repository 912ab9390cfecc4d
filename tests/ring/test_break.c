/* SPDX-License-Identifier: Apache-2.0 */
/* How a queue breaks, whatever the reason: what is lost, what is kept, what it may cost us. */
#include "fake.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "ring/vq_impl.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define IND VRING_DESC_F_INDIRECT
#define RING 8
#define TABLE (DATA_ADDR + 0x10000)

/* The available index runs away; at once, or with requests outstanding. */
static void test_index_jump(void **state)
{
	struct fake f;

	fake_start(&f, false, RING, 0);
	shm_store16(&f.avail->idx, RING + 1);
	assert_int_equal(fake_serve(&f), 0);
	fake_expect_broken(&f, "available index jumped from 0 to 9 in a vring of 8");
	assert_int_equal(fake_vq_stop(&f), 0);

	fake_layout(&f, RING, 0);
	f.breaks = 0;
	fake_vq_start(&f);
	fake_request(&f, 0);
	assert_int_equal(fake_serve(&f), 1);
	shm_store16(&f.avail->idx, 0);
	assert_int_equal(fake_serve(&f), 0);
	fake_expect_broken(&f, "available index jumped from 1 to 0 in a vring of 8");
	fake_close(&f);
}

/* The used index is ours: it is never read back while the vring runs. */
static void test_used_index_jump(void **state)
{
	struct fake f;

	fake_start(&f, false, RING, 0);
	for (uint16_t n = 0; n < 2 * RING; n++) {
		shm_store16(&f.used->idx, n * 12345);
		fake_request(&f, n % RING);
		assert_int_equal(fake_serve(&f), 1);
		assert_int_equal(shm_load16(&f.used->idx), n + 1);
	}
	assert_int_equal(fake_vq_stop(&f), 2 * RING);
	fake_close(&f);
}

/* One descriptor in two requests: bounds what can be in flight. */
static void test_shared_descriptor(void **state)
{
	struct vq_chain *c[2];
	struct fake f;

	fake_start(&f, false, 2, 0);
	fake_request(&f, 0);
	c[0] = vq_pop(f.q);
	fake_avail(&f, 0);
	c[1] = vq_pop(f.q);
	fake_avail(&f, 0);
	assert_null(vq_pop(f.q));
	fake_expect_broken(&f, "descriptor 0: its chain loops or runs into other requests");
	vq_push(c[0]);
	vq_push(c[1]);
	fake_close(&f);
}

/*
 * A request that names the longest table takes its share of our memory. With all of them doing
 * so, fetching stops for a while, and goes on with the completions.
 */
static void test_pool_limit(void **state)
{
	enum { N = 256 };
	const struct fake_buf table = { TABLE, 16 * VQ_MAX_SIZE, IND };
	g_autoptr(GPtrArray) held = g_ptr_array_new();
	struct vq_chain *c;
	struct fake f;
	unsigned served;

	fake_start(&f, false, N, INDIRECT);
	for (unsigned i = 0; i < VQ_MAX_SIZE; i++)
		fake_table(&f, TABLE, i, DATA_ADDR, 1, WRITE | (i < VQ_MAX_SIZE - 1 ? NEXT : 0),
			i + 1);
	for (unsigned i = 0; i < N; i++)
		fake_list(&f, i, &table, 1);
	vq_burst_begin(f.q);
	while ((c = vq_pop(f.q)))
		g_ptr_array_add(held, c);
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	assert_in_range(held->len, 1, N / 2);
	served = held->len;

	vq_burst_begin(f.q);
	for (unsigned i = 0; i < held->len; i++) {
		c = held->pdata[i];
		assert_int_equal(iov_left(&c->in), VQ_MAX_SIZE);
		vq_push(c);
	}
	assert_int_equal(vq_burst_end(f.q), VQ_MORE);
	served += fake_serve(&f);
	assert_int_equal(served, N);
	assert_int_equal(fake_reap_all(&f), N);
	assert_int_equal(f.breaks, 0);
	fake_close(&f);
}

/* Every buffer of a long request lies in many regions of one byte each. */
static void test_iovec_limit(void **state)
{
	enum { SLIVERS = 200, BUFFERS = VQ_MAX_IOV / SLIVERS };
	struct fake_buf table = { TABLE, 16 * BUFFERS, IND };
	struct fake f;

	fake_start(&f, false, RING, INDIRECT);
	for (unsigned i = 0; i <= SLIVERS; i++) {
		const struct mem_region_desc sliver = {
			.guest_addr = END_ADDR + i,
			.size = 1,
			.user_addr = i,
		};

		assert_true(guest_mem_add(f.mem, &sliver, f.memfd, NULL));
	}
	for (unsigned i = 0; i < 2 * BUFFERS; i++)
		fake_table(&f, TABLE, i, END_ADDR, SLIVERS,
			WRITE | (i < 2 * BUFFERS - 1 ? NEXT : 0), i + 1);
	/* So many can be served; twice as many cannot. */
	fake_table(&f, TABLE, BUFFERS - 1, END_ADDR, SLIVERS, WRITE, 0);
	fake_list(&f, 0, &table, 1);
	assert_int_equal(fake_serve(&f), 1);
	fake_table(&f, TABLE, BUFFERS - 1, END_ADDR, SLIVERS, WRITE | NEXT, BUFFERS);
	table.len = 16 * 2 * BUFFERS;
	fake_list(&f, 0, &table, 1);
	assert_int_equal(fake_serve(&f), 0);
	assert_int_equal(f.breaks, 1);
	assert_non_null(strstr(f.reason, "cannot be mapped"));
	fake_close(&f);
}

/* The device's own reason, with requests ready, in flight and completed. */
static void test_break_by_device(void **state)
{
	struct vq_chain *c;
	struct fake f;

	fake_start(&f, true, RING, 0);
	for (unsigned i = 0; i < 4; i++)
		fake_request(&f, i);
	vq_burst_begin(f.q);
	vq_push(vq_pop(f.q));
	c = vq_pop(f.q);
	vq_break(f.q, "request header is %u bytes long", 3);
	vq_break(f.q, "another reason");
	fake_expect_broken(&f, "request header is 3 bytes long");
	assert_int_equal(vq_stats(f.q)->breaks, 1);
	assert_int_equal(fake_reap_all(&f), 1);
	assert_int_equal(fake_mappings_out(&f), 1);
	assert_null(vq_pop(f.q));
	assert_int_equal(vq_in_flight(f.q), 1);
	vq_unpop(c);
	assert_int_equal(vq_in_flight(f.q), 0);
	assert_int_equal(fake_mappings_out(&f), 0);
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	assert_int_equal(fake_reap_all(&f), 0);
	assert_int_equal(fake_vq_stop(&f), fake_base(&f, 1));
	vq_break(f.q, "not running");
	assert_int_equal(f.breaks, 1);
	fake_close(&f);
}

/* Bytes of ours that lie in a bounce buffer are not the guest's: a status byte was cut off. */
static void test_broken_request_gives_nothing(void **state)
{
	struct iov_cursor status;
	struct vq_chain *c;
	struct fake f;

	fake_start(&f, true, RING, 0);
	fake_request(&f, 0);
	vq_burst_begin(f.q);
	c = vq_pop(f.q);
	assert_true(iov_split_tail(&c->in, 1, &status));
	vq_break(f.q, "no header");
	f.written = 1;
	vq_push(c);
	vq_burst_end(f.q);
	assert_int_equal(fake_mappings_out(&f), 0);
	assert_int_equal(f.written, 0);
	fake_vq_stop(&f);
	fake_close(&f);
}

/* The file shrinks while a request is served: noticed at its publication. */
static void test_poisoned_at_publish(void **state)
{
	struct vq_chain *c;
	struct fake f;

	guest_mem_catch_sigbus(); /* cmocka takes the signal for each test */
	fake_start(&f, false, RING, EVENT_IDX);
	fake_request(&f, 0);
	fake_request(&f, 1);
	c = vq_pop(f.q);
	assert_int_equal(ftruncate(f.memfd, 0), 0);
	iov_push(&c->in, "x", 1);
	vq_push(c);
	vq_publish(f.q);
	fake_expect_broken(&f, "the front-end has truncated guest memory");
	assert_int_equal(fake_mappings_out(&f), 0);
	assert_null(vq_pop(f.q));
	assert_int_equal(f.calls, 0);
	fake_close(&f);
}

/* The same is noticed when the next one is popped, though it was fetched before. */
static void test_poisoned_at_pop(void **state)
{
	struct vq_chain *c;
	struct fake f;

	guest_mem_catch_sigbus();
	fake_start(&f, false, RING, 0);
	fake_request(&f, 0);
	fake_request(&f, 1);
	c = vq_pop(f.q);
	assert_int_equal(ftruncate(f.memfd, 0), 0);
	iov_push(&c->in, "x", 1);
	assert_null(vq_pop(f.q));
	fake_expect_broken(&f, "the front-end has truncated guest memory");
	vq_push(c);
	fake_close(&f);
}

/* The file shrinks under the vring: it then reads as zeroes, which is not the reason given. */
static void test_poisoned_ring(void **state)
{
	struct fake f;

	guest_mem_catch_sigbus();
	fake_start(&f, false, RING, 0);
	fake_request(&f, 0);
	assert_int_equal(fake_serve(&f), 1);
	assert_int_equal(ftruncate(f.memfd, 2 * REGION_BYTES), 0);
	assert_null(vq_pop(f.q));
	fake_expect_broken(&f, "the front-end has truncated guest memory");
	fake_close(&f);
}

/* A bad request that was cut from its batch is read anew; it may have become a good one. */
static void test_read_anew(void **state)
{
	const struct fake_buf bad = { 0, 16 };
	struct vq_chain *c;
	struct fake f;

	fake_start(&f, true, RING, 0);
	fake_request(&f, 0);
	fake_list(&f, 1, &bad, 1);
	c = vq_pop(f.q);
	assert_non_null(c);
	/* Either format has them at the same place. */
	f.desc[1].len = 0;
	vq_push(c);
	c = vq_pop(f.q);
	assert_non_null(c);
	vq_push(c);
	assert_int_equal(f.breaks, 0);
	fake_close(&f);
}

static void drop_line(enum log_level level, const char *line, void *opaque)
{
}

int main(void)
{
	const struct CMUnitTest split[] = {
		cmocka_unit_test(test_index_jump),
		cmocka_unit_test(test_used_index_jump),
		cmocka_unit_test(test_shared_descriptor),
	};
	const struct CMUnitTest both[] = {
		cmocka_unit_test(test_pool_limit),
		cmocka_unit_test(test_iovec_limit),
		cmocka_unit_test(test_break_by_device),
		cmocka_unit_test(test_broken_request_gives_nothing),
		cmocka_unit_test(test_poisoned_at_publish),
		cmocka_unit_test(test_poisoned_at_pop),
		cmocka_unit_test(test_poisoned_ring),
		cmocka_unit_test(test_read_anew),
	};

	int failed;

	log_set_sink(drop_line, NULL);
	failed = cmocka_run_group_tests(split, NULL, NULL);
	return failed + fake_run_both(both);
}

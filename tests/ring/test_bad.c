/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a driver can get wrong in a chain: each breaks the queue, says why, loses nothing. */
#include "fake.h"

#include <string.h>

#include "base/log.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define IND VRING_DESC_F_INDIRECT
#define RING 8
#define TABLE (DATA_ADDR + 0x10000)

/* Descriptors 2 to 6 are free for the bad one. */
static void head_outside(struct fake *f)
{
	fake_avail(f, RING);
}

static void head_far_outside(struct fake *f)
{
	fake_avail(f, 65535);
}

static void next_outside(struct fake *f)
{
	fake_desc(f, 2, DATA_ADDR, 4, NEXT, RING);
	fake_avail(f, 2);
}

static void loops_on_itself(struct fake *f)
{
	fake_desc(f, 2, DATA_ADDR, 4, NEXT, 2);
	fake_avail(f, 2);
}

static void loops_over_three(struct fake *f)
{
	fake_desc(f, 2, DATA_ADDR, 4, NEXT, 3);
	fake_desc(f, 3, DATA_ADDR, 4, NEXT, 4);
	fake_desc(f, 4, DATA_ADDR, 4, NEXT, 2);
	fake_avail(f, 2);
}

static void readable_last(struct fake *f)
{
	fake_desc(f, 2, DATA_ADDR, 4, NEXT | WRITE, 5);
	fake_desc(f, 5, DATA_ADDR, 4, 0, 0);
	fake_avail(f, 2);
}

static void readable_last_and_empty(struct fake *f)
{
	fake_desc(f, 2, DATA_ADDR, 0, NEXT | WRITE, 5);
	fake_desc(f, 5, DATA_ADDR, 0, 0, 0);
	fake_avail(f, 2);
}

static void too_long(struct fake *f)
{
	fake_desc(f, 2, DATA_ADDR, UINT32_MAX, NEXT, 3);
	fake_desc(f, 3, DATA_ADDR, 1, WRITE, 0);
	fake_avail(f, 2);
}

static void outside_memory(struct fake *f)
{
	fake_desc(f, 2, END_ADDR - 8, 16, 0, 0);
	fake_avail(f, 2);
}

static void second_outside_memory(struct fake *f)
{
	fake_desc(f, 2, DATA_ADDR, 16, NEXT, 3);
	fake_desc(f, 3, 0xdead000, 17, WRITE | NEXT, 4);
	fake_desc(f, 4, DATA_ADDR, 16, WRITE, 0);
	fake_avail(f, 2);
}

static void wraps_around(struct fake *f)
{
	fake_desc(f, 2, UINT64_MAX - 3, 16, 0, 0);
	fake_avail(f, 2);
}

static void huge(struct fake *f)
{
	fake_desc(f, 2, GUEST_ADDR, UINT32_MAX, WRITE, 0);
	fake_avail(f, 2);
}

static void indirect(struct fake *f)
{
	fake_table(f, TABLE, 0, DATA_ADDR, 4, WRITE, 0);
	fake_desc(f, 2, TABLE, 16, IND, 0);
	fake_avail(f, 2);
}

static void indirect_and_next(struct fake *f)
{
	fake_desc(f, 2, TABLE, 16, IND | NEXT, 3);
	fake_desc(f, 3, DATA_ADDR, 16, WRITE, 0);
	fake_avail(f, 2);
}

static void indirect_empty(struct fake *f)
{
	fake_desc(f, 2, TABLE, 0, IND, 0);
	fake_avail(f, 2);
}

static void indirect_odd(struct fake *f)
{
	fake_desc(f, 2, TABLE, 24, IND, 0);
	fake_avail(f, 2);
}

static void indirect_too_long(struct fake *f)
{
	fake_desc(f, 2, TABLE, 16 * (VQ_MAX_SIZE + 1), IND, 0);
	fake_avail(f, 2);
}

static void indirect_in_indirect(struct fake *f)
{
	fake_table(f, TABLE, 0, DATA_ADDR, 4, NEXT, 1);
	fake_table(f, TABLE, 1, TABLE, 16, IND, 0);
	fake_desc(f, 2, TABLE, 32, IND, 0);
	fake_avail(f, 2);
}

static void indirect_next_outside(struct fake *f)
{
	fake_table(f, TABLE, 0, DATA_ADDR, 4, NEXT, 2);
	fake_desc(f, 2, TABLE, 32, IND, 0);
	fake_avail(f, 2);
}

static void indirect_loops(struct fake *f)
{
	fake_table(f, TABLE, 0, DATA_ADDR, 4, NEXT, 1);
	fake_table(f, TABLE, 1, DATA_ADDR, 4, NEXT, 0);
	fake_desc(f, 2, TABLE, 32, IND, 0);
	fake_avail(f, 2);
}

static void indirect_readable_last(struct fake *f)
{
	fake_table(f, TABLE, 0, DATA_ADDR, 4, 0, 0);
	fake_desc(f, 2, DATA_ADDR, 16, WRITE | NEXT, 3);
	fake_desc(f, 3, TABLE, 16, IND, 0);
	fake_avail(f, 2);
}

static void indirect_too_much(struct fake *f)
{
	fake_table(f, TABLE, 0, DATA_ADDR, 0x80000000, NEXT, 1);
	fake_table(f, TABLE, 1, DATA_ADDR, 0x80000000, 0, 0);
	fake_desc(f, 2, TABLE, 32, IND, 0);
	fake_avail(f, 2);
}

static void indirect_outside_memory(struct fake *f)
{
	fake_desc(f, 2, END_ADDR - 16, 32, IND, 0);
	fake_avail(f, 2);
}

static void indirect_data_outside_memory(struct fake *f)
{
	fake_table(f, TABLE, 0, GUEST_ADDR - 1, 2, WRITE, 0);
	fake_desc(f, 2, TABLE, 16, IND, 0);
	fake_avail(f, 2);
}

/* The same of packed rings, where a list is what follows in the ring. */
static void packed_endless(struct fake *f)
{
	for (unsigned i = 2; i < RING; i++)
		fake_packed(f, DATA_ADDR, 4, NEXT, 2);
}

static void packed_readable_last(struct fake *f)
{
	fake_packed(f, DATA_ADDR, 0, WRITE | NEXT, 2);
	fake_packed(f, DATA_ADDR, 0, 0, 2);
}

static void packed_too_long(struct fake *f)
{
	fake_packed(f, DATA_ADDR, UINT32_MAX, NEXT, 2);
	fake_packed(f, DATA_ADDR, 1, WRITE, 2);
}

static void packed_outside_memory(struct fake *f)
{
	fake_packed(f, DATA_ADDR, 4, NEXT, 2);
	fake_packed(f, END_ADDR - 8, 16, WRITE, 2);
}

static void packed_indirect(struct fake *f)
{
	fake_table(f, TABLE, 0, DATA_ADDR, 4, WRITE, 0);
	fake_packed(f, TABLE, 16, IND, 2);
}

static void packed_indirect_and_next(struct fake *f)
{
	fake_packed(f, TABLE, 16, IND | NEXT, 2);
	fake_packed(f, DATA_ADDR, 4, 0, 2);
}

static void packed_indirect_after_direct(struct fake *f)
{
	fake_table(f, TABLE, 0, DATA_ADDR, 4, WRITE, 0);
	fake_packed(f, DATA_ADDR, 4, NEXT, 2);
	fake_packed(f, TABLE, 16, IND, 2);
}

static void packed_indirect_empty(struct fake *f)
{
	fake_packed(f, TABLE, 0, IND, 2);
}

static void packed_indirect_odd(struct fake *f)
{
	fake_packed(f, TABLE, 24, IND, 2);
}

static void packed_indirect_too_long(struct fake *f)
{
	fake_packed(f, TABLE, 16 * (VQ_MAX_SIZE + 1), IND, 2);
}

static void packed_indirect_in_indirect(struct fake *f)
{
	fake_table(f, TABLE, 0, DATA_ADDR, 4, 0, 0);
	fake_table(f, TABLE, 1, TABLE, 16, IND, 0);
	fake_packed(f, TABLE, 32, IND, 2);
}

static void packed_indirect_readable_last(struct fake *f)
{
	fake_table(f, TABLE, 0, DATA_ADDR, 4, WRITE, 0);
	fake_table(f, TABLE, 1, DATA_ADDR, 4, 0, 0);
	fake_packed(f, TABLE, 32, IND, 2);
}

static void packed_indirect_outside_memory(struct fake *f)
{
	fake_packed(f, END_ADDR - 16, 32, IND, 2);
}

struct bad_case {
	void (*make)(struct fake *f);
	uint64_t features;
	const char *reason;
};

static const struct bad_case split_cases[] = {
	{ head_outside, 0, "available entry 2: descriptor 8 is outside the ring of 8" },
	{ head_far_outside, 0, "available entry 2: descriptor 65535 is outside the ring of 8" },
	{ next_outside, 0, "descriptor 2: next descriptor 8 is outside the ring of 8" },
	{ loops_on_itself, 0, "descriptor 2: its chain loops" },
	{ loops_over_three, 0, "descriptor 2: its chain loops" },
	{ readable_last, 0, "descriptor 5: readable after a writable one" },
	{ readable_last_and_empty, 0, "descriptor 5: readable after a writable one" },
	{ too_long, 0, "descriptor 3: with it the request is longer than 4 GiB" },
	{ outside_memory, 0,
		"descriptor 2: the chain from there has a buffer at 0x8ffff8, "
		"length 16, is not in guest memory" },
	{ second_outside_memory, 0,
		"descriptor 2: the chain from there has a buffer at 0xdead000, "
		"length 17, is not in guest memory" },
	{ wraps_around, 0, "buffer at 0xfffffffffffffffc, length 16, is not in guest memory" },
	{ huge, 0, "buffer at 0x100000, length 4294967295, is not in guest memory" },
	{ indirect, 0, "descriptor 2: indirect, which was not negotiated" },
	{ indirect_and_next, INDIRECT, "descriptor 2: indirect and not the last of its chain" },
	{ indirect_empty, INDIRECT, "descriptor 2: indirect table of 0 bytes" },
	{ indirect_odd, INDIRECT, "descriptor 2: indirect table of 24 bytes" },
	{ indirect_too_long, INDIRECT, "descriptor 2: indirect table of 32769 entries" },
	{ indirect_in_indirect, INDIRECT,
		"descriptor 2, indirect entry 1: names an indirect table itself" },
	{ indirect_next_outside, INDIRECT,
		"descriptor 2, indirect entry 0: next entry 2 is outside the table of 2" },
	{ indirect_loops, INDIRECT, "descriptor 2: the chain in its indirect table loops" },
	{ indirect_readable_last, INDIRECT,
		"descriptor 3, indirect entry 0: readable after a writable one" },
	{ indirect_too_much, INDIRECT,
		"descriptor 2, indirect entry 1: with it the request is longer than 4 GiB" },
	{ indirect_outside_memory, INDIRECT,
		"descriptor 2: the indirect table at 0x8ffff0, length 32, is not in guest memory" },
	{ indirect_data_outside_memory, INDIRECT,
		"buffer at 0xfffff, length 2, is not in guest memory" },
};

static const struct bad_case packed_cases[] = {
	{ packed_endless, 0,
		"descriptor 2: its list is longer than the ring, or runs into other requests" },
	{ packed_readable_last, 0, "descriptor 3: readable after a writable one" },
	{ packed_too_long, 0, "descriptor 3: with it the request is longer than 4 GiB" },
	{ packed_outside_memory, 0,
		"descriptor 2: the chain from there has a buffer at 0x8ffff8, "
		"length 16, is not in guest memory" },
	{ packed_indirect, 0, "descriptor 2: indirect, which was not negotiated" },
	{ packed_indirect_and_next, INDIRECT,
		"descriptor 2: indirect and not the last of its chain" },
	{ packed_indirect_after_direct, INDIRECT,
		"descriptor 3: indirect and not the first of its list" },
	{ packed_indirect_empty, INDIRECT, "descriptor 2: indirect table of 0 bytes" },
	{ packed_indirect_odd, INDIRECT, "descriptor 2: indirect table of 24 bytes" },
	{ packed_indirect_too_long, INDIRECT, "descriptor 2: indirect table of 32769 entries" },
	{ packed_indirect_in_indirect, INDIRECT,
		"descriptor 2, indirect entry 1: names an indirect table itself" },
	{ packed_indirect_readable_last, INDIRECT,
		"descriptor 2, indirect entry 1: readable after a writable one" },
	{ packed_indirect_outside_memory, INDIRECT,
		"descriptor 2: the indirect table at 0x8ffff0, length 32, is not in guest memory" },
};

static unsigned lines;
static char line[256];

static void on_log(enum log_level level, const char *text, void *opaque)
{
	lines++;
	g_strlcpy(line, text, sizeof(line));
}

/* Two good requests, the bad one and one more. */
static void make_case(struct fake *f, const struct bad_case *c, bool lend)
{
	fake_start(f, lend, RING, c->features);
	fake_request(f, 0);
	fake_request(f, 1);
	c->make(f);
	/* Unless that has filled the ring. */
	if (c->make != packed_endless)
		fake_request(f, 7);
}

/* What came before it in the batch is served, and the queue can be started anew. */
static void run_served(const struct bad_case *c, bool lend)
{
	struct fake f;

	make_case(&f, c, lend);
	lines = 0;
	assert_int_equal(fake_serve(&f), 2);
	fake_expect_broken(&f, c->reason);
	assert_int_equal(lines, 1);
	assert_non_null(strstr(line, "queue 3: broken: "));
	assert_non_null(strstr(line, c->reason));
	assert_int_equal(fake_reap_all(&f), 2);
	assert_int_equal(fake_mappings_out(&f), 0);
	assert_int_equal(fake_serve(&f), 0);
	assert_int_equal(fake_reap_all(&f), 0);
	assert_int_equal(f.breaks, 1);
	assert_int_equal(fake_vq_stop(&f), fake_base(&f, 2));

	fake_layout(&f, RING, c->features);
	fake_vq_start(&f);
	assert_false(vq_is_broken(f.q));
	fake_request(&f, 5);
	assert_int_equal(fake_serve(&f), 1);
	assert_int_equal(fake_reap_all(&f), 1);
	fake_close(&f);
}

/* The device still has what came before it: only memory goes back. */
static void run_in_flight(const struct bad_case *c, bool lend)
{
	struct vq_chain *first, *second;
	struct fake f;

	make_case(&f, c, lend);
	vq_burst_begin(f.q);
	first = vq_pop(f.q);
	second = vq_pop(f.q);
	assert_non_null(first);
	assert_non_null(second);
	assert_null(vq_pop(f.q));
	fake_expect_broken(&f, c->reason);
	assert_int_equal(fake_mappings_out(&f), 2);
	vq_push(second);
	vq_push(first);
	assert_int_equal(vq_burst_end(f.q), VQ_IDLE);
	assert_int_equal(fake_mappings_out(&f), 0);
	assert_int_equal(fake_reap_all(&f), 0);
	assert_int_equal(f.calls, 0);
	fake_close(&f);
}

static void run(const struct bad_case *c, unsigned n)
{
	for (unsigned i = 0; i < 2 * n; i++) {
		run_served(&c[i / 2], i % 2);
		run_in_flight(&c[i / 2], i % 2);
	}
}

static void test_split(void **state)
{
	run(split_cases, G_N_ELEMENTS(split_cases));
}

static void test_packed(void **state)
{
	fake_format = PACKED;
	run(packed_cases, G_N_ELEMENTS(packed_cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_packed),
	};

	log_set_sink(on_log, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

struct bad_write {
	enum { NOTHING, IN_RING, IN_TABLE } where;
	unsigned i; /* split, or in the table */
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
#define DESC(...)                    \
	{                            \
		IN_RING, __VA_ARGS__ \
	}
#define NEXT_DESC(...)                     \
	{                                  \
		IN_RING, 0, __VA_ARGS__, 0 \
	}
#define ENTRY(...)                    \
	{                             \
		IN_TABLE, __VA_ARGS__ \
	}

/* Descriptors 2 to 6 are free for the bad one; of a packed vring, it takes those from 2 on. */
struct bad_case {
	const char *reason;
	uint64_t features;
	uint16_t head; /* split: made available */
	struct bad_write write[RING - 2];
};

static const struct bad_case split_cases[] = {
	{
		"available entry 2: descriptor 8 is outside the vring of 8",
		.head = RING,
	},
	{
		"available entry 2: descriptor 65535 is outside the vring of 8",
		.head = 65535,
	},
	{
		"descriptor 2: next descriptor 8 is outside the vring of 8",
		.head = 2,
		.write = { DESC(2, DATA_ADDR, 4, NEXT, RING) },
	},
	{
		"descriptor 2: its chain loops",
		.head = 2,
		.write = { DESC(2, DATA_ADDR, 4, NEXT, 2) },
	},
	{
		"descriptor 2: its chain loops",
		.head = 2,
		.write = { DESC(2, DATA_ADDR, 4, NEXT, 3), DESC(3, DATA_ADDR, 4, NEXT, 4),
			DESC(4, DATA_ADDR, 4, NEXT, 2) },
	},
	{
		"descriptor 5: readable after a writable one",
		.head = 2,
		.write = { DESC(2, DATA_ADDR, 4, NEXT | WRITE, 5), DESC(5, DATA_ADDR, 4, 0, 0) },
	},
	{
		"descriptor 5: readable after a writable one",
		.head = 2,
		.write = { DESC(2, DATA_ADDR, 0, NEXT | WRITE, 5), DESC(5, DATA_ADDR, 0, 0, 0) },
	},
	{
		"descriptor 3: with it the request is longer than 4 GiB",
		.head = 2,
		.write = { DESC(2, DATA_ADDR, UINT32_MAX, NEXT, 3),
			DESC(3, DATA_ADDR, 1, WRITE, 0) },
	},
	{
		"descriptor 2: the chain from there has a buffer at 0x8ffff8, length "
		"16, is not in guest memory",
		.head = 2,
		.write = { DESC(2, END_ADDR - 8, 16, 0, 0) },
	},
	{
		"descriptor 2: the chain from there has a buffer at 0xdead000, length "
		"17, is not in guest memory",
		.head = 2,
		.write = { DESC(2, DATA_ADDR, 16, NEXT, 3), DESC(3, 0xdead000, 17, WRITE | NEXT, 4),
			DESC(4, DATA_ADDR, 16, WRITE, 0) },
	},
	{
		"buffer at 0xfffffffffffffffc, length 16, is not in guest memory",
		.head = 2,
		.write = { DESC(2, UINT64_MAX - 3, 16, 0, 0) },
	},
	{
		"buffer at 0x100000, length 4294967295, is not in guest memory",
		.head = 2,
		.write = { DESC(2, GUEST_ADDR, UINT32_MAX, WRITE, 0) },
	},
	{
		"descriptor 2: indirect, which was not negotiated",
		.head = 2,
		.write = { ENTRY(0, DATA_ADDR, 4, WRITE, 0), DESC(2, TABLE, 16, IND, 0) },
	},
	{
		"descriptor 2: indirect and not the last of its chain",
		.features = INDIRECT,
		.head = 2,
		.write = { DESC(2, TABLE, 16, IND | NEXT, 3), DESC(3, DATA_ADDR, 16, WRITE, 0) },
	},
	{
		"descriptor 2: indirect table of 0 bytes",
		.features = INDIRECT,
		.head = 2,
		.write = { DESC(2, TABLE, 0, IND, 0) },
	},
	{
		"descriptor 2: indirect table of 24 bytes",
		.features = INDIRECT,
		.head = 2,
		.write = { DESC(2, TABLE, 24, IND, 0) },
	},
	{
		"descriptor 2: indirect table of 32769 entries",
		.features = INDIRECT,
		.head = 2,
		.write = { DESC(2, TABLE, 16 * (VQ_MAX_SIZE + 1), IND, 0) },
	},
	{
		"descriptor 2, indirect entry 1: names an indirect table itself",
		.features = INDIRECT,
		.head = 2,
		.write = { ENTRY(0, DATA_ADDR, 4, NEXT, 1), ENTRY(1, TABLE, 16, IND, 0),
			DESC(2, TABLE, 32, IND, 0) },
	},
	{
		"descriptor 2, indirect entry 0: next entry 2 is outside the table of 2",
		.features = INDIRECT,
		.head = 2,
		.write = { ENTRY(0, DATA_ADDR, 4, NEXT, 2), DESC(2, TABLE, 32, IND, 0) },
	},
	{
		"descriptor 2: the chain in its indirect table loops",
		.features = INDIRECT,
		.head = 2,
		.write = { ENTRY(0, DATA_ADDR, 4, NEXT, 1), ENTRY(1, DATA_ADDR, 4, NEXT, 0),
			DESC(2, TABLE, 32, IND, 0) },
	},
	{
		"descriptor 3, indirect entry 0: readable after a writable one",
		.features = INDIRECT,
		.head = 2,
		.write = { ENTRY(0, DATA_ADDR, 4, 0, 0), DESC(2, DATA_ADDR, 16, WRITE | NEXT, 3),
			DESC(3, TABLE, 16, IND, 0) },
	},
	{
		"descriptor 2, indirect entry 1: with it the request is longer than 4 GiB",
		.features = INDIRECT,
		.head = 2,
		.write = { ENTRY(0, DATA_ADDR, 0x80000000, NEXT, 1),
			ENTRY(1, DATA_ADDR, 0x80000000, 0, 0), DESC(2, TABLE, 32, IND, 0) },
	},
	{
		"descriptor 2: the indirect table at 0x8ffff0, length 32, is not in guest memory",
		.features = INDIRECT,
		.head = 2,
		.write = { DESC(2, END_ADDR - 16, 32, IND, 0) },
	},
	{
		"buffer at 0xfffff, length 2, is not in guest memory",
		.features = INDIRECT,
		.head = 2,
		.write = { ENTRY(0, GUEST_ADDR - 1, 2, WRITE, 0), DESC(2, TABLE, 16, IND, 0) },
	},
};

/* The same of packed vrings, where a list is what follows in the vring. */
static const struct bad_case packed_cases[] = {
	{
		"descriptor 2: its list is longer than the vring, or runs into other requests",
		.write = { NEXT_DESC(DATA_ADDR, 4, NEXT), NEXT_DESC(DATA_ADDR, 4, NEXT),
			NEXT_DESC(DATA_ADDR, 4, NEXT), NEXT_DESC(DATA_ADDR, 4, NEXT),
			NEXT_DESC(DATA_ADDR, 4, NEXT), NEXT_DESC(DATA_ADDR, 4, NEXT) },
	},
	{
		"descriptor 3: readable after a writable one",
		.write = { NEXT_DESC(DATA_ADDR, 0, WRITE | NEXT), NEXT_DESC(DATA_ADDR, 0, 0) },
	},
	{
		"descriptor 3: with it the request is longer than 4 GiB",
		.write = { NEXT_DESC(DATA_ADDR, UINT32_MAX, NEXT), NEXT_DESC(DATA_ADDR, 1, WRITE) },
	},
	{
		"descriptor 2: the chain from there has a buffer at 0x8ffff8, length "
		"16, is not in guest memory",
		.write = { NEXT_DESC(DATA_ADDR, 4, NEXT), NEXT_DESC(END_ADDR - 8, 16, WRITE) },
	},
	{
		"descriptor 2: indirect, which was not negotiated",
		.write = { ENTRY(0, DATA_ADDR, 4, WRITE, 0), NEXT_DESC(TABLE, 16, IND) },
	},
	{
		"descriptor 2: indirect and not the last of its chain",
		.features = INDIRECT,
		.write = { NEXT_DESC(TABLE, 16, IND | NEXT), NEXT_DESC(DATA_ADDR, 4, 0) },
	},
	{
		"descriptor 3: indirect and not the first of its list",
		.features = INDIRECT,
		.write = { ENTRY(0, DATA_ADDR, 4, WRITE, 0), NEXT_DESC(DATA_ADDR, 4, NEXT),
			NEXT_DESC(TABLE, 16, IND) },
	},
	{
		"descriptor 2: indirect table of 0 bytes",
		.features = INDIRECT,
		.write = { NEXT_DESC(TABLE, 0, IND) },
	},
	{
		"descriptor 2: indirect table of 24 bytes",
		.features = INDIRECT,
		.write = { NEXT_DESC(TABLE, 24, IND) },
	},
	{
		"descriptor 2: indirect table of 32769 entries",
		.features = INDIRECT,
		.write = { NEXT_DESC(TABLE, 16 * (VQ_MAX_SIZE + 1), IND) },
	},
	{
		"descriptor 2, indirect entry 1: names an indirect table itself",
		.features = INDIRECT,
		.write = { ENTRY(0, DATA_ADDR, 4, 0, 0), ENTRY(1, TABLE, 16, IND, 0),
			NEXT_DESC(TABLE, 32, IND) },
	},
	{
		"descriptor 2, indirect entry 1: readable after a writable one",
		.features = INDIRECT,
		.write = { ENTRY(0, DATA_ADDR, 4, WRITE, 0), ENTRY(1, DATA_ADDR, 4, 0, 0),
			NEXT_DESC(TABLE, 32, IND) },
	},
	{
		"descriptor 2: the indirect table at 0x8ffff0, length 32, is not in guest memory",
		.features = INDIRECT,
		.write = { NEXT_DESC(END_ADDR - 16, 32, IND) },
	},
};

static void write_bad(struct fake *f, const struct bad_case *c)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(c->write) && c->write[i].where; i++) {
		const struct bad_write *w = &c->write[i];

		if (w->where == IN_TABLE)
			fake_table(f, TABLE, w->i, w->addr, w->len, w->flags, w->next);
		else if (fake_format == PACKED)
			fake_packed(f, w->addr, w->len, w->flags, 2);
		else
			fake_desc(f, w->i, w->addr, w->len, w->flags, w->next);
	}
	if (fake_format != PACKED)
		fake_avail(f, c->head);
}

static unsigned lines;
static char line[256];

static void on_log(enum log_level level, const char *text, void *opaque)
{
	lines++;
	g_strlcpy(line, text, sizeof(line));
}

/* Makes two good requests, the bad one and one more. */
static void make_case(struct fake *f, const struct bad_case *c, bool map)
{
	fake_start(f, map, RING, c->features);
	fake_request(f, 0);
	fake_request(f, 1);
	write_bad(f, c);
	/* Unless that has filled the vring. */
	if (!c->write[G_N_ELEMENTS(c->write) - 1].where)
		fake_request(f, 7);
}

/* Checks that what came before it in the batch is served, and the queue can be started anew. */
static void run_served(const struct bad_case *c, bool map)
{
	struct fake f;

	make_case(&f, c, map);
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

/* Checks while the device still has what came before it: only memory goes back. */
static void run_in_flight(const struct bad_case *c, bool map)
{
	struct vq_chain *first, *second;
	struct fake f;

	make_case(&f, c, map);
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

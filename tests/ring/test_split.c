/* SPDX-License-Identifier: Apache-2.0 */
/* The split format: where vrings may lie, where they begin, and odd but legal chains. */
#include "fake.h"

#include <string.h>

#include "base/log.h"
#include "base/util.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define IND VRING_DESC_F_INDIRECT
#define TABLE (DATA_ADDR + 0x100000)

static void refused(struct fake *f, const char *message)
{
	g_autoptr(GError) error = NULL;

	assert_false(vq_start(f->q, &f->setup, &error));
	if (!strstr(error->message, message))
		fail_msg("the error is \"%s\", not \"%s\"", error->message, message);
	assert_true(g_str_has_prefix(error->message, "queue 3: "));
	assert_false(vq_is_started(f->q));
	assert_int_equal(f->mapped, 0);
}

static void test_refused_size(void **state)
{
	static const struct {
		uint32_t size;
		const char *message;
	} cases[] = {
		{ 0, "vring size 0 is not between 1 and 32768" },
		{ 3, "vring size 3 is not a power of two" },
		{ 32767, "vring size 32767 is not a power of two" },
		{ 65536, "vring size 65536 is not between 1 and 32768" },
		{ UINT32_MAX, "vring size 4294967295 is not between 1 and 32768" },
	};
	struct fake f;

	fake_open(&f, true);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		fake_layout(&f, 8, 0);
		f.setup.size = cases[i].size;
		refused(&f, cases[i].message);
	}
	fake_close(&f);
}

static void test_refused_address(void **state)
{
	struct fake f;

	fake_open(&f, true);
	fake_layout(&f, 8, EVENT_IDX);
	f.setup.desc += 8;
	refused(&f, "descriptor table");
	fake_layout(&f, 8, EVENT_IDX);
	f.setup.avail += 1;
	refused(&f, "available ring");
	fake_layout(&f, 8, EVENT_IDX);
	f.setup.used += 2;
	refused(&f, "used ring");
	/* One past the end; across the border of regions. */
	f.setup.used = fake_user(END_ADDR);
	refused(&f, "used ring");
	f.setup.used = fake_user(BORDER_ADDR - 4);
	refused(&f, "used ring");
	fake_close(&f);
}

/* The event index is the last thing in a vring: there only if it was negotiated. */
static void test_region_edge(void **state)
{
	const unsigned size = 256;
	struct fake f;

	fake_open(&f, false);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t desc = BORDER_ADDR - 16 * size;
		uint64_t avail = END_ADDR - 4 - 2 * size;
		uint64_t used = avail - 4 - 8 * size;

		fake_layout(&f, size, i ? EVENT_IDX : 0);
		f.setup.desc = fake_user(desc);
		f.setup.avail = fake_user(avail);
		f.setup.used = fake_user(used);
		f.desc = fake_host(&f, desc);
		f.avail = fake_host(&f, avail);
		f.used = fake_host(&f, used);
		if (i) {
			refused(&f, "available ring");
			continue;
		}
		fake_vq_start(&f);
		for (unsigned n = 0; n < size; n++)
			fake_request(&f, n);
		assert_int_equal(fake_serve(&f), size);
		assert_int_equal(fake_reap_all(&f), size);
		fake_vq_stop(&f);
	}
	fake_close(&f);
}

/* More than once around, and the whole vring at a time. */
static void test_sizes(void **state)
{
	static const unsigned sizes[] = { 1, 2, 256, 32768 };

	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		uint32_t id, len;
		struct fake f;

		fake_start(&f, false, sizes[i], EVENT_IDX);
		for (unsigned round = 0; round < 3; round++) {
			for (unsigned n = 0; n < sizes[i]; n++)
				fake_request(&f, sizes[i] - 1 - n);
			assert_int_equal(fake_serve(&f), sizes[i]);
			for (unsigned n = 0; n < sizes[i]; n++) {
				assert_true(fake_reap(&f, &id, &len));
				assert_int_equal(id, sizes[i] - 1 - n);
				assert_int_equal(len, 1);
			}
			assert_false(fake_reap(&f, &id, &len));
		}
		assert_int_equal(fake_vq_stop(&f), (uint16_t)(3 * sizes[i]));
		fake_close(&f);
	}
}

/* base and used index as they are; what is served then, or why not. */
static void test_base(void **state)
{
	static const struct {
		uint32_t base;
		uint16_t used;
		bool any_order, fresh;
		unsigned served;
		const char *message;
	} cases[] = {
		{ 0, 0, true, true, 4 },
		{ 0, 0, false, true, 4 },
		{ 65534, 65534, true, false, 4 },
		{ 7, 7, false, false, 4 },
		/* Three were taken before and not completed. */
		{ 1, 65534, true, false, 4 },
		{ 1, 65534, false, false, 7 },
		{ 8, 0, false, false, 12 },
		{ 9, 0, false, false, 0,
			"base 9 does not go with the used index 0 in a vring of 8" },
		{ 9, 0, true, false, 0,
			"base 9 does not go with the used index 0 in a vring of 8" },
		{ 0, 1, false, false, 0,
			"base 0 does not go with the used index 1 in a vring of 8" },
		{ 65536, 0, false, false, 0, "base 65536 is not an available index" },
	};
	struct fake f;

	fake_open(&f, true);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		unsigned served;

		fake_layout(&f, 8, 0);
		f.setup.base = cases[i].base;
		f.setup.any_order = cases[i].any_order;
		shm_store16(&f.used->idx, cases[i].used);
		if (cases[i].message) {
			refused(&f, cases[i].message);
			continue;
		}
		f.seen = cases[i].used;
		/* What lies before the base, too, names good descriptors. */
		for (unsigned n = 0; n < 8; n++)
			f.avail->ring[n] = n;
		shm_store16(&f.avail->idx, cases[i].base);
		for (unsigned n = 0; n < 8; n++)
			fake_desc(&f, n, DATA_ADDR, 16, WRITE, 0);
		fake_vq_start(&f);
		assert_int_equal(vq_is_fresh(f.q), cases[i].fresh);
		served = fake_serve(&f);
		for (unsigned n = 0; n < 4; n++)
			fake_avail(&f, (uint16_t)(cases[i].base + n) % 8);
		served += fake_serve(&f);
		assert_int_equal(served, cases[i].served);
		assert_int_equal(fake_reap_all(&f), cases[i].served);
		assert_int_equal(fake_vq_stop(&f), (uint16_t)(cases[i].base + 4));
	}
	assert_int_equal(f.breaks, 0);
	fake_close(&f);
}

static unsigned lines;

static void count_line(enum log_level level, const char *line, void *opaque)
{
	lines++;
}

/* A front-end can start a vring as often as it likes, and a driver writes its used index. */
static void test_base_does_not_flood_the_log(void **state)
{
	struct fake f;

	fake_open(&f, false);
	fake_layout(&f, 8, 0);
	f.setup.base = 8;
	lines = 0;
	log_set_sink(count_line, NULL);
	for (unsigned i = 0; i < 100; i++) {
		f.setup.any_order = i % 2;
		fake_vq_start(&f);
		fake_vq_stop(&f);
	}
	log_set_sink(NULL, NULL);
	assert_in_range(lines, 1, 20);
	fake_close(&f);
}

static void test_odd_but_legal(void **state)
{
	struct fake f;

	fake_start(&f, true, 16, INDIRECT);
	/* Nothing to read or write at all, at an address that is none. */
	fake_desc(&f, 0, UINT64_MAX, 0, 0, 0);
	fake_avail(&f, 0);
	/* Empty ones among others; flags that mean nothing; a next that is not one. */
	fake_desc(&f, 1, DATA_ADDR, 4, 0xfff8 | NEXT, 2);
	fake_desc(&f, 2, 0, 0, NEXT, 3);
	fake_desc(&f, 3, DATA_ADDR, 8, WRITE, 999);
	fake_avail(&f, 1);
	/* A table after direct descriptors; its own WRITE flag is ignored. */
	fake_desc(&f, 4, DATA_ADDR, 1, NEXT, 5);
	fake_desc(&f, 5, TABLE, 3 * 16, IND | WRITE, 0);
	fake_table(&f, TABLE, 0, DATA_ADDR, 2, NEXT, 2);
	fake_table(&f, TABLE, 2, DATA_ADDR, 3, WRITE | NEXT, 1);
	fake_table(&f, TABLE, 1, DATA_ADDR, 4, WRITE, 0);
	fake_avail(&f, 4);
	/* Larger than the vring. */
	for (unsigned i = 0; i < 130; i++)
		fake_table(&f, TABLE + 0x1000, i, DATA_ADDR, 1,
			(i ? WRITE : 0) | (i < 129 ? NEXT : 0), i + 1);
	fake_desc(&f, 6, TABLE + 0x1000, 130 * 16, IND, 0);
	fake_avail(&f, 6);
	/* A chain as long as the vring allows with what the others take. */
	for (unsigned i = 7; i < 16; i++)
		fake_desc(&f, i, DATA_ADDR, 1, i < 15 ? NEXT : 0, i + 1);
	fake_avail(&f, 7);

	fake_answer(&f, 0, 0);
	fake_answer(&f, 4, 8);
	fake_answer(&f, 3, 7);
	fake_answer(&f, 1, 129);
	fake_answer(&f, 9, 0);
	assert_null(vq_pop(f.q));
	vq_publish(f.q);
	assert_int_equal(f.breaks, 0);
	assert_int_equal(fake_reap_all(&f), 5);
	fake_close(&f);
}

/* Buffers and tables that lie in two regions, which are apart on the host. */
static void test_straddling(void **state)
{
	enum { N = 40 };
	uint8_t sent[N * 64], got[sizeof(sent)];
	uint64_t table = BORDER_ADDR - 16 * 20 - 5;
	struct vq_chain *c;
	struct fake f;

	fake_start(&f, false, 8, INDIRECT);
	for (unsigned i = 0; i < sizeof(sent); i++)
		sent[i] = i ^ i >> 8;
	/* The table lies over the border, one of its entries too, and so does each buffer. */
	for (unsigned i = 0; i < N; i++)
		fake_table(&f, table, i, BORDER_ADDR + 1024 + 64 * i, 64, NEXT, i + 1);
	for (unsigned i = 0; i < N; i++)
		fake_table(&f, table, N + i, BORDER_ADDR - 1024 - i, 2048,
			WRITE | (i < N - 1 ? NEXT : 0), N + i + 1);
	for (unsigned i = 0; i < sizeof(sent); i++)
		*(uint8_t *)fake_host(&f, BORDER_ADDR + 1024 + i) = sent[i];
	fake_desc(&f, 0, table, 2 * N * 16, IND, 0);
	fake_avail(&f, 0);
	c = vq_pop(f.q);
	assert_non_null(c);
	assert_int_equal(iov_pull(&c->out, got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, sent, sizeof(got));
	assert_int_equal(iov_left(&c->in), N * 2048);
	assert_int_equal(c->in.n_iov, 2 * N);
	assert_int_equal(iov_push(&c->in, sent, 1025), 1025);
	assert_int_equal(*(uint8_t *)fake_host(&f, BORDER_ADDR - 1024), sent[0]);
	assert_int_equal(*(uint8_t *)fake_host(&f, BORDER_ADDR), sent[1024]);
	vq_push(c);
	vq_publish(f.q);
	assert_int_equal(fake_reap_all(&f), 1);
	fake_close(&f);
}

static void drop_line(enum log_level level, const char *line, void *opaque)
{
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_size),
		cmocka_unit_test(test_refused_address),
		cmocka_unit_test(test_region_edge),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_base),
		cmocka_unit_test(test_base_does_not_flood_the_log),
		cmocka_unit_test(test_odd_but_legal),
		cmocka_unit_test(test_straddling),
	};

	log_set_sink(drop_line, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

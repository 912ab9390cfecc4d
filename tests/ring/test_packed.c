/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packed format: positions, wrap counters, lists, tables, events, and what is wrong with them.
 */
#include "fake.h"

#include <stdio.h>
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
	assert_int_equal(f->mapped, 0);
}

static void test_refused(void **state)
{
	/* Outside the vring, or more than a turn apart. */
	static const uint32_t bases[] = { 0x80088000, 0x80008008, 0x80028001, 0x80000001 };
	struct fake f;

	fake_open(&f, true);
	fake_layout(&f, 8, 0);
	f.setup.size = 0;
	refused(&f, "vring size 0 is not between 1 and 32768");
	fake_layout(&f, 32769, 0);
	refused(&f, "vring size 32769 is not between 1 and 32768");
	fake_layout(&f, 8, 0);
	f.setup.desc += 8;
	refused(&f, "descriptor ring");
	fake_layout(&f, 8, 0);
	f.setup.avail += 2;
	refused(&f, "driver area");
	fake_layout(&f, 8, 0);
	f.setup.used = fake_user(END_ADDR - 2);
	refused(&f, "device area");
	for (unsigned i = 0; i < G_N_ELEMENTS(bases); i++) {
		char message[64];

		fake_layout(&f, 8, 0);
		f.setup.base = bases[i];
		snprintf(message, sizeof(message),
			"base 0x%x is no pair of positions in a vring of 8", bases[i]);
		refused(&f, message);
	}
	f.setup.base = 0x80000000;
	fake_vq_start(&f);
	fake_close(&f);
}

/* More than twice around, the whole vring at a time and part of it; the base says where. */
static void test_sizes(void **state)
{
	static const unsigned sizes[] = { 1, 2, 3, 100, 255, 256, 257, 32767, 32768 };

	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		unsigned size = sizes[i], total = 0;
		uint32_t id, len;
		struct fake f;

		fake_start(&f, false, size, EVENT_IDX);
		assert_true(vq_is_fresh(f.q));
		for (unsigned round = 0; round < 5; round++) {
			unsigned n = round % 2 ? (size + 2) / 3 : size;

			for (unsigned k = 0; k < n; k++)
				fake_request(&f, n - k);
			assert_int_equal(fake_serve(&f), n);
			for (unsigned k = 0; k < n; k++) {
				assert_true(fake_reap(&f, &id, &len));
				assert_int_equal(id, n - k);
				assert_int_equal(len, 1);
			}
			assert_false(fake_reap(&f, &id, &len));
			total += n;
			f.setup.base = fake_vq_stop(&f);
			assert_int_equal(f.setup.base, fake_base(&f, total));
			fake_vq_start(&f);
			/* Also two turns on, where the positions are those of a new one. */
			assert_false(vq_is_fresh(f.q));
		}
		fake_close(&f);
	}
}

/*
 * Nothing is there that a used descriptor, one of the next turn or an old one could be taken for.
 */
static void test_not_available(void **state)
{
	struct fake f;

	for (unsigned turn = 0; turn < 2; turn++) {
		fake_open(&f, false);
		fake_layout(&f, 4, 0);
		f.setup.base = fake_base(&f, 4 * turn);
		fake_vq_start(&f);
		for (unsigned bits = 0; bits < 4; bits++) {
			bool available = bits == (turn ? 2 : 1);

			fake_desc(&f, 0, DATA_ADDR, 16, 0, 0);
			f.list[0].flags = (bits & 1) << VRING_PACKED_DESC_F_AVAIL |
				(bits >> 1) << VRING_PACKED_DESC_F_USED | WRITE;
			if (!available)
				assert_int_equal(fake_serve(&f), 0);
		}
		f.list[0].flags =
			turn ? 1u << VRING_PACKED_DESC_F_USED : 1u << VRING_PACKED_DESC_F_AVAIL;
		assert_int_equal(fake_serve(&f), 1);
		assert_int_equal(f.breaks, 0);
		fake_close(&f);
	}
}

/* Lists of one to four buffers go round a vring of seven; completed last one first. */
static void test_lists_wrap(void **state)
{
	struct fake_buf buf[4];
	uint32_t id, len;
	struct fake f;

	fake_start(&f, true, 7, 0);
	for (unsigned i = 0; i < 4; i++)
		buf[i] = (struct fake_buf){ DATA_ADDR + 64 * i, i + 1, i ? WRITE : 0 };
	for (unsigned turn = 0; turn < 50; turn++) {
		unsigned n = 1 + turn % 4, m = MIN(7 - n, 4);
		struct vq_chain *c[2];

		fake_list(&f, 1000 + turn, buf, n);
		fake_list(&f, turn ? turn : 65535, buf, m);
		c[0] = vq_pop(f.q);
		c[1] = vq_pop(f.q);
		assert_non_null(c[1]);
		assert_null(vq_pop(f.q));
		assert_int_equal(iov_left(&c[0]->out), 1);
		assert_int_equal(iov_left(&c[0]->in), n * (n + 1) / 2 - 1);
		assert_int_equal(iov_left(&c[1]->in), m * (m + 1) / 2 - 1);
		iov_push_zeroes(&c[0]->in, n - 1);
		vq_push(c[1]);
		vq_push(c[0]);
		/* Nothing shows before both do. */
		assert_false(fake_reap(&f, &id, &len));
		vq_publish(f.q);
		assert_true(fake_reap(&f, &id, &len));
		assert_int_equal(id, turn ? turn : 65535);
		assert_int_equal(len, 0);
		assert_true(fake_reap(&f, &id, &len));
		assert_int_equal(id, 1000 + turn);
		assert_int_equal(len, n - 1);
		assert_false(fake_reap(&f, &id, &len));
	}
	assert_int_equal(f.breaks, 0);
	fake_close(&f);
}

static void test_odd_but_legal(void **state)
{
	const struct fake_buf nothing = { UINT64_MAX, 0 }, table = { TABLE, 3 * 16, IND | WRITE },
			      long_table = { TABLE + 0x1000, 130 * 16, IND };
	const struct fake_buf holes[] = { { DATA_ADDR, 4, 0x7f78 }, { 0, 0 },
		{ DATA_ADDR, 8, WRITE } };
	struct fake f;

	fake_start(&f, true, 16, INDIRECT);
	/* Nothing to read or write at all, at an address that is none. */
	fake_list(&f, 0, &nothing, 1);
	/* Empty ones among others; flags that mean nothing. */
	fake_list(&f, 1, holes, 3);
	/* In order whatever NEXT says; WRITE of the descriptor itself is ignored. */
	fake_table(&f, TABLE, 0, DATA_ADDR, 2, 0, 0);
	fake_table(&f, TABLE, 1, DATA_ADDR, 3, WRITE | NEXT, 0);
	fake_table(&f, TABLE, 2, DATA_ADDR, 4, WRITE | NEXT, 0);
	fake_list(&f, 4, &table, 1);
	/* Larger than the vring. */
	for (unsigned i = 0; i < 130; i++)
		fake_table(&f, TABLE + 0x1000, i, DATA_ADDR, 1, i ? WRITE : 0, 0);
	fake_list(&f, 5, &long_table, 1);

	fake_answer(&f, 0, 0);
	fake_answer(&f, 4, 8);
	fake_answer(&f, 2, 7);
	fake_answer(&f, 1, 129);
	assert_null(vq_pop(f.q));
	vq_publish(f.q);
	assert_int_equal(f.breaks, 0);
	assert_int_equal(fake_reap_all(&f), 4);
	fake_close(&f);
}

/* Buffers and tables that lie in two regions, which are apart on the host. */
static void test_straddling(void **state)
{
	enum { N = 40 };
	const uint64_t table = BORDER_ADDR - 16 * 20 - 5;
	const struct fake_buf b = { table, 2 * N * 16, IND };
	const struct fake_buf direct[] = { { BORDER_ADDR - 1, 2 }, { BORDER_ADDR - 3, 4, WRITE } };
	uint8_t sent[N * 64], got[sizeof(sent)];
	struct vq_chain *c;
	struct fake f;

	fake_start(&f, false, 8, INDIRECT);
	for (unsigned i = 0; i < sizeof(sent); i++)
		sent[i] = i ^ i >> 8;
	/* The table lies over the border, one of its entries too, and so does each buffer. */
	for (unsigned i = 0; i < N; i++)
		fake_table(&f, table, i, BORDER_ADDR + 1024 + 64 * i, 64, 0, 0);
	for (unsigned i = 0; i < N; i++)
		fake_table(&f, table, N + i, BORDER_ADDR - 1024 - i, 2048, WRITE, 0);
	for (unsigned i = 0; i < sizeof(sent); i++)
		*(uint8_t *)fake_host(&f, BORDER_ADDR + 1024 + i) = sent[i];
	fake_list(&f, 0, &b, 1);
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

	fake_list(&f, 1, direct, 2);
	c = vq_pop(f.q);
	assert_int_equal(c->out.n_iov, 2);
	assert_int_equal(c->in.n_iov, 2);
	assert_int_equal(iov_push(&c->in, "abcd", 4), 4);
	assert_memory_equal(fake_host(&f, BORDER_ADDR - 3), "abc", 3);
	assert_int_equal(*(char *)fake_host(&f, BORDER_ADDR), 'd');
	vq_push(c);
	vq_publish(f.q);
	assert_int_equal(fake_reap_all(&f), 2);
	fake_close(&f);
}

/* What a previous owner left open is not run again, and goes on missing. */
static void test_open_base(void **state)
{
	struct fake f;

	fake_open(&f, false);
	fake_layout(&f, 8, 0);
	for (unsigned i = 0; i < 3; i++)
		fake_request(&f, i);
	f.setup.base = (fake_base(&f, 0) & 0xffff0000) | (fake_base(&f, 2) & 0xffff);
	fake_vq_start(&f);
	assert_false(vq_is_fresh(f.q));
	assert_int_equal(fake_serve(&f), 1);
	assert_int_equal(fake_reap_all(&f), 1);
	assert_int_equal(fake_vq_stop(&f), 0x80018003);
	fake_close(&f);
}

static void drop_line(enum log_level level, const char *line, void *opaque)
{
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_not_available),
		cmocka_unit_test(test_lists_wrap),
		cmocka_unit_test(test_odd_but_legal),
		cmocka_unit_test(test_straddling),
		cmocka_unit_test(test_open_base),
	};

	log_set_sink(drop_line, NULL);
	fake_format = PACKED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

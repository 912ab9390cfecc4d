/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: how they look to the device, and how they come back. */
#include "fake_device.h"

#include <errno.h>

static void assert_size_is_bad(unsigned size, uint64_t features, const char *what)
{
	GError *error = NULL;
	g_autoptr(driver_mem) mem = driver_mem_new(4096, &error);

	assert_null(driver_ring_new(mem, size, features, &error));
	assert_non_null(strstr(error->message, what));
	g_clear_error(&error);
}

static void test_sizes(void **state)
{
	static const unsigned bad[] = { 0, 3, 255, 32769, 65536, UINT32_MAX };

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_size_is_bad(bad[i], 0, "(a power of two from 1 to 32768)");
	assert_size_is_bad(256, 0, "no room");
	assert_size_is_bad(0, F_PACKED, "(a number from 1 to 32768)");
	assert_size_is_bad(32769, F_PACKED, "(a number from 1 to 32768)");
	assert_size_is_bad(255, F_PACKED, "no room");
}

static void assert_desc(
	const struct vring_desc *d, uint64_t addr, uint32_t len, uint16_t flags, int next)
{
	assert_int_equal(le64toh(d->addr), addr);
	assert_int_equal(le32toh(d->len), len);
	assert_int_equal(le16toh(d->flags), flags);
	if (next >= 0)
		assert_int_equal(le16toh(d->next), next);
}

static void test_chain(void **state)
{
	struct driver_buf buf[] = { { 0xabcdef0123456789, 16 }, { 4096, 512 }, { 7, 1 } };
	const struct vring_desc *d;
	struct fake_device f;
	int head;

	fake_up(&f, 4, 0);
	assert_int_equal(driver_ring_initial_base(f.ring), 0);
	assert_int_equal(driver_ring_add(f.ring, buf, 2, 1, &f), 0);
	assert_int_equal(driver_ring_outstanding(f.ring), 1);
	assert_int_equal(fake_pop(&f), -1); /* not published */
	assert_true(driver_ring_publish(f.ring));
	assert_false(driver_ring_publish(f.ring)); /* nothing new */

	head = fake_pop(&f);
	assert_in_range(head, 0, 3);
	assert_int_equal(fake_pop(&f), -1);
	d = &f.desc[head];
	assert_desc(d, 0xabcdef0123456789, 16, VRING_DESC_F_NEXT, -1);
	d = &f.desc[le16toh(d->next) % 4];
	assert_desc(d, 4096, 512, VRING_DESC_F_NEXT, -1);
	d = &f.desc[le16toh(d->next) % 4];
	assert_desc(d, 7, 1, VRING_DESC_F_WRITE, -1);
	fake_down(&f);
}

static void test_indirect(void **state)
{
	const struct vring_desc *d, *table;
	struct fake_device f;
	int head[2];

	fake_up(&f, 4, F_INDIRECT);
	assert_int_equal(fake_add(&f, 1, 3, 512, 1), 0);
	assert_int_equal(fake_add(&f, 0, 1, 512, 2), 0); /* one buffer needs no table */
	driver_ring_publish(f.ring);
	head[0] = fake_pop(&f);
	head[1] = fake_pop(&f);
	assert_int_not_equal(head[0], head[1]);
	assert_int_equal(le16toh(f.desc[head[1]].flags), VRING_DESC_F_WRITE);

	d = &f.desc[head[0]];
	assert_int_equal(le16toh(d->flags), VRING_DESC_F_INDIRECT);
	assert_int_equal(le32toh(d->len), 4 * sizeof(*table));
	assert_int_equal(le64toh(d->addr) % 16, 0);
	table = driver_mem_host(f.mem, le64toh(d->addr), le32toh(d->len));
	assert_non_null(table);
	assert_desc(&table[0], 0x1234500000000, 512, VRING_DESC_F_NEXT, 1);
	assert_desc(&table[1], 0x1234500000200, 512, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
	assert_desc(&table[2], 0x1234500000400, 512, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 3);
	assert_desc(&table[3], 0x1234500000600, 512, VRING_DESC_F_WRITE, -1);
	fake_down(&f);
}

/* Tables are of different slots: none is written over while its request is out. */
static void test_indirect_apart(void **state)
{
	struct fake_device f;

	fake_up(&f, 128, F_INDIRECT);
	for (unsigned i = 0; i < 128; i++)
		assert_int_equal(fake_add(&f, DRIVER_RING_TABLE_LEN - 1, 1, i + 1, i), 0);
	assert_int_equal(fake_add(&f, 1, 1, 1, 0), -ENOSPC);
	driver_ring_publish(f.ring);
	for (unsigned i = 0; i < 128; i++) {
		const struct vring_desc *d = &f.desc[fake_pop(&f)], *table;

		table = driver_mem_host(f.mem, le64toh(d->addr), le32toh(d->len));
		assert_non_null(table);
		for (unsigned j = 0; j < DRIVER_RING_TABLE_LEN; j++)
			assert_int_equal(le32toh(table[j].len), i + 1);
	}
	fake_down(&f);

	/* Longer than a table: a chain in the vring. */
	fake_up(&f, 128, F_INDIRECT);
	assert_int_equal(fake_add(&f, DRIVER_RING_TABLE_LEN, 1, 1, 0), 0);
	driver_ring_publish(f.ring);
	assert_int_equal(le16toh(f.desc[fake_pop(&f)].flags), VRING_DESC_F_NEXT);
	assert_int_equal(fake_add(&f, DRIVER_RING_TABLE_LEN, 1, 1, 0), -ENOSPC);
	fake_down(&f);
}

/* Returns where another device goes on after `used` requests. */
static uint32_t resume_base(const struct fake_device *f, unsigned used)
{
	return f->is_packed ? driver_ring_initial_base(f->ring) : used;
}

static void full(uint64_t features)
{
	struct fake_device f;

	fake_up(&f, 8, features);
	assert_int_equal(fake_add(&f, 0, 0, 1, 0), -EINVAL);
	assert_int_equal(fake_add(&f, 5, 4, 1, 0), -ENOSPC);
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(fake_add(&f, 1, 2, 8, 1), 0);
		assert_int_equal(fake_add(&f, 2, 2, 8, 2), 0);
		assert_int_equal(fake_add(&f, 1, 1, 8, 3), -ENOSPC);
		assert_int_equal(fake_add(&f, 1, 0, 8, 3), 0);
		assert_int_equal(fake_add(&f, 1, 0, 8, 4), -ENOSPC);
		assert_int_equal(driver_ring_outstanding(f.ring), 3);
		driver_ring_publish(f.ring);
		for (unsigned i = 0; i < 3; i++)
			fake_push(&f, fake_pop(&f), i == 2 ? 0 : 16);
		assert_reap_fails(&f, 0);
		assert_int_equal(driver_ring_resume_base(f.ring), resume_base(&f, 3 * round));
		fake_publish(&f);
		assert_int_equal(driver_ring_resume_base(f.ring), resume_base(&f, 3 * round + 3));
		assert_reaped(&f, 1, 16);
		assert_reaped(&f, 2, 16);
		assert_reaped(&f, 3, 0);
		assert_reap_fails(&f, 0);
		assert_int_equal(driver_ring_outstanding(f.ring), 0);
	}
	fake_down(&f);
}

static void test_full(void **state)
{
	full(0);
	full(F_PACKED);
	full(F_PACKED | F_IN_ORDER);
}

/*
 * Runs long past 2^16 requests, completed in any order the features allow, in bursts of any
 * size; the model is which token went with which head.
 */
static void run_long(unsigned size, uint64_t features)
{
	g_autofree unsigned *token_of = g_new(unsigned, size);
	g_autofree int *out = g_new(int, size);
	unsigned n_out = 0, added = 0, reaped = 0;
	g_autoptr(GRand) rand = g_rand_new_with_seed(size);
	g_autofree uint8_t *seen = g_new0(uint8_t, 140000);
	struct fake_device f;

	fake_up(&f, size, features);
	while (reaped < 140000) {
		unsigned burst = g_rand_int_range(rand, 1, 2 * size), first = added, done = 0;
		void *token;
		uint32_t len;

		while (burst-- > 0 && added < 140000 &&
			fake_add(&f, added % MIN(size, 2), 1, 1 + added % 100, added) == 0)
			added++;
		driver_ring_publish(f.ring);
		for (int head; (head = fake_pop(&f)) >= 0; first++) {
			token_of[head] = first;
			out[n_out++] = head;
		}
		assert_int_equal(first, added);
		for (unsigned n = g_rand_int_range(rand, 1, n_out + 1); n > 0; n--, done++) {
			unsigned i = features & F_IN_ORDER ? 0 : g_rand_int_range(rand, 0, n_out);
			int head = out[i];

			fake_push(&f, head, 1 + token_of[head] % 100);
			memmove(&out[i], &out[i + 1], (--n_out - i) * sizeof(out[0]));
		}
		fake_publish(&f);
		while (done > 0 && driver_ring_reap(f.ring, &token, &len) == 1) {
			unsigned t = GPOINTER_TO_UINT(token);

			assert_true(t < added);
			assert_int_equal(seen[t]++, 0);
			assert_int_equal(len, 1 + t % 100);
			if (features & F_IN_ORDER)
				assert_int_equal(t, reaped);
			reaped++;
			done--;
		}
		assert_int_equal(done, 0);
		assert_int_equal(driver_ring_outstanding(f.ring), added - reaped);
	}
	assert_reap_fails(&f, 0);
	fake_down(&f);
}

static void test_long(void **state)
{
	run_long(1, 0);
	run_long(2, 0);
	run_long(4, F_INDIRECT);
	run_long(64, F_EVENT_IDX);
	run_long(64, F_INDIRECT | F_EVENT_IDX | F_IN_ORDER);
	run_long(8, F_IN_ORDER);
}

static void test_long_packed(void **state)
{
	run_long(1, F_PACKED);
	run_long(2, F_PACKED | F_IN_ORDER);
	run_long(5, F_PACKED | F_INDIRECT);
	run_long(64, F_PACKED | F_EVENT_IDX);
	run_long(63, F_PACKED | F_INDIRECT | F_EVENT_IDX | F_IN_ORDER);
	run_long(7, F_PACKED | F_IN_ORDER);
}

/* Fills the largest vring: index differences reach 32768. */
static void largest(uint64_t features)
{
	struct fake_device f;

	fake_up(&f, 32768, features | F_EVENT_IDX);
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 32768; i++)
			assert_int_equal(fake_add(&f, 0, 1, 8, i), 0);
		assert_int_equal(fake_add(&f, 0, 1, 8, 0), -ENOSPC);
		assert_int_equal(driver_ring_outstanding(f.ring), 32768);
		fake_ask_kick(&f, 32767);
		assert_true(driver_ring_publish(f.ring));
		for (int head; (head = fake_pop(&f)) >= 0;)
			fake_push(&f, head, 8);
		fake_publish(&f);
		for (unsigned i = 0; i < 32768; i++)
			assert_reaped(&f, i, 8);
		assert_reap_fails(&f, 0);
	}
	fake_down(&f);
}

static void test_largest(void **state)
{
	largest(0);
	largest(F_PACKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fd_checked(test_sizes),
		fd_checked(test_chain),
		fd_checked(test_indirect),
		fd_checked(test_indirect_apart),
		fd_checked(test_full),
		fd_checked(test_long),
		fd_checked(test_long_packed),
		fd_checked(test_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine and a driver that has manners, for every combination of features: random requests, of
 * which the data is checked both ways, completed in any order; both sides sleep whenever they may.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "driver/driver_ring.h"
#include "ring/vq_engine.h"
#include "tests/lib/test.h"

#define FEATURE(bit) (UINT64_C(1) << (bit))
#define SLOTS 512 /* the most requests out */
#define BUFFERS 6
#define BUFFER_BYTES 64
#define TOTAL 6000

/* The first buffer names the slot; each byte is derived from it. */
struct trip_request {
	bool out;
	unsigned n_out, n_in;
	size_t answer;
};

struct trip {
	struct driver_mem *mem;
	struct driver_ring *ring;
	struct guest_mem *guest;
	struct vq *q;
	GRand *rand;
	uint64_t data;
	struct trip_request request[SLOTS];
	struct vq_chain *held[SLOTS];
	unsigned n_held, added, reaped;
	bool kicked, called;
};

static void on_call(void *opaque)
{
	((struct trip *)opaque)->called = true;
}

static void on_broken(void *opaque, const char *reason)
{
	fail_msg("broken: %s", reason);
}

static uint64_t buffer(const struct trip *t, unsigned slot, unsigned i)
{
	return t->data + (slot * BUFFERS + i) * BUFFER_BYTES;
}

/* Returns a length: all buffers but the first, which has the slot's number, are of odd lengths. */
static uint32_t length(unsigned slot, unsigned i)
{
	return i ? 1 + (slot * 7 + i * 13) % BUFFER_BYTES : sizeof(uint32_t);
}

static void add(struct trip *t)
{
	struct driver_buf buf[BUFFERS];
	unsigned slot = 0, n;
	struct trip_request *r;

	while (t->request[slot].out)
		slot++;
	r = &t->request[slot];
	r->n_out = g_rand_int_range(t->rand, 1, BUFFERS);
	r->n_in = g_rand_int_range(t->rand, 0, BUFFERS - r->n_out + 1);
	n = r->n_out + r->n_in;
	for (unsigned i = 0; i < n; i++)
		buf[i] = (struct driver_buf){ buffer(t, slot, i), length(slot, i) };
	*(uint32_t *)driver_mem_host(t->mem, buf[0].addr, sizeof(slot)) = slot;
	for (unsigned i = 1; i < n; i++)
		memset(driver_mem_host(t->mem, buf[i].addr, buf[i].len), i < r->n_out ? slot : 0,
			buf[i].len);
	if (driver_ring_add(t->ring, buf, r->n_out, r->n_in, r) == -ENOSPC)
		return;
	r->out = true;
	t->added++;
}

static void drive(struct trip *t)
{
	uint32_t len;
	void *token;
	int got;

	do {
		while ((got = driver_ring_reap(t->ring, &token, &len)) == 1) {
			struct trip_request *r = token;
			unsigned slot = r - t->request;

			assert_true(r->out);
			assert_int_equal(len, r->answer);
			for (unsigned i = r->n_out; i < r->n_out + r->n_in; i++) {
				uint32_t here = MIN(len, length(slot, i));
				uint8_t *p = driver_mem_host(t->mem, buffer(t, slot, i), here + 1);

				for (uint32_t k = 0; k < here; k++)
					assert_int_equal(p[k], (uint8_t)(slot + 1));
				len -= here;
			}
			r->out = false;
			t->reaped++;
		}
		assert_int_equal(got, 0);
	} while (driver_ring_arm(t->ring));
	for (unsigned n = g_rand_int_range(t->rand, 1, 40); n && t->added < TOTAL; n--)
		if (t->added - t->reaped < SLOTS)
			add(t);
	t->kicked |= driver_ring_publish(t->ring);
}

/* Answers with as much as there is room for, or less. */
static void answer(struct trip *t, struct vq_chain *c)
{
	uint8_t byte, fill[BUFFERS * BUFFER_BYTES];
	struct trip_request *r;
	uint32_t slot;

	assert_int_equal(iov_pull(&c->out, &slot, sizeof(slot)), sizeof(slot));
	assert_in_range(slot, 0, SLOTS - 1);
	while (iov_pull(&c->out, &byte, 1))
		assert_int_equal(byte, (uint8_t)slot);
	r = &t->request[slot];
	assert_true(r->out);
	memset(fill, slot + 1, sizeof(fill));
	r->answer = iov_push(&c->in, fill, g_rand_int_range(t->rand, 0, sizeof(fill)));
	vq_push(c);
}

static void serve(struct trip *t)
{
	do {
		struct vq_chain *c;

		vq_burst_begin(t->q);
		while ((c = vq_pop(t->q))) {
			t->held[t->n_held++] = c;
			if (t->n_held < 20 || g_rand_int_range(t->rand, 0, 3))
				continue;
			for (unsigned n = g_rand_int_range(t->rand, 1, 20); n; n--) {
				unsigned i = g_rand_int_range(t->rand, 0, t->n_held);

				answer(t, t->held[i]);
				t->held[i] = t->held[--t->n_held];
			}
		}
		while (t->n_held)
			answer(t, t->held[--t->n_held]);
	} while (vq_burst_end(t->q) == VQ_MORE);
}

static void run(unsigned size, uint64_t features)
{
	static const struct vq_hooks hooks = { .call = on_call, .broken = on_broken };
	struct vq_setup setup = { .size = size, .features = features };
	struct trip t = { .rand = g_rand_new_with_seed(size), .kicked = true, .called = true };
	struct mem_region_desc desc;
	int fd;

	t.mem = driver_mem_new(driver_ring_footprint(size, features) + (1 << 20), NULL);
	t.ring = driver_ring_new(t.mem, size, features, NULL);
	assert_non_null(t.ring);
	t.data = driver_mem_alloc(t.mem, SLOTS * BUFFERS * BUFFER_BYTES + 1, 64);
	assert_true(t.data);
	driver_mem_describe(t.mem, &desc, &fd);
	t.guest = guest_mem_new();
	assert_true(guest_mem_set(t.guest, &desc, &fd, 1, NULL));
	t.q = vq_new(0, t.guest, &hooks, &t);
	driver_ring_addresses(t.ring, &setup.desc, &setup.avail, &setup.used);
	setup.base = driver_ring_initial_base(t.ring);
	assert_true(vq_start(t.q, &setup, NULL));
	assert_true(vq_is_fresh(t.q));

	while (t.reaped < TOTAL) {
		assert_true(t.called || t.kicked);
		if (t.called) {
			t.called = false;
			drive(&t);
		}
		if (t.kicked) {
			t.kicked = false;
			serve(&t);
		}
	}
	assert_int_equal(t.added, TOTAL);
	vq_stop(t.q);
	vq_free(t.q);
	guest_mem_free(t.guest);
	driver_ring_free(t.ring);
	driver_mem_free(t.mem);
	g_rand_free(t.rand);
}

static void test_round_trips(void **state)
{
	static const unsigned bits[] = { VIRTIO_F_RING_PACKED, VIRTIO_RING_F_INDIRECT_DESC,
		VIRTIO_RING_F_EVENT_IDX, VIRTIO_F_IN_ORDER };
	static const unsigned sizes[] = { 8, 64, 32768 };
	unsigned fds = count_fds();

	for (unsigned mask = 0; mask < 1 << G_N_ELEMENTS(bits); mask++) {
		uint64_t features = 0;

		for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++)
			if (mask >> i & 1)
				features |= FEATURE(bits[i]);
		for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++)
			run(sizes[i], features);
		/* Others than powers of two. */
		if (mask & 1)
			run(101, features);
	}
	assert_int_equal(count_fds(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

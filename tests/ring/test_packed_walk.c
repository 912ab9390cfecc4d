/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A long random walk around packed vrings of odd sizes: lists of any length, completed in any
 * order, put back, cut short by stops; with both sides asleep whenever they may be. What is lost,
 * twice there or out of order shows, and so does a kick or a call that never came.
 */
#include "fake.h"

#include <string.h>

#include "base/util.h"

#define MAX_SIZE 100
#define STEPS 20000

static struct walk {
	struct fake f;
	GRand *rand;
	unsigned size, room; /* descriptors that the driver has */
	unsigned taken[MAX_SIZE]; /* by the request of this id; 0: there is none */
	uint16_t fifo[MAX_SIZE]; /* ids in the order they were made available, not popped yet */
	unsigned first, n_fifo;
	struct vq_chain *held[MAX_SIZE];
	uint16_t held_id[MAX_SIZE];
	unsigned n_held;
	uint32_t len[MAX_SIZE]; /* of those that are pushed */
	bool pushed[MAX_SIZE];
	bool device_awake, driver_awake;
	unsigned calls, completed;
} w;

static unsigned below(unsigned n)
{
	return g_rand_int_range(w.rand, 0, n);
}

static bool wants_kick(uint16_t from, unsigned n)
{
	uint32_t wish;

	shm_full_barrier();
	wish = shm_load32(w.f.device);
	if (wish >> 16 != VRING_PACKED_EVENT_FLAG_DESC)
		return wish >> 16 != VRING_PACKED_EVENT_FLAG_DISABLE;
	for (unsigned i = 0; i < n; i++)
		if (fake_packed_move(&w.f, from, i) == (uint16_t)wish)
			return true;
	return false;
}

static void add(void)
{
	struct fake_buf buf[MAX_SIZE];
	unsigned id = below(w.size), n;
	uint16_t from = w.f.at;

	if (!w.room || w.taken[id])
		return;
	n = below(4) ? 1 + below(MIN(3, w.room)) : 1 + below(w.room);
	for (unsigned i = 0; i < n; i++)
		buf[i] = (struct fake_buf){ DATA_ADDR + 16 * id, 16, VRING_DESC_F_WRITE };
	fake_list(&w.f, id, buf, n);
	w.taken[id] = n;
	w.room -= n;
	w.fifo[(w.first + w.n_fifo++) % MAX_SIZE] = id;
	w.device_awake |= wants_kick(from, n);
}

static bool pop(void)
{
	struct vq_chain *c = vq_pop(w.f.q);
	uint16_t id = w.fifo[w.first];

	if (!c)
		return false;
	assert_true(w.n_fifo);
	assert_int_equal(iov_left(&c->in), 16 * w.taken[id]);
	if (below(8) == 0) {
		vq_unpop(c);
		return true;
	}
	memset(fake_host(&w.f, DATA_ADDR + 16 * id), id, 16);
	w.first = (w.first + 1) % MAX_SIZE;
	w.n_fifo--;
	w.held_id[w.n_held] = id;
	w.held[w.n_held++] = c;
	return true;
}

static void push(void)
{
	unsigned i = below(w.n_held), id = w.held_id[i];

	w.len[id] = iov_push_zeroes(&w.held[i]->in, below(2) * 16);
	w.pushed[id] = true;
	vq_push(w.held[i]);
	w.held[i] = w.held[--w.n_held];
	w.held_id[i] = w.held_id[w.n_held];
}

/* Plays a device that sometimes leaves off, and comes back by itself. */
static void device(void)
{
	bool left = false;

	if (!w.device_awake && !w.n_held)
		return;
	vq_burst_begin(w.f.q);
	if (w.device_awake) {
		vq_announce(w.f.q);
		while (!left && pop())
			left = below(6) == 0;
	}
	while (w.n_held && below(3))
		push();
	w.device_awake = vq_burst_end(w.f.q) == VQ_MORE || left;
}

static void driver(void)
{
	uint32_t id, len;

	if (!w.driver_awake && w.f.calls == w.calls)
		return;
	w.calls = w.f.calls;
	w.driver_awake = true;
	while (fake_reap(&w.f, &id, &len)) {
		assert_true(id < w.size && w.taken[id] && w.pushed[id]);
		assert_int_equal(len, w.len[id]);
		w.pushed[id] = false;
		w.room += w.taken[id];
		w.taken[id] = 0;
		w.completed++;
	}
	if (below(2))
		w.driver_awake = fake_arm(&w.f);
}

static void stop(void)
{
	vq_drain(w.f.q);
	while (w.n_held)
		push();
	w.f.setup.base = fake_vq_stop(&w.f);
	fake_vq_start(&w.f);
	w.device_awake = true;
}

static void walk(unsigned size, uint64_t features, uint32_t seed)
{
	memset(&w, 0, sizeof(w));
	w.rand = g_rand_new_with_seed(seed);
	w.size = w.room = size;
	w.device_awake = w.driver_awake = true;
	fake_start(&w.f, seed % 2, size, features);
	for (unsigned i = 0; i < STEPS; i++) {
		unsigned what = below(64);

		if (what < 30)
			add();
		else if (what < 50)
			device();
		else if (what < 63)
			driver();
		else
			stop();
	}
	/* All is completed by those who know that they have something to do. */
	for (unsigned i = 0; i < 1000; i++) {
		device();
		driver();
	}
	assert_int_equal(w.f.breaks, 0);
	assert_int_equal(w.room, size);
	assert_in_range(w.completed, 100, UINT_MAX);
	g_rand_free(w.rand);
	fake_close(&w.f);
}

static void test_event_idx(void **state)
{
	static const unsigned sizes[] = { 1, 2, 3, 5, 7, 8, 13, 64, MAX_SIZE };

	for (unsigned i = 0; i < 2 * G_N_ELEMENTS(sizes); i++)
		walk(sizes[i / 2], EVENT_IDX, i);
}

static void test_flags(void **state)
{
	static const unsigned sizes[] = { 1, 3, 7, MAX_SIZE };

	for (unsigned i = 0; i < 2 * G_N_ELEMENTS(sizes); i++)
		walk(sizes[i / 2], 0, i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_idx),
		cmocka_unit_test(test_flags),
	};

	fake_format = PACKED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The in-flight area: what is in it when, what is run again, and areas that are wrong. */
#include "fake.h"

#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "virtio/inflight.h"
#include "ring/vq_inflight_impl.h"

#define RING 8

static unsigned lines;
static char line[256];

static void on_log(enum log_level level, const char *text, void *opaque)
{
	lines++;
	g_strlcpy(line, text, sizeof(line));
}

/* Where the area is: beside guest memory, as the one in life. */
static union {
	uint8_t bytes[2048];
	struct virtio_inflight_split split;
	struct virtio_inflight_packed packed;
} area;

static size_t area_len(void)
{
	return virtio_inflight_bytes(RING, fake_format);
}

static void setup(struct fake *f, uint64_t features)
{
	fake_open(f, false);
	fake_layout(f, RING, features);
	f->setup.inflight = area.bytes;
	f->setup.inflight_len = area_len();
	lines = 0;
}

static void start(struct fake *f, uint64_t features)
{
	memset(&area, 0, sizeof(area));
	setup(f, features);
	fake_vq_start(f);
}

static unsigned in_flight(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RING; i++)
		n += fake_format ? area.packed.entry[i].inflight : area.split.entry[i].inflight;
	return n;
}

/* Dies as an owner: a queue that knows nothing takes its place. */
static void die(struct fake *f)
{
	uint8_t left[sizeof(area)], ring[DATA_ADDR - GUEST_ADDR];
	struct vq_chain *c;

	memcpy(left, &area, sizeof(area));
	memcpy(ring, fake_host(f, GUEST_ADDR), sizeof(ring));
	vq_break(f->q, "death");
	while ((c = g_queue_pop_head(vq_data(f->q))))
		vq_push(c);
	fake_vq_stop(f);
	memcpy(&area, left, sizeof(area));
	memcpy(fake_host(f, GUEST_ADDR), ring, sizeof(ring));
	f->breaks = f->calls = lines = 0;
}

/* Pops n, which are held until the owner dies, or this pushes one. */
static void hold(struct fake *f, unsigned n)
{
	for (; n; n--)
		g_queue_push_tail(vq_data(f->q), vq_pop(f->q));
}

static void push(struct fake *f, unsigned nth)
{
	vq_push(g_queue_pop_nth(vq_data(f->q), nth));
}

static void expect_used(struct fake *f, const unsigned *ids, unsigned n)
{
	uint32_t id, len;

	for (unsigned i = 0; i < n; i++) {
		assert_true(fake_reap(f, &id, &len));
		assert_int_equal(id, ids[i]);
	}
	assert_false(fake_reap(f, &id, &len));
}

static void test_size(void **state)
{
	assert_int_equal(virtio_inflight_bytes(1, false), 64);
	assert_int_equal(virtio_inflight_bytes(128, false), 16 + 128 * 16 + 48);
	assert_int_equal(virtio_inflight_bytes(32768, false), 16 + 32768 * 16 + 48);
	assert_int_equal(virtio_inflight_bytes(1, true), 64);
	assert_int_equal(virtio_inflight_bytes(128, true), 32 + 128 * 32 + 32);
	assert_int_equal(virtio_inflight_bytes(32768, true), 32 + 32768 * 32 + 32);
}

/* In it from the pop to the publication. */
static void test_marks(void **state)
{
	g_autoptr(GQueue) held = g_queue_new();
	struct fake f;

	start(&f, 0);
	assert_int_equal(area.split.version, 1);
	assert_int_equal(area.split.desc_num, RING);
	vq_set_data(f.q, held);
	for (unsigned i = 0; i < 4; i++)
		fake_request(&f, i);
	hold(&f, 3);
	assert_int_equal(in_flight(), 3);
	vq_unpop(g_queue_pop_tail(held));
	assert_int_equal(in_flight(), 2);
	push(&f, 1);
	assert_int_equal(in_flight(), 2);
	vq_publish(f.q);
	assert_int_equal(in_flight(), 1);
	if (!fake_format)
		assert_int_equal(area.split.used_idx, 1);
	else
		assert_int_equal(area.packed.used.idx, 1);
	push(&f, 0);
	vq_drain(f.q);
	fake_vq_stop(&f);
	assert_int_equal(in_flight(), 0);
	assert_int_equal(area.split.version, 1);
	assert_int_equal(lines, 0);
	fake_close(&f);
}

/* By the order in which they were taken, before those that never were, and their completion. */
static void test_retry(void **state)
{
	static const unsigned first[] = { 1 }, rest[] = { 3, 0, 2, 6, 5 };
	g_autoptr(GQueue) held = g_queue_new();
	struct fake f;

	start(&f, 0);
	vq_set_data(f.q, held);
	fake_request(&f, 3);
	fake_request(&f, 1);
	fake_request(&f, 0);
	fake_request(&f, 2);
	hold(&f, 4);
	push(&f, 1);
	vq_publish(f.q);
	expect_used(&f, first, 1);
	fake_request(&f, 6);
	die(&f);
	fake_request(&f, 5);
	/* What the front-end says is from long ago. */
	fake_vq_start(&f);
	assert_non_null(strstr(line, "3 requests that were in flight are run again"));
	/* It may stop before it has run them all. */
	vq_burst_begin(f.q);
	hold(&f, 1);
	vq_drain(f.q);
	push(&f, 0);
	f.setup.base = fake_vq_stop(&f);
	assert_int_equal(in_flight(), 2);
	fake_vq_start(&f);
	assert_int_equal(fake_serve(&f), 4);
	expect_used(&f, rest, 5);
	assert_int_equal(in_flight(), 0);
	assert_int_equal(f.breaks, 0);
	fake_close(&f);
}

/* The driver may be waiting for a call that the one before did not live to make: once. */
static void test_call(void **state)
{
	const unsigned ids[] = { 0 };
	struct fake f;

	start(&f, EVENT_IDX);
	assert_int_equal(fake_serve(&f), 0);
	assert_int_equal(f.calls, 0);
	fake_request(&f, 0);
	assert_int_equal(fake_serve(&f), 1);
	expect_used(&f, ids, 1);
	fake_vq_stop(&f);
	f.calls = 0;
	fake_vq_start(&f);
	assert_int_equal(fake_serve(&f), 0);
	assert_int_equal(f.calls, 1);
	assert_int_equal(fake_serve(&f), 0);
	assert_int_equal(f.calls, 1);
	fake_close(&f);
}

/* Without an area, the used index has to say what is missing: it follows the available ring. */
static void test_order_without_area(void **state)
{
	static const unsigned split[] = { 0, 1, 2 }, packed[] = { 2, 1, 0 };
	g_autoptr(GQueue) held = g_queue_new();
	struct fake f;

	for (unsigned any_order = 0; any_order < 2; any_order++) {
		memset(&area, 0, sizeof(area));
		setup(&f, 0);
		f.setup.inflight = NULL;
		f.setup.any_order = any_order;
		fake_vq_start(&f);
		vq_set_data(f.q, held);
		for (unsigned i = 0; i < 3; i++)
			fake_request(&f, i);
		hold(&f, 3);
		for (unsigned i = 3; i > 0; i--)
			push(&f, i - 1);
		vq_publish(f.q);
		expect_used(&f, !any_order && !fake_format ? split : packed, 3);
		fake_close(&f);
	}
}

/* Only a reset helps a broken queue: what it took is not for the next driver. */
static void test_broken(void **state)
{
	const unsigned ids[] = { 4 };
	struct vq_chain *c;
	struct fake f;

	start(&f, 0);
	fake_request(&f, 0);
	c = vq_pop(f.q);
	vq_break(f.q, "test");
	vq_push(c);
	assert_int_equal(in_flight(), 1);
	fake_vq_stop(&f);
	assert_int_equal(area.split.version, 0);
	fake_layout(&f, RING, 0);
	f.setup.inflight = area.bytes;
	f.setup.inflight_len = area_len();
	fake_vq_start(&f);
	fake_request(&f, 4);
	assert_int_equal(fake_serve(&f), 1);
	expect_used(&f, ids, 1);
	fake_close(&f);
}

static void test_unfit(void **state)
{
	struct fake f;

	for (unsigned i = 0; i < 4; i++) {
		memset(&area, 0, sizeof(area));
		setup(&f, 0);
		if (i == 0)
			f.setup.inflight_len--;
		if (i == 1)
			f.setup.inflight = area.bytes + 4;
		if (i == 2)
			area.split.version = 2;
		if (i == 3) {
			area.split.version = 1;
			area.split.desc_num = RING;
			memset(&area.split.used_idx, 0x55, 2);
			memset(&area.packed.used, 0x55, 8);
		}
		fake_vq_start(&f);
		assert_int_equal(lines, 1);
		assert_non_null(strstr(line,
			i < 2 ? "are not recorded: the vring of 8 needs"
			      : "does not go with the vring"));
		fake_request(&f, 0);
		assert_int_equal(fake_serve(&f), 1);
		assert_int_equal(area.split.version, i >= 2);
		fake_close(&f);
	}
}

/* Spoils a field: few of the many values that it can have make it go far. */
static void spoil(GRand *rand, unsigned n)
{
	static const uint8_t values[] = { 0, 0, 1, 1, 2, RING - 1, RING, 0x80, 0xff };

	for (; n; n--)
		area.bytes[g_rand_int_range(rand, 0, area_len())] =
			values[g_rand_int_range(rand, 0, G_N_ELEMENTS(values))];
}

/* Nothing that is in it, or gets into it, does harm: at worst the queue breaks. */
static void test_hostile(void **state)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(3);
	g_autoptr(GQueue) held = g_queue_new();
	unsigned broken = 0, served = 0;
	struct fake f;

	start(&f, INDIRECT);
	vq_set_data(f.q, held);
	for (unsigned round = 0; round < 20000; round++) {
		spoil(rand, g_rand_int_range(rand, 0, 30));
		for (unsigned i = 0; i < 4; i++)
			fake_request(&f, i);
		vq_burst_begin(f.q);
		for (unsigned i = 0; i < 3; i++) {
			struct vq_chain *c = vq_pop(f.q);

			if (c)
				g_queue_push_tail(held, c);
			spoil(rand, round % 2 ? 2 : 0);
		}
		if (round % 3 == 0 && held->length)
			vq_unpop(g_queue_pop_tail(held));
		spoil(rand, round % 2 ? 2 : 0);
		served += held->length;
		for (struct vq_chain *c; (c = g_queue_pop_head(held));)
			vq_push(c);
		vq_drain(f.q);
		broken += vq_is_broken(f.q);
		f.setup.base = fake_vq_stop(&f);
		fake_reap_all(&f);
		if (round % 4 == 0) {
			fake_layout(&f, RING, INDIRECT);
			f.setup.inflight = area.bytes;
			f.setup.inflight_len = area_len();
		}
		area.split.version = 1;
		area.split.desc_num = RING;
		if (vq_start(f.q, &f.setup, NULL))
			continue;
		fake_layout(&f, RING, INDIRECT);
		f.setup.inflight = area.bytes;
		f.setup.inflight_len = area_len();
		fake_vq_start(&f);
	}
	assert_in_range(served, 1000, UINT_MAX);
	/* A split area names descriptors only, each of which is good for a request. */
	assert_in_range(broken, fake_format ? 100 : 0, 19000);
	fake_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_order_without_area),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_unfit),
		cmocka_unit_test(test_hostile),
	};

	log_set_sink(on_log, NULL);
	return fake_run_both(tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests left over stop and start: who remembers them, in which order they come, who drops them.
 */
#include "fake.h"

#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "ring/vq_impl.h"
#include "virtio/inflight.h"

#define RING 8
#define WRITE VRING_DESC_F_WRITE

/* What there is to remember a request by. */
static const struct mode {
	const char *name;
	bool area, any_order;
	uint64_t features;
} modes[] = {
	{ "area", .area = true },
	{ "area, in order", .area = true, .features = IN_ORDER },
	{ "area, any order", .area = true, .any_order = true },
	{ "no area" },
	{ "no area, in order", .features = IN_ORDER },
	{ "no area, any order", .any_order = true },
};

static _Alignas(64) uint8_t area[1024];

static bool in_order(const struct mode *m)
{
	return m->features || (!fake_format && !m->area && !m->any_order);
}

static void layout(struct fake *f, const struct mode *m)
{
	fake_layout(f, RING, m->features);
	f->setup.any_order = m->any_order;
	if (m->area) {
		f->setup.inflight = area;
		f->setup.inflight_len = virtio_inflight_bytes(RING, fake_format);
	}
}

static void start(struct fake *f, const struct mode *m)
{
	memset(area, 0, sizeof(area));
	fake_open(f, true);
	layout(f, m);
	fake_vq_start(f);
	assert_false(vq_is_resumed(f->q));
	vq_burst_begin(f->q);
}

static void restart(struct fake *f)
{
	f->setup.base = fake_vq_stop(f);
	fake_vq_start(f);
	assert_true(vq_is_resumed(f->q));
	vq_burst_begin(f->q);
}

/* Makes a request: each id has a buffer of its own length at its own address. */
static void request(struct fake *f, unsigned id)
{
	const struct fake_buf b = { DATA_ADDR + 64 * id, 16 + id, WRITE };

	fake_list(f, id, &b, 1);
}

static void requests(struct fake *f, unsigned first, unsigned n)
{
	for (unsigned id = first; id < first + n; id++)
		request(f, id);
}

static struct vq_chain *pop(struct fake *f, unsigned id, bool retry)
{
	struct vq_chain *c = vq_pop(f->q);

	if (!c)
		fail_msg("no request %u: %s", id, f->reason);
	assert_int_equal(iov_left(&c->in), 16 + id);
	assert_ptr_equal(c->in.iov->iov_base, fake_host(f, DATA_ADDR + 64 * id));
	assert_int_equal(vq_is_retry(c), retry);
	return c;
}

static void serve(struct fake *f, const char *ids, bool retry)
{
	for (; *ids; ids++)
		vq_push(pop(f, *ids - '0', retry));
}

static void expect_used(struct fake *f, const char *ids)
{
	uint32_t id, len;

	for (; *ids; ids++) {
		assert_true(fake_reap(f, &id, &len));
		assert_int_equal(id, *ids - '0');
	}
	assert_false(fake_reap(f, &id, &len));
}

static void test_keep(const struct mode *m)
{
	struct vq_chain *c[4];
	struct fake f;

	start(&f, m);
	requests(&f, 0, 5);
	for (unsigned i = 0; i < 4; i++)
		c[i] = pop(&f, i, false);
	vq_push(c[1]);
	vq_drain(f.q);
	vq_keep(c[2]);
	vq_keep(c[0]);
	vq_push(c[3]);
	assert_int_equal(vq_in_flight(f.q), 0);
	assert_int_equal(vq_stats(f.q)->popped, 2);
	restart(&f);
	expect_used(&f, in_order(m) ? "" : "13");
	request(&f, 5);
	/* It may stop again before they are all fetched, or done. */
	c[0] = pop(&f, 0, true);
	vq_drain(f.q);
	vq_keep(c[0]);
	restart(&f);
	serve(&f, in_order(m) ? "0123" : "02", true);
	serve(&f, "45", false);
	assert_null(vq_pop(f.q));
	restart(&f);
	assert_null(vq_pop(f.q));
	expect_used(&f, in_order(m) ? "012345" : "0245");
	/* All of the vring can be used again. */
	requests(&f, 0, RING);
	serve(&f, "01234567", false);
	fake_vq_stop(&f);
	expect_used(&f, "01234567");
	assert_int_equal(f.breaks, 0);
	fake_close(&f);
}

/*
 * Any one can be put back, and keeps its place; once the vring is past it, it is kept at the stop.
 */
static void test_unpop(const struct mode *m)
{
	struct vq_chain *c[3];
	struct fake f;

	start(&f, m);
	requests(&f, 0, 4);
	for (unsigned i = 0; i < 3; i++)
		c[i] = pop(&f, i, false);
	vq_push(c[2]);
	vq_unpop(c[1]);
	vq_unpop(c[0]);
	assert_int_equal(vq_in_flight(f.q), 0);
	c[0] = pop(&f, 0, false);
	c[1] = pop(&f, 1, false);
	vq_unpop(c[1]);
	vq_publish(f.q);
	expect_used(&f, in_order(m) ? "" : "2");
	vq_drain(f.q);
	vq_unpop(c[0]);
	restart(&f);
	serve(&f, in_order(m) ? "012" : "01", true);
	serve(&f, "3", false);
	fake_vq_stop(&f);
	expect_used(&f, in_order(m) ? "0123" : "013");
	fake_close(&f);
}

/* The driver begins anew: its base counts, not the area. */
static void test_reset(const struct mode *m)
{
	struct vq_chain *c;
	struct fake f;

	start(&f, m);
	requests(&f, 0, 3);
	serve(&f, "0", false);
	c = pop(&f, 1, false);
	vq_drain(f.q);
	vq_keep(c);
	fake_vq_stop(&f);
	layout(&f, m);
	fake_vq_start(&f);
	assert_false(vq_is_resumed(f.q));
	vq_burst_begin(f.q);
	requests(&f, 1, 2);
	serve(&f, "12", false);
	fake_vq_stop(&f);
	expect_used(&f, "12");
	fake_close(&f);
}

/* It breaks after a request was handed back: that one is not returned any more. */
static void test_broken(const struct mode *m)
{
	struct vq_chain *c[2];
	struct fake f;

	start(&f, m);
	requests(&f, 0, 3);
	c[0] = pop(&f, 0, false);
	c[1] = pop(&f, 1, false);
	vq_drain(f.q);
	vq_keep(c[0]);
	vq_break(f.q, "test");
	vq_keep(c[1]);
	fake_vq_stop(&f);
	layout(&f, m);
	fake_vq_start(&f);
	assert_null(vq_pop(f.q));
	fake_close(&f);
}

/* The memory of a kept request is looked up as that of a new one. */
static void test_memory_changed(const struct mode *m)
{
	const struct mem_region_desc second = {
		.guest_addr = BORDER_ADDR,
		.user_addr = fake_user(BORDER_ADDR),
		.size = REGION_BYTES,
	};
	const struct fake_buf b = { BORDER_ADDR, 16, WRITE };
	struct vq_chain *c;
	struct fake f;

	start(&f, m);
	fake_list(&f, 1, &b, 1);
	c = vq_pop(f.q);
	vq_drain(f.q);
	vq_keep(c);
	f.setup.base = fake_vq_stop(&f);
	assert_true(guest_mem_remove(f.mem, &second, NULL));
	fake_vq_start(&f);
	vq_burst_begin(f.q);
	assert_null(vq_pop(f.q));
	fake_expect_broken(&f, "is not in guest memory");
	fake_close(&f);
}

static void test_modes(void **state)
{
	static void (*const tests[])(const struct mode *) = { test_keep, test_unpop, test_reset,
		test_broken, test_memory_changed };

	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++)
		for (unsigned k = 0; k < G_N_ELEMENTS(tests); k++) {
			print_message("%s: %u\n", modes[i].name, k);
			tests[k](&modes[i]);
		}
}

static void test_discard(void **state)
{
	struct fake_buf buf[] = { { DATA_ADDR, 4096 }, { DATA_ADDR + 4096, 8192, WRITE } };
	struct vq_chain *c;
	struct fake f;
	uint8_t *data;

	fake_start(&f, false, RING, 0);
	data = fake_host(&f, DATA_ADDR);
	memset(data, 7, 3 * 4096);
	fake_list(&f, 0, buf, 2);
	c = vq_pop(f.q);
	vq_discard(c);
	assert_int_equal(data[4095], 7);
	assert_int_equal(data[4096], 0);
	assert_int_equal(data[3 * 4096 - 1], 0);
	vq_push(c);
	fake_close(&f);
}

static void drop_line(enum log_level level, const char *line, void *opaque)
{
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_discard),
	};

	log_set_sink(drop_line, NULL);
	return fake_run_both(tests);
}

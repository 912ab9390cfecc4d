/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An owner dies and another one goes on: every request is run, every one is completed once, and
 * none is run again whose completion the driver has seen.
 *
 * After each of its writes to the in-flight area, vring and area are copied as they are; the driver
 * reaps and refills its vring as it would, and a second queue recovers from the copy. This one dies
 * at its writes, too, and a third recovers: at one of STRIDE, which is another one at each death of
 * the first, so that all come about.
 *
 *	test_ring_recover [all]		all: at each of them
 */
#include "fake.h"

#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "virtio/inflight.h"
#include "ring/vq_inflight_impl.h"

#define RING 8
#define IDS 32
#define AREA_ADDR (GUEST_ADDR + 0xc0000)
#define WRITE VRING_DESC_F_WRITE
#define LIVES 3
#define STRIDE 53

/* What an owner and its driver have got to. */
struct life {
	struct fake f;
	unsigned added;
	unsigned request[RING]; /* which is known to the vring by this id */
	bool out[RING];
	unsigned ran[IDS], completed[IDS];
	unsigned taken_last; /* the request popped last */
	bool has_frame; /* two requests are, or were, completed as one: */
	unsigned frame[2];
};

static struct life lives[LIVES];
/* Whose writes are looked at; LIVES: of none. */
static unsigned now = LIVES;
static unsigned deaths, second_writes;
static unsigned stride = STRIDE;

static uint32_t area_len(const struct fake *f)
{
	return virtio_inflight_bytes(RING, f->setup.features & PACKED);
}

/* Counts ids 0, 2, 4, ...: those of a split vring are descriptors, and it may take two. */
static unsigned taken(unsigned id)
{
	return 1 + id / 2 % 2;
}

/*
 * Adds requests of one and two buffers, as long as there is room; the first buffer names the
 * request.
 */
static void refill(struct life *l)
{
	for (unsigned id = 0; id < RING && l->added < IDS; id += 2) {
		const struct fake_buf buf[] = { { DATA_ADDR + 64 * l->added, 4 },
			{ DATA_ADDR + 64 * l->added + 4, 4, WRITE } };

		if (l->out[id])
			continue;
		*(uint32_t *)fake_host(&l->f, buf[0].addr) = l->added;
		fake_list(&l->f, id, buf, taken(id));
		l->out[id] = true;
		l->request[id] = l->added++;
	}
}

static void reap(struct life *l)
{
	uint32_t id, len;

	while (fake_reap(&l->f, &id, &len)) {
		assert_in_range(id, 0, RING - 1);
		assert_true(l->out[id]);
		assert_int_equal(len, taken(id) - 1);
		l->out[id] = false;
		l->completed[l->request[id]]++;
	}
}

static struct vq_chain *take(struct life *l)
{
	struct vq_chain *c = vq_pop(l->f.q);
	uint32_t request;

	if (c) {
		iov_pull(&c->out, &request, sizeof(request));
		assert_in_range(request, 0, IDS - 1);
		l->ran[request]++;
		l->taken_last = request;
		iov_push(&c->in, "x", 1);
	}
	return c;
}

/* Serves all at once, or each publication by itself, with the driver looking in between. */
static void serve(struct life *l)
{
	do {
		struct vq_chain *c;

		vq_burst_begin(l->f.q);
		while ((c = take(l))) {
			vq_push(c);
			if (deaths % 2) {
				vq_publish(l->f.q);
				reap(l);
			}
		}
	} while (vq_burst_end(l->f.q) == VQ_MORE);
}

/* Pushes two requests that the driver sees both or none of. */
static void push_frame(struct life *l)
{
	struct vq_chain *c[2];

	vq_burst_begin(l->f.q);
	for (unsigned i = 0; i < 2; i++) {
		c[i] = take(l);
		l->frame[i] = l->taken_last;
	}
	l->has_frame = true;
	vq_push_all(c, 2);
	vq_burst_end(l->f.q);
	reap(l);
	refill(l);
}

/* Does what an owner may do: out of order, in batches, with a request put back. */
static void work(struct life *l)
{
	struct vq *q = l->f.q;
	struct vq_chain *c[4];

	fake_vq_start(&l->f);
	vq_burst_begin(q);
	for (unsigned i = 0; i < 4; i++)
		c[i] = take(l);
	vq_unpop(c[3]);
	vq_push(c[2]);
	vq_publish(q);
	vq_push(c[0]);
	vq_push(take(l));
	vq_publish(q);
	vq_push(c[1]);
	vq_burst_end(q);
	reap(l);
	refill(l);
	push_frame(l);
	serve(l);
}

/* Copies: the life after this one begins where this one is. */
static struct life *copy(const struct life *l)
{
	static const struct {
		uint64_t addr;
		unsigned len;
	} parts[] = { { GUEST_ADDR, RING * 16 }, { GUEST_ADDR + 0x80000, 64 },
		{ GUEST_ADDR + 0xa0000, 128 }, { AREA_ADDR, 1024 }, { DATA_ADDR, 64 * IDS } };
	struct life *next = &lives[l - lives + 1];
	struct fake f = next->f;

	*next = *l;
	next->f.fds = f.fds;
	next->f.host = f.host;
	next->f.mem = f.mem;
	next->f.memfd = f.memfd;
	next->f.q = f.q;
	fake_places(&next->f);
	next->f.setup.inflight = fake_host(&next->f, AREA_ADDR);
	for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
		memcpy(fake_host(&next->f, parts[i].addr),
			fake_host((struct fake *)&l->f, parts[i].addr), parts[i].len);
	return next;
}

static void check_life(struct life *l)
{
	unsigned ran[IDS], completed[IDS];

	reap(l);
	if (l->has_frame)
		assert_int_equal(l->completed[l->frame[0]], l->completed[l->frame[1]]);
	l->has_frame = false;
	/* Now the driver is alone for a while. */
	refill(l);
	memcpy(ran, l->ran, sizeof(ran));
	memcpy(completed, l->completed, sizeof(completed));
	fake_vq_start(&l->f);
	serve(l);
	assert_int_equal(l->f.breaks, 0);
	for (unsigned i = 0; i < l->added; i++) {
		assert_int_equal(l->ran[i], ran[i] + !completed[i]);
		assert_true(l->ran[i] > 0);
	}
	/* All of the vring can be used again. */
	for (unsigned i = 0; i < 2; i++) {
		reap(l);
		for (unsigned k = 0; k < l->added; k++)
			assert_int_equal(l->completed[k], 1);
		refill(l);
		serve(l);
	}
	assert_int_equal(l->f.breaks, 0);
	fake_vq_stop(&l->f);
}

/* Runs from the engine. */
void area_written(void)
{
	unsigned life = now;

	if (life + 1 >= LIVES)
		return;
	if (life == 0)
		deaths++;
	else if ((second_writes++ + deaths) % stride)
		return;
	now = life + 1;
	check_life(copy(&lives[life]));
	now = life;
}

/*
 * Runs from a place in the vring on, at which it wraps soon; with an area as it is at first, or
 * not.
 */
static void run(unsigned place, uint64_t features, bool fresh)
{
	struct life *l = &lives[0];

	memset(lives, 0, sizeof(lives));
	for (unsigned i = 0; i < LIVES; i++)
		fake_open(&lives[i].f, false);
	fake_layout(&l->f, RING, features);
	l->f.setup.inflight = fake_host(&l->f, AREA_ADDR);
	l->f.setup.inflight_len = area_len(&l->f);
	l->f.setup.base = fake_base(&l->f, place);
	l->f.seen = l->f.at = l->f.used_at = l->f.setup.base;
	if (!fake_format)
		l->f.avail->idx = l->f.used->idx = place;
	for (unsigned i = 0; fake_format && i < RING; i++)
		l->f.list[i].flags = (i < place % RING) == (place < RING) ? 0x8080 : 0;
	if (!fresh) {
		fake_vq_start(&l->f);
		fake_vq_stop(&l->f);
	}
	refill(l);
	deaths = second_writes = 0;
	now = 0;
	work(l);
	now = LIVES;
	assert_in_range(deaths, 80, UINT_MAX);
	assert_in_range(second_writes, 20 * deaths, UINT_MAX);
	fake_vq_stop(&l->f);
	for (unsigned i = LIVES; i > 0; i--)
		fake_close(&lives[i - 1].f);
}

static void test_out_of_order(void **state)
{
	for (unsigned place = 0; place < 2 * RING; place++)
		run(fake_format ? place : 65520 + place, 0, false);
}

static void test_event_idx(void **state)
{
	run(RING + 5, EVENT_IDX, false);
}

static void test_in_order(void **state)
{
	run(5, IN_ORDER, false);
}

static void test_from_the_beginning(void **state)
{
	run(0, 0, true);
}

static void drop_line(enum log_level level, const char *line, void *opaque)
{
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_event_idx),
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_from_the_beginning),
	};

	if (argc > 1)
		stride = 1;
	log_set_sink(drop_line, NULL);
	return fake_run_both(tests);
}

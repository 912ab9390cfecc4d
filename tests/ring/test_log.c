/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dirty log against what has changed in guest memory, byte by byte: random requests, each page
 * that the device changed is marked, and none that it had no reason to write. A driver and a device
 * that take turns: what changes during the device's turn is its doing.
 *
 * An owner dies by having all that others see put back to what it was at one of its writes to the
 * in-flight area: the engine calls the test there.
 */
#include "fake.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "memory/dirty_log.h"
#include "ring/vq_inflight_impl.h"
#include "tests/lib/test.h"

#define RING 32
#define SLOTS 8
#define PER_SLOT (RING / SLOTS) /* descriptors; the ids are multiples of it */
#define PAGE DIRTY_LOG_PAGE
#define TABLES DATA_ADDR
#define BUFFERS (DATA_ADDR + 0x10000)
#define SLOT_BYTES 0x10000u
#define WINDOW (BUFFERS + SLOTS * SLOT_BYTES - GUEST_ADDR) /* all that is ever written */
#define PAGES (WINDOW / PAGE)
#define LOG_BYTES (END_ADDR / PAGE / 8)
#define AREA_BYTES 0x4000u
#define WRITE VRING_DESC_F_WRITE

/* A page of the window, from its guest address. */
#define PAGE_OF(addr) (((addr)-GUEST_ADDR) / PAGE)

struct stage {
	struct fake f;
	int fd;
	struct dirty_log *log;
	uint8_t *bits;
	uint8_t before[WINDOW];
	bool may[PAGES]; /* the device may write them in this turn */
	bool busy[SLOTS];
	struct vq_chain *held[SLOTS];
	unsigned n_held;
	uint64_t state; /* of random() */
	uint64_t area[AREA_BYTES / sizeof(uint64_t)];
	unsigned until_death; /* writes to the area; 0: it lives */
	struct {
		uint8_t memory[WINDOW], bits[LOG_BYTES], area[AREA_BYTES];
	} death;
};

static struct stage the_stage;

/* Runs from the engine. */
void area_written(void)
{
	struct stage *w = &the_stage;

	if (!w->until_death || --w->until_death)
		return;
	memcpy(w->death.memory, fake_host(&w->f, GUEST_ADDR), WINDOW);
	memcpy(w->death.bits, w->bits, LOG_BYTES);
	memcpy(w->death.area, w->area, AREA_BYTES);
}

static unsigned any(struct stage *w, unsigned n)
{
	w->state = w->state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (w->state >> 33) % n;
}

static void may_write(struct stage *w, uint64_t addr, uint64_t len)
{
	for (uint64_t page = PAGE_OF(addr); len && page <= PAGE_OF(addr + len - 1); page++)
		w->may[page] = true;
}

static void may_write_ring(struct stage *w)
{
	const struct vq_setup *s = &w->f.setup;
	const uint64_t user = fake_user(0);

	if (!s->logs_ring)
		return;
	may_write(w, s->used - user, 6 + 8 * RING);
	if (s->features & PACKED)
		may_write(w, s->desc - user, 16 * RING);
}

/* Submits one request of up to four buffers, in the slot's own pages. */
static void submit(struct stage *w, unsigned slot)
{
	uint64_t at = BUFFERS + slot * SLOT_BYTES + any(w, PAGE), table = TABLES + slot * PAGE;
	unsigned n = 1 + any(w, PER_SLOT), n_out = any(w, n + 1);
	struct fake_buf buf[PER_SLOT], indirect;

	for (unsigned i = 0; i < n; i++) {
		buf[i] = (struct fake_buf){ at, 1 + any(w, 12000), i < n_out ? 0 : WRITE };
		at += buf[i].len + any(w, 3) * 1000;
		if (buf[i].flags)
			may_write(w, buf[i].addr, buf[i].len);
	}
	w->busy[slot] = true;
	if (!(w->f.setup.features & INDIRECT) || any(w, 2)) {
		fake_list(&w->f, slot * PER_SLOT, buf, n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		fake_table(&w->f, table, i, buf[i].addr, buf[i].len,
			buf[i].flags | (i < n - 1 ? VRING_DESC_F_NEXT : 0), i + 1);
	indirect = (struct fake_buf){ table, 16 * n, VRING_DESC_F_INDIRECT };
	fake_list(&w->f, slot * PER_SLOT, &indirect, 1);
}

static void begin_turn(struct stage *w)
{
	memcpy(w->before, fake_host(&w->f, GUEST_ADDR), WINDOW);
	memset(w->bits, 0, LOG_BYTES);
}

/* Allows the device to write what it has not completed yet in the next turn, too. */
static void may_write_held(struct stage *w)
{
	for (unsigned slot = 0; slot < SLOTS; slot++)
		if (w->busy[slot])
			may_write(w, BUFFERS + slot * SLOT_BYTES, SLOT_BYTES);
}

/* Takes the driver's turn; then begins the device's. */
static void driver(struct stage *w)
{
	uint32_t id, len;

	while (fake_reap(&w->f, &id, &len))
		w->busy[id / PER_SLOT] = false;
	for (unsigned slot = 0; slot < SLOTS; slot++)
		if (!w->busy[slot] && any(w, 2))
			submit(w, slot);
	if (any(w, 2))
		fake_arm(&w->f);
	may_write_ring(w);
	may_write_held(w);
	begin_turn(w);
}

static bool is_marked(const struct stage *w, unsigned page)
{
	unsigned bit = GUEST_ADDR / PAGE + page;

	return w->bits[bit / 8] >> bit % 8 & 1;
}

/*
 * Checks that every page that changed is marked; with a log of the ring, no other than might
 * have changed.
 */
static void check_turn(struct stage *w)
{
	const uint8_t *now = fake_host(&w->f, GUEST_ADDR);
	bool logs_ring = w->f.setup.logs_ring;

	for (unsigned i = 0; i < PAGES; i++) {
		bool changed = memcmp(now + i * PAGE, w->before + i * PAGE, PAGE) != 0;

		if (changed && !is_marked(w, i) && (logs_ring || i >= PAGE_OF(DATA_ADDR)))
			fail_msg("page %u has changed and is not marked", i);
		if (is_marked(w, i) && !w->may[i])
			fail_msg("page %u is marked, and is not written", i);
	}
	for (unsigned i = 0; i < LOG_BYTES; i++)
		if (i < GUEST_ADDR / PAGE / 8 || i >= (GUEST_ADDR + WINDOW) / PAGE / 8)
			assert_int_equal(w->bits[i], 0);
	memset(w->may, 0, sizeof(w->may));
}

/* Writes some of what it may; with a status byte at the end, as disks do, or without. */
static void answer(struct stage *w, struct vq_chain *c)
{
	uint8_t noise[16384];
	uint8_t *status = any(w, 2) ? iov_split_last(&c->in) : NULL;

	for (unsigned i = any(w, 4); i > 0; i--) {
		memset(noise, any(w, 256), sizeof(noise));
		iov_push(&c->in, noise, 1 + any(w, sizeof(noise)));
	}
	if (status)
		iov_put_last(&c->in, status, any(w, 256));
	vq_push(c);
}

/* Takes the device's turn: takes some, puts one back, completes some in any order. */
static void device(struct stage *w)
{
	struct vq *q = w->f.q;
	struct vq_chain *c;

	do {
		vq_burst_begin(q);
		vq_announce(q);
		while (w->n_held < SLOTS && any(w, 8) && (c = vq_pop(q)))
			w->held[w->n_held++] = c;
		if (w->n_held && !any(w, 4))
			vq_unpop(w->held[--w->n_held]);
		while (w->n_held && any(w, 4)) {
			unsigned i = any(w, w->n_held);

			c = w->held[i];
			w->held[i] = w->held[--w->n_held];
			answer(w, c);
		}
	} while (vq_burst_end(q) == VQ_MORE && any(w, 4));
}

static void make(struct stage *w, bool map, uint64_t features)
{
	memset(w, 0, sizeof(*w));
	fake_open(&w->f, map);
	w->f.bounce = map;
	w->fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->fd, LOG_BYTES), 0);
	w->bits = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	assert_ptr_not_equal(w->bits, MAP_FAILED);
	w->log = dirty_log_new(w->fd, LOG_BYTES, 0, NULL);
	assert_non_null(w->log);
	guest_mem_set_log(w->f.mem, w->log);
	fake_layout(&w->f, RING, features);
	w->f.setup.logs_ring = true;
	w->f.setup.log_addr = w->f.setup.used - fake_user(0);
}

static void finish(struct stage *w)
{
	while (w->n_held)
		answer(w, w->held[--w->n_held]);
	fake_vq_stop(&w->f);
	dirty_log_free(w->log);
	munmap(w->bits, LOG_BYTES);
	close(w->fd);
	fake_close(&w->f);
}

/* Completes whatever is available, or recovered. */
static void complete_all(struct stage *w)
{
	struct vq_chain *c;

	while (w->n_held)
		answer(w, w->held[--w->n_held]);
	do {
		vq_burst_begin(w->f.q);
		while ((c = vq_pop(w->f.q)))
			answer(w, c);
	} while (vq_burst_end(w->f.q) == VQ_MORE);
}

static unsigned turns(void)
{
	return test_under_valgrind() ? 20 : 300;
}

/* How a run differs from others. */
enum how { USUAL, MAPPED, NO_RING };

static void run(enum how how, uint64_t features)
{
	struct stage *w = &the_stage;

	make(w, how == MAPPED, features);
	w->f.setup.logs_ring = how != NO_RING;
	begin_turn(w);
	may_write_ring(w);
	fake_vq_start(&w->f);
	check_turn(w);
	for (unsigned i = 0; i < turns(); i++) {
		driver(w);
		device(w);
		/* What waits for an earlier one is not marked before that. */
		if (features & IN_ORDER)
			complete_all(w);
		check_turn(w);
	}
	assert_int_equal(w->f.breaks, 0);
	finish(w);
}

/* Goes on, if it was to die, where that was; it has run to its end meanwhile. */
static bool succeed(struct stage *w)
{
	if (w->until_death)
		return false;
	fake_vq_stop(&w->f);
	memcpy(fake_host(&w->f, GUEST_ADDR), w->death.memory, WINDOW);
	memcpy(w->bits, w->death.bits, LOG_BYTES);
	memcpy(w->area, w->death.area, AREA_BYTES);
	fake_vq_start(&w->f);
	return true;
}

static void run_deaths(uint64_t features)
{
	struct stage *w = &the_stage;
	unsigned deaths = 0;

	make(w, false, features);
	w->f.setup.inflight = w->area;
	w->f.setup.inflight_len = AREA_BYTES;
	fake_vq_start(&w->f);
	for (unsigned i = 0; i < turns(); i++) {
		driver(w);
		w->until_death = 1 + any(w, 60);
		device(w);
		complete_all(w);
		deaths += succeed(w);
		w->until_death = 0;
		complete_all(w);
		check_turn(w);
	}
	assert_int_equal(w->f.breaks, 0);
	assert_in_range(deaths, turns() / 4, turns());
	finish(w);
}

static void test_direct(void **state)
{
	run(USUAL, 0);
}

static void test_indirect_event_idx(void **state)
{
	run(USUAL, INDIRECT | EVENT_IDX);
	/* Without VHOST_VRING_F_LOG. */
	run(NO_RING, INDIRECT | EVENT_IDX);
}

static void test_in_order(void **state)
{
	run(USUAL, INDIRECT | IN_ORDER);
}

/* Memory that is mapped, and copied, for each request. */
static void test_bounced(void **state)
{
	run(MAPPED, INDIRECT | EVENT_IDX);
}

static void test_recovery(void **state)
{
	run_deaths(INDIRECT);
	run_deaths(EVENT_IDX);
}

/* What a device keeps when the queue stops, and what it was at when the queue broke. */
static void test_unfinished(void **state)
{
	const struct fake_buf b[] = { { BUFFERS, 3 * PAGE, WRITE },
		{ BUFFERS + 8 * PAGE, 1, WRITE } };
	struct stage *w = &the_stage;

	for (unsigned broken = 0; broken < 2; broken++) {
		struct vq_chain *c;

		make(w, false, 0);
		fake_vq_start(&w->f);
		fake_list(&w->f, 0, b, 2);
		begin_turn(w);
		vq_burst_begin(w->f.q);
		c = vq_pop(w->f.q);
		if (broken) {
			vq_break(w->f.q, "a test");
			vq_push(c);
		} else {
			vq_drain(w->f.q);
			vq_keep(c);
		}
		fake_vq_stop(&w->f);
		for (unsigned i = 0; i < 9; i++)
			assert_int_equal(is_marked(w, PAGE_OF(BUFFERS) + i), i < 3 || i == 8);
		fake_vq_start(&w->f);
		complete_all(w);
		finish(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_indirect_event_idx),
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_bounced),
		cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_unfinished),
	};

	test_log_discard();
	return fake_run_both(tests);
}

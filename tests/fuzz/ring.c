/* SPDX-License-Identifier: Apache-2.0 */
/* The ring engine: a driver that writes what it likes into vring, tables and in-flight area. */
#include "tests/fuzz/fuzz.h"

#include "tests/lib/test.h"
#include "tests/ring/fake.h"
#include "virtio/inflight.h"

#define HELD 16
#define MAX_SIZE 1024u /* larger vrings are only slower */
#define DESC_AT GUEST_ADDR
#define AVAIL_AT (GUEST_ADDR + 0x80000)
#define USED_AT (GUEST_ADDR + 0xa0000)
#define TABLE_AT (GUEST_ADDR + 0xc0000)
#define AREA_AT (GUEST_ADDR + 0xd0000)

static struct fake fakes[2]; /* with mapped memory, with memory that each request maps */
static struct fake *current;
static struct vq_chain *held[HELD];
static unsigned n_held;

static uint64_t address(struct fuzz_input *in)
{
	static const uint64_t places[] = { DATA_ADDR, TABLE_AT, BORDER_ADDR - 64, END_ADDR - 64,
		DESC_AT, USED_AT, UINT64_MAX - 64, 0 };

	return places[fuzz_below(in, G_N_ELEMENTS(places))] + fuzz_u8(in);
}

/* Writes any bytes, in the vring or what belongs to it. */
static void act_write(struct fuzz_input *in)
{
	static const uint64_t places[] = { DESC_AT, AVAIL_AT, USED_AT, TABLE_AT, AREA_AT };
	uint64_t at = places[fuzz_below(in, G_N_ELEMENTS(places))] + fuzz_u16(in) % 0x4000;

	fuzz_copy(in, fake_host(current, at), fuzz_u8(in));
}

/* Writes a descriptor whose address may be one. */
static void act_desc(struct fuzz_input *in)
{
	uint64_t table = fuzz_u8(in) % 2 ? TABLE_AT : DESC_AT;
	uint16_t i = fuzz_u8(in);
	uint64_t addr = address(in);
	uint32_t len = fuzz_u8(in) % 8 ? fuzz_u8(in) : fuzz_u32(in);
	uint16_t flags = fuzz_u16(in);

	fake_table(current, table, i, addr, len, flags, fuzz_u8(in));
}

static void act_avail(struct fuzz_input *in)
{
	uint16_t id = fuzz_u8(in);

	if (current->setup.features & PACKED) {
		uint8_t flags = fuzz_u8(in), len = fuzz_u8(in);

		fake_packed(current, address(in), len, flags, id);
	} else {
		fake_avail(current, id);
	}
}

/* Reads all of the request and answers it. */
static void answer(struct vq_chain *c)
{
	static uint8_t bytes[4096];

	iov_push(&c->in, bytes, MAX(iov_pull(&c->out, bytes, sizeof(bytes)), 1));
}

static void push_oldest(void)
{
	vq_push(held[0]);
	memmove(held, held + 1, --n_held * sizeof(*held));
}

static void act_serve(struct fuzz_input *in)
{
	unsigned hold = fuzz_u8(in);

	do {
		struct vq_chain *c;

		vq_burst_begin(current->q);
		while ((c = vq_pop(current->q))) {
			answer(c);
			if (n_held == HELD)
				push_oldest();
			held[n_held++] = c;
			if (hold % 8 == 1)
				vq_discard(c);
			if (hold % 4 == 0)
				push_oldest();
		}
	} while (vq_burst_end(current->q) == VQ_MORE);
}

static void act_unpop(struct fuzz_input *in)
{
	vq_burst_begin(current->q);
	if (n_held)
		vq_unpop(held[--n_held]);
	vq_burst_pause(current->q);
	vq_has_more(current->q);
	vq_burst_end(current->q);
}

static void act_push_all(struct fuzz_input *in)
{
	vq_burst_begin(current->q);
	if (n_held)
		vq_push_all(held, n_held);
	n_held = 0;
	vq_burst_end(current->q);
}

/* Stops for a pause: what is held is completed or kept. */
static void stop(bool keep)
{
	vq_burst_begin(current->q);
	vq_drain(current->q);
	for (; n_held; n_held--) {
		if (keep)
			vq_keep(held[n_held - 1]);
		else
			vq_push(held[n_held - 1]);
	}
	vq_burst_end(current->q);
	current->setup.base = fake_vq_stop(current);
}

static void act_restart(struct fuzz_input *in)
{
	stop(fuzz_u8(in) % 2);
	vq_start(current->q, &current->setup, NULL);
}

static void open_fakes(void)
{
	fake_open(&fakes[0], false);
	fake_open(&fakes[1], true); /* the last one: fake.c knows one that maps */
}

/* Clears what a run can have written to. */
static void clear(void)
{
	static const struct {
		uint64_t at;
		uint32_t len;
	} parts[] = { { DESC_AT, 0x5000 }, { AVAIL_AT, 0x5000 }, { USED_AT, 0x5000 },
		{ TABLE_AT, 0x5000 }, { AREA_AT, 0x9000 }, { DATA_ADDR, 0x2000 },
		{ BORDER_ADDR - 64, 64 }, { BORDER_ADDR, 0x2000 }, { END_ADDR - 64, 64 } };

	for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
		memset(fake_host(current, parts[i].at), 0, parts[i].len);
}

static void set_up(struct fuzz_input *in, uint64_t features, bool area)
{
	uint8_t how = fuzz_u8(in);
	uint16_t size = fuzz_u16(in);

	current = &fakes[how & 1];
	fake_new_queue(current);
	clear();
	current->bounce = how & 2;
	current->setup = (struct vq_setup){
		.size = size % 2 ? size % MAX_SIZE : 1u << size % 11,
		.features = features | (fuzz_u64(in) & (EVENT_IDX | INDIRECT | IN_ORDER)),
		.desc = fake_user(DESC_AT),
		.avail = fake_user(AVAIL_AT),
		.used = fake_user(USED_AT),
		.any_order = how & 4,
		.base = how & 8	   ? fuzz_u32(in)
			: features ? 0x80008000
				   : 0,
	};
	current->at = current->used_at = 1u << 15;
	fake_places(current);
	if (area) {
		current->setup.inflight = fake_host(current, AREA_AT);
		current->setup.inflight_len =
			virtio_inflight_bytes(current->setup.size, features) - (how & 16);
		fuzz_copy(in, current->setup.inflight, fuzz_u16(in) % current->setup.inflight_len);
	}
}

static void run(struct fuzz_input *in, uint64_t features, bool area)
{
	static void (*const actions[])(struct fuzz_input * in) = { act_write, act_desc, act_avail,
		act_serve, act_unpop, act_push_all, act_restart };

	set_up(in, features, area);
	if (vq_start(current->q, &current->setup, NULL)) {
		while (fuzz_more(in) && vq_is_started(current->q))
			actions[fuzz_below(in, G_N_ELEMENTS(actions))](in);
		if (vq_is_started(current->q))
			stop(false);
	}
}

static void run_split(struct fuzz_input *in)
{
	run(in, 0, false);
}

static void run_packed(struct fuzz_input *in)
{
	run(in, PACKED, false);
}

static void run_split_area(struct fuzz_input *in)
{
	run(in, 0, true);
}

static void run_packed_area(struct fuzz_input *in)
{
	run(in, PACKED, true);
}

FUZZ_TARGET(split, .setup = open_fakes, .run = run_split);
FUZZ_TARGET(packed, .setup = open_fakes, .run = run_packed);
FUZZ_TARGET(split_area, .setup = open_fakes, .run = run_split_area);
FUZZ_TARGET(packed_area, .setup = open_fakes, .run = run_packed_area);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest, bare metal, in place of the selftest guest's main.c: it writes wrong values to
 * every field of the first disk's vring and to every register, in turn, while requests are in
 * flight there, and checks data on the second disk all the time. After each reset the first disk
 * must work again, and the second one must not be slower than while the first one's driver does
 * all that and nothing wrong.
 */
#include "hostile.h"

#include "kvm-stub/guest/arch.h"
#include "kvm-stub/guest/registers.h"

#include <stdbool.h>
#include <stddef.h>

#define WINDOW 0x140u /* of registers, with the part of the configuration that is of use */
#define MAGIC_VALUE 0x74726976u /* "virt" */
#define ID_BLOCK 2u

enum { DRIVER_OK = 4, FEATURES_OK = 11, NEEDS_RESET = 64 };
enum { DESC_NEXT = 1, DESC_WRITE = 2 };
enum { READ = 0, WRITE = 1 };

#define RING 8u
#define REQUESTS 2u
#define PIECES 3u
#define CHUNK 4096u
#define TURNS 4u /* of the second disk, during each attack */
#define PER_INTERVAL 16u /* attacks */
#define MAX_INTERVALS 128u
#ifndef STEP
#define STEP 7u /* one of so many attacks is made */
#endif
#define LEAST_RATE 80u /* percent */

struct vring {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[RING];
	struct {
		uint16_t flags, idx, ring[RING], used_event;
	} avail;
	volatile struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[RING];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
};

/* What the device reads and writes. */
struct bare_memory {
	struct vring ring;
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header[REQUESTS];
	volatile uint8_t status[REQUESTS];
	uint32_t data[REQUESTS][CHUNK / 4];
};

struct bare_disk {
	uint64_t base;
	uint16_t issued;
	struct bare_memory *memory;
};

/*
 * Far from all else: wrong addresses are the same but for 16 bits, and wrong lengths may be 512
 * KiB; so the first disk does not write to what is ours.
 */
#define HOSTILE_MEMORY ((struct bare_memory *)(uintptr_t)(RAM_BASE + 0x800000))
static struct bare_memory witness_memory __attribute__((aligned(4096)));
static struct bare_disk hostile = { .memory = HOSTILE_MEMORY };
static struct bare_disk witness = { .memory = &witness_memory };
static uint32_t round_of_witness, needed_reset;
static uint64_t witness_ticks; /* that its turns took */

/* A compiler may call it, even without a library. volatile: it must not find one in here. */
void *memset(void *to, int byte, size_t len);
void *memset(void *to, int byte, size_t len)
{
	volatile uint8_t *at = to;

	while (len--)
		*at++ = (uint8_t)byte;
	return to;
}

static void print(const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			arch_putc('\r');
		arch_putc(*s);
	}
}

static void print_number(uint32_t n)
{
	if (n >= 10)
		print_number(n / 10);
	arch_putc((char)('0' + n % 10));
}

static void __attribute__((noreturn)) fail(const char *what, uint32_t n)
{
	print("hostile: FAILED: ");
	print(what);
	print(" (");
	print_number(n);
	print(")\n");
	arch_power_off(true);
}

/* Returns whether something takes too long: minutes, as the machine may be emulated, and busy. */
static bool is_late(uint64_t start)
{
	return arch_ticks() - start > 20 * arch_patience();
}

static void set(const struct bare_disk *k, uint32_t offset, uint32_t value)
{
	mmio_write(k->base + offset, value);
}

static void set_addr(const struct bare_disk *k, uint32_t offset, const volatile void *at)
{
	set(k, offset, (uint32_t)(uintptr_t)at);
	set(k, offset + 4, (uint32_t)((uint64_t)(uintptr_t)at >> 32));
}

/* Sets the device up to the vring, which is not ready yet. */
static void begin(struct bare_disk *k)
{
	uint64_t start = arch_ticks();

	set(k, STATUS, 0);
	while (mmio_read(k->base + STATUS))
		if (is_late(start))
			fail("no end of reset", 0);
	/* The device has let go of it. */
	memset(&k->memory->ring, 0, sizeof(k->memory->ring));
	k->issued = 0;
	set(k, STATUS, 1);
	set(k, STATUS, 3);
	set(k, DRIVER_FEATURES_SEL, 1);
	set(k, DRIVER_FEATURES, 1); /* VERSION_1 */
	set(k, DRIVER_FEATURES_SEL, 0);
	set(k, DRIVER_FEATURES, 0);
	set(k, STATUS, FEATURES_OK);
	set(k, QUEUE_SEL, 0);
	set(k, QUEUE_SIZE, RING);
	set_addr(k, QUEUE_DESC, k->memory->ring.desc);
	set_addr(k, QUEUE_DRIVER, &k->memory->ring.avail);
	set_addr(k, QUEUE_DEVICE, &k->memory->ring.used);
}

static void driver_ok(struct bare_disk *k)
{
	set(k, QUEUE_SEL, 0);
	set(k, QUEUE_READY, 1);
	set(k, STATUS, FEATURES_OK | DRIVER_OK);
}

static void describe(struct bare_disk *k, uint32_t at, void *piece, uint32_t len, uint16_t flags)
{
	k->memory->ring.desc[at].addr = (uintptr_t)piece;
	k->memory->ring.desc[at].len = len;
	k->memory->ring.desc[at].flags = flags;
	k->memory->ring.desc[at].next = (uint16_t)(at + 1);
}

/* Issues REQUESTS chunks from sector on, a request each. */
static void issue(struct bare_disk *k, uint32_t type, uint32_t sector)
{
	for (uint32_t i = 0; i < REQUESTS; i++) {
		uint32_t at = i * PIECES;

		k->memory->header[i].type = type;
		k->memory->header[i].sector = sector + i * (CHUNK / 512);
		k->memory->status[i] = 0xff;
		describe(k, at, &k->memory->header[i], sizeof(k->memory->header[i]), DESC_NEXT);
		describe(k, at + 1, k->memory->data[i], CHUNK,
			DESC_NEXT | (type == READ ? DESC_WRITE : 0));
		describe(k, at + 2, (void *)&k->memory->status[i], 1, DESC_WRITE);
		k->memory->ring.avail.ring[k->issued++ % RING] = (uint16_t)at;
	}
	barrier();
	k->memory->ring.avail.idx = k->issued;
	barrier();
}

static bool is_done(const struct bare_disk *k)
{
	return k->memory->ring.used.idx == k->issued;
}

static void check_status(const struct bare_disk *k, const char *what)
{
	barrier();
	for (uint32_t i = 0; i < REQUESTS; i++)
		if (k->memory->status[i] != 0)
			fail(what, k->memory->status[i]);
}

static uint32_t word_of(uint32_t i, uint32_t j)
{
	return (round_of_witness / 2 << 16) ^ (i << 10 | j) * 2654435761u;
}

/* Writes in even rounds what it reads in odd ones. */
static void issue_witness(void)
{
	for (uint32_t i = 0; i < REQUESTS; i++)
		for (uint32_t j = 0; j < CHUNK / 4; j++)
			witness.memory->data[i][j] = round_of_witness % 2 ? 0 : word_of(i, j);
	issue(&witness, round_of_witness % 2 ? READ : WRITE, 8 * (round_of_witness / 2 % 64));
	set(&witness, QUEUE_NOTIFY, 0);
}

static void wait_for(const struct bare_disk *k, const char *what)
{
	uint64_t start = arch_ticks();

	while (!is_done(k))
		if (is_late(start))
			fail(what, k->memory->ring.used.idx);
}

static void turn_witness(void)
{
	wait_for(&witness, "the other disk does not answer");
	check_status(&witness, "a request of the other disk failed");
	for (uint32_t i = 0; i < REQUESTS && round_of_witness % 2; i++)
		for (uint32_t j = 0; j < CHUNK / 4; j++)
			if (witness.memory->data[i][j] != word_of(i, j))
				fail("the other disk has wrong data", round_of_witness);
	round_of_witness++;
	issue_witness();
}

/* The n-th attack. Memory: places two bytes apart in vring and headers; then registers, twice. */
static const uint32_t values[] = { 0, 1, 2, RING, 0x7fff, 0x8000, 0xffff, 0x80000000, 0xfffff000,
	0xffffffff };
#define VALUES (sizeof(values) / sizeof(*values))
#define RING_PLACES (sizeof(struct vring) / 2)
#define HEADER_PLACES (sizeof(witness_memory.header) / 2)
#define REGISTERS (WINDOW / 4u)
#define PLACES (RING_PLACES + HEADER_PLACES + 2 * REGISTERS)
#define ATTACKS (PLACES * VALUES)

/* Registers while the queue is set up; before: is that now? */
static void attack(uint32_t n, bool before)
{
	uint32_t place = n / VALUES, value = values[n % VALUES];
	bool is_setting = place >= PLACES - REGISTERS;

	if (is_setting != before)
		return;
	if (place < RING_PLACES)
		((volatile uint16_t *)&hostile.memory->ring)[place] = (uint16_t)value;
	else if (place < RING_PLACES + HEADER_PLACES)
		((volatile uint16_t *)hostile.memory->header)[place - RING_PLACES] =
			(uint16_t)value;
	else
		set(&hostile, (place - RING_PLACES - HEADER_PLACES) % REGISTERS * 4, value);
}

static bool needs_reset(void)
{
	return mmio_read(hostile.base + STATUS) & NEEDS_RESET;
}

/* Makes attack n, if wrong; else what an honest driver does. */
static void round_of_hostile(uint32_t n, bool wrong)
{
	uint64_t start;

	begin(&hostile);
	if (wrong)
		attack(n, true);
	driver_ok(&hostile);
	issue(&hostile, n % 2 ? READ : WRITE, 0);
	if (n % 3)
		set(&hostile, QUEUE_NOTIFY, 0);
	if (wrong)
		attack(n, false);
	set(&hostile, QUEUE_NOTIFY, 0);
	start = arch_ticks();
	for (uint32_t i = 0; i < TURNS; i++)
		turn_witness();
	witness_ticks += arch_ticks() - start;
	needed_reset += needs_reset();

	begin(&hostile);
	driver_ok(&hostile);
	issue(&hostile, READ, 0);
	set(&hostile, QUEUE_NOTIFY, 0);
	wait_for(&hostile, "no answer after the reset that followed attack");
	check_status(&hostile, "a request failed after the reset that followed an attack");
}

/* Returns how long the other disk's turns took during PER_INTERVAL attacks from n on. */
static uint32_t interval(uint32_t n, bool wrong)
{
	witness_ticks = 0;
	for (uint32_t i = 0; i < PER_INTERVAL; i++)
		round_of_hostile((n + i * STEP) % ATTACKS, wrong);
	return (uint32_t)(witness_ticks >> 10);
}

/* Returns the other disk's rate, in percent of that beside an honest driver. */
static uint32_t median_rate(uint32_t n)
{
	static uint32_t rates[MAX_INTERVALS];
	uint32_t len = 0;

	for (; len < MAX_INTERVALS && n < ATTACKS; n += PER_INTERVAL * STEP) {
		uint32_t honest = len % 2 ? interval(n, false) : 0;
		uint32_t wrong = interval(n, true);
		uint32_t at = len++;

		if (!honest)
			honest = interval(n, false);
		honest = honest / (wrong / 100 + 1);
		for (; at > 0 && rates[at - 1] > honest; at--)
			rates[at] = rates[at - 1];
		rates[at] = honest;
	}
	return rates[len / 2];
}

static void find_disks(void)
{
	struct bare_disk *const disks[] = { &hostile, &witness };
	uint64_t base;
	uint32_t n = 0;

	for (uint32_t slot = 0; n < 2 && (base = hostile_slot(slot)); slot++) {
		if (mmio_read(base + MAGIC) != MAGIC_VALUE ||
			mmio_read(base + DEVICE_ID) != ID_BLOCK)
			continue;
		disks[n++]->base = base;
	}
	if (n < 2)
		fail("too few disks", n);
}

/* Sets an index further on than the vring is long: no device can miss that. */
static void break_queue(void)
{
	uint64_t start = arch_ticks();

	begin(&hostile);
	driver_ok(&hostile);
	hostile.memory->ring.avail.idx = 0x4000;
	barrier();
	set(&hostile, QUEUE_NOTIFY, 0);
	while (!needs_reset())
		if (is_late(start))
			fail("no NEEDS_RESET", 0);
	round_of_hostile(0, false);
}

void selftest_main(void)
{
	uint32_t rate = 0;

	find_disks();
	begin(&witness);
	driver_ok(&witness);
	issue_witness();
	/* What disturbs the machine is not there every time. */
	for (uint32_t i = 0; i < 3 && rate < LEAST_RATE; i++)
		rate = median_rate((uint32_t)arch_ticks() % STEP);
	break_queue();
	print("hostile: ");
	print_number(ATTACKS / STEP);
	print(" attacks, ");
	print_number(needed_reset);
	print(" times NEEDS_RESET, the other disk at ");
	print_number(rate);
	print(" % of its rate\n");
	if (rate < LEAST_RATE)
		fail("the other disk is slowed down", rate);
	print("hostile: passed\n");
	arch_power_off(false);
}

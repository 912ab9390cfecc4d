/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that no driver should make available, in both formats. A row's descriptors are
 * written as they are: flags and next for a split vring, where a packed one takes next for the id
 * and marks all of them as available.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "memory/shm.h"
#include "tools/check/cases.h"
#include "tools/check/session.h"
#include "tools/check/wire.h"

#define SIZE 16
#define ENTRIES 5
/* Addresses of a row below PLACES are places: */
#define PLACES 0x100000
#define TABLE 0x1000 /* the row's indirect table */
#define AT_END 0x10000 /* the last 100 bytes of memory */
#define AT_DESC 0x10001 /* the vring's own areas */
#define AT_AVAIL 0x10002
#define AT_USED 0x10003
/* Others are offsets of a buffer. */
#define NOWHERE (UINT64_C(1) << 50)

struct entry {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct bad {
	struct entry entry[ENTRIES], table[ENTRIES];
	uint16_t head; /* split: the first available entry */
	uint16_t idx; /* split: the available index; 0: 1 */
	uint16_t event; /* of the driver's event suppression */
};

static uint64_t place(const struct check *k, const struct check_queue *q, uint64_t addr)
{
	struct vu_vring_addr a = session_addr(q, 0);
	struct vu_region all = session_region(k, &(int){ 0 });

	switch (addr) {
	case AT_END:
		return all.guest_addr + all.size - 100;
	case AT_DESC:
		return a.desc;
	case AT_AVAIL:
		return a.avail;
	case AT_USED:
		return a.used;
	}
	return addr < PLACES ? q->buffers + addr : addr;
}

static struct vring_desc made(const struct check *k, const struct check_queue *q, struct entry e)
{
	return (struct vring_desc){
		.addr = htole64(place(k, q, e.addr)),
		.len = htole32(e.len),
		.flags = htole16(e.flags),
		.next = htole16(e.next),
	};
}

static void put_table(const struct check *k, const struct check_queue *q, const struct bad *b)
{
	struct vring_desc *table = driver_mem_host(k->mem, q->buffers + TABLE, sizeof(b->table));

	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = made(k, q, b->table[i]);
}

static void put_split(const struct check *k, const struct check_queue *q, const struct bad *b)
{
	struct vu_vring_addr a = session_addr(q, 0);
	struct vring_desc *desc = driver_mem_host(k->mem, a.desc, SIZE * sizeof(*desc));
	struct vring_avail *avail =
		driver_mem_host(k->mem, a.avail, sizeof(*avail) + (SIZE + 1) * sizeof(uint16_t));

	for (unsigned i = 0; i < ENTRIES; i++)
		desc[i] = made(k, q, b->entry[i]);
	shm_store16(&avail->flags, b->event);
	shm_store16(&avail->ring[SIZE], b->event);
	for (unsigned i = 0; i < SIZE; i++)
		shm_store16(&avail->ring[i], b->head);
	shm_store16_release(&avail->idx, b->idx ? b->idx : 1);
}

/* Writes the first descriptor last, as drivers do. */
static void put_packed(const struct check *k, const struct check_queue *q, const struct bad *b)
{
	struct vu_vring_addr a = session_addr(q, 0);
	struct vring_packed_desc *desc = driver_mem_host(k->mem, a.desc, SIZE * sizeof(*desc));
	uint16_t *event = driver_mem_host(k->mem, a.avail, 4);

	shm_store16(&event[0], b->event);
	shm_store16(&event[1], b->event);
	for (int i = ENTRIES - 1; i >= 0; i--) {
		struct vring_desc d = made(k, q, b->entry[i]);

		if (!b->entry[i].addr && !b->entry[i].flags && i)
			continue;
		desc[i].addr = d.addr;
		desc[i].len = d.len;
		desc[i].id = d.next;
		shm_store16_release(
			&desc[i].flags, b->entry[i].flags | 1u << VRING_PACKED_DESC_F_AVAIL);
	}
}

static void run_bad(struct check *k)
{
	bool packed = k->c->features & VU_BIT(VIRTIO_F_RING_PACKED);
	struct check_queue *q = session_start(k, session_basic_features(k) | k->c->features, SIZE);

	if (check_over(k))
		return;
	put_table(k, q, k->c->data);
	(packed ? put_packed : put_split)(k, q, k->c->data);
	data_kick(k, q);
	framing_settle(k);
	g_usleep(wire_quiet_us(k) / 4);
}

/* Addresses and lengths change while the device reads them. */
static void run_racing(struct check *k)
{
	bool packed = k->c->features & VU_BIT(VIRTIO_F_RING_PACKED);
	struct check_queue *q = session_start(k, session_basic_features(k) | k->c->features, SIZE);
	uint64_t until = (uint64_t)g_get_monotonic_time() + wire_quiet_us(k);
	struct vring_desc *desc;
	struct bad b = *(const struct bad *)k->c->data;

	if (check_over(k))
		return;
	desc = driver_mem_host(k->mem, session_addr(q, 0).desc, SIZE * sizeof(*desc));
	for (b.idx = 1; (uint64_t)g_get_monotonic_time() < until; b.idx++) {
		(packed ? put_packed : put_split)(k, q, &b);
		data_kick(k, q);
		for (unsigned i = 0; i < 100; i++) {
			__atomic_store_n(&desc[1].addr, i % 2 ? UINT64_MAX - i : desc[0].addr,
				__ATOMIC_RELAXED);
			__atomic_store_n(&desc[1].len, i % 3 ? UINT32_MAX : 512, __ATOMIC_RELAXED);
		}
	}
	framing_settle(k);
}

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
/* An ordinary request to a block device; whatever it is to others. */
#define HEADER                 \
	{                      \
		0, 16, NEXT, 1 \
	}
#define DATA                              \
	{                                 \
		512, 512, NEXT | WRITE, 2 \
	}
#define STATUS                    \
	{                         \
		1536, 1, WRITE, 0 \
	}
#define ORDINARY HEADER, DATA, STATUS

#define ROW(name, section, how, bits, ...)                                                   \
	{                                                                                    \
		name, section, how, .features = (bits), .needs = CHECK_DATA | CHECK_HOSTILE, \
				    .data = &(const struct bad)                              \
		{                                                                            \
			__VA_ARGS__                                                          \
		}                                                                            \
	}
#define PACKED VU_BIT(VIRTIO_F_RING_PACKED)
#define TABLES VU_BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define SPLIT_DESC "virtio 1.2 §2.7.5 The Virtqueue Descriptor Table"
#define SPLIT_TABLE "virtio 1.2 §2.7.5.3 Indirect Descriptors"
#define SPLIT_AVAIL "virtio 1.2 §2.7.6 The Virtqueue Available Ring"
#define PACKED_RING "virtio 1.2 §2.8 Packed Virtqueues"

/* Rows that mean the same in both formats. */
#define BOTH(section, prefix, bits)                                                             \
	ROW(prefix "addr-nowhere", section, run_bad, bits,                                      \
		{ HEADER, { NOWHERE, 512, NEXT | WRITE, 2 }, STATUS }),                         \
		ROW(prefix "addr-max", section, run_bad, bits,                                  \
			{ HEADER, { UINT64_MAX - 99, 512, NEXT | WRITE, 2 }, STATUS }),         \
		ROW(prefix "addr-past-end", section, run_bad, bits,                             \
			{ HEADER, { AT_END, 512, NEXT | WRITE, 2 }, STATUS }),                  \
		ROW(prefix "header-nowhere", section, run_bad, bits,                            \
			{ { NOWHERE, 16, NEXT, 1 }, DATA, STATUS }),                            \
		ROW(prefix "status-nowhere", section, run_bad, bits,                            \
			{ HEADER, DATA, { NOWHERE, 1, WRITE, 0 } }),                            \
		ROW(prefix "len-0-header", section, run_bad, bits,                              \
			{ { 0, 0, NEXT, 1 }, DATA, STATUS }),                                   \
		ROW(prefix "len-0-data", section, run_bad, bits,                                \
			{ HEADER, { 512, 0, NEXT | WRITE, 2 }, STATUS }),                       \
		ROW(prefix "len-0-status", section, run_bad, bits,                              \
			{ HEADER, DATA, { 1536, 0, WRITE, 0 } }),                               \
		ROW(prefix "len-max", section, run_bad, bits,                                   \
			{ HEADER, { 512, UINT32_MAX, NEXT | WRITE, 2 }, STATUS }),              \
		ROW(prefix "len-max-twice", section, run_bad, bits,                             \
			{ HEADER, { 512, UINT32_MAX, NEXT | WRITE, 2 },                         \
				{ 512, UINT32_MAX, NEXT | WRITE, 3 }, { 1536, 1, WRITE, 0 } }), \
		ROW(prefix "header-short", section, run_bad, bits,                              \
			{ { 0, 8, NEXT, 1 }, DATA, STATUS }),                                   \
		ROW(prefix "header-alone", section, run_bad, bits, { { 0, 16, 0, 0 } }),        \
		ROW(prefix "status-alone", section, run_bad, bits, { STATUS }),                 \
		ROW(prefix "all-readable", section, run_bad, bits,                              \
			{ HEADER, { 512, 512, NEXT, 2 }, { 1536, 1, 0, 0 } }),                  \
		ROW(prefix "all-writable", section, run_bad, bits,                              \
			{ { 16, 16, NEXT | WRITE, 1 }, DATA, STATUS }),                         \
		ROW(prefix "readable-last", section, run_bad, bits,                             \
			{ { 512, 512, NEXT | WRITE, 1 }, { 1536, 1, NEXT | WRITE, 2 },          \
				{ 0, 16, 0, 0 } }),                                             \
		ROW(prefix "flags-max", section, run_bad, bits,                                 \
			{ { 0, 16, 0x7f78 | NEXT, 1 }, DATA, STATUS }),                         \
		ROW(prefix "over-itself", section, run_bad, bits,                               \
			{ HEADER, { AT_DESC, 512, NEXT | WRITE, 2 }, STATUS }),                 \
		ROW(prefix "over-avail", section, run_bad, bits,                                \
			{ HEADER, { AT_AVAIL, 64, NEXT | WRITE, 2 }, STATUS }),                 \
		ROW(prefix "over-used", section, run_bad, bits,                                 \
			{ HEADER, { AT_USED, 512, NEXT | WRITE, 2 }, STATUS }),                 \
		ROW(prefix "event-max", section, run_bad,                                       \
			(bits) | VU_BIT(VIRTIO_RING_F_EVENT_IDX), { ORDINARY },                 \
			.event = UINT16_MAX),                                                   \
		ROW(prefix "racing", section, run_racing, bits, { ORDINARY })

/* Indirect tables: one descriptor leads to the table of the row. */
#define BOTH_TABLES(section, prefix, bits)                                                         \
	ROW(prefix "table-empty", section, run_bad, bits, { { TABLE, 0, INDIRECT, 0 } },           \
		{ ORDINARY }),                                                                     \
		ROW(prefix "table-odd", section, run_bad, bits, { { TABLE, 49, INDIRECT, 0 } },    \
			{ ORDINARY }),                                                             \
		ROW(prefix "table-max", section, run_bad, bits,                                    \
			{ { TABLE, 0xfffffff0, INDIRECT, 0 } }, { ORDINARY }),                     \
		ROW(prefix "table-nowhere", section, run_bad, bits,                                \
			{ { NOWHERE, 48, INDIRECT, 0 } }),                                         \
		ROW(prefix "table-past-end", section, run_bad, bits,                               \
			{ { AT_END, 160, INDIRECT, 0 } }),                                         \
		ROW(prefix "table-nested", section, run_bad, bits, { { TABLE, 48, INDIRECT, 0 } }, \
			{ { TABLE, 48, INDIRECT, 0 } }),                                           \
		ROW(prefix "table-and-next", section, run_bad, bits,                               \
			{ { TABLE, 48, INDIRECT | NEXT, 1 }, STATUS }, { ORDINARY }),              \
		ROW(prefix "table-and-write", section, run_bad, bits,                              \
			{ { TABLE, 48, INDIRECT | WRITE, 0 } }, { ORDINARY }),                     \
		ROW(prefix "table-over-itself", section, run_bad, bits,                            \
			{ { TABLE, 48, INDIRECT, 0 } },                                            \
			{ HEADER, { TABLE, 512, NEXT | WRITE, 2 }, STATUS })

const struct check_case check_split[] = {
	BOTH(SPLIT_DESC, "split-bad-", 0),
	BOTH_TABLES(SPLIT_TABLE, "split-bad-", TABLES),
	ROW("split-bad-loop", SPLIT_DESC, run_bad, 0, { { 0, 16, NEXT, 0 } }),
	ROW("split-bad-loop-of-two", SPLIT_DESC, run_bad, 0, { HEADER, { 512, 512, NEXT, 0 } }),
	ROW("split-bad-next-size", SPLIT_DESC, run_bad, 0, { { 0, 16, NEXT, SIZE } }),
	ROW("split-bad-next-max", SPLIT_DESC, run_bad, 0, { { 0, 16, NEXT, UINT16_MAX } }),
	ROW("split-bad-table-loop", SPLIT_TABLE, run_bad, TABLES, { { TABLE, 48, INDIRECT, 0 } },
		{ { 0, 16, NEXT, 0 } }),
	ROW("split-bad-table-next-max", SPLIT_TABLE, run_bad, TABLES,
		{ { TABLE, 48, INDIRECT, 0 } }, { { 0, 16, NEXT, UINT16_MAX } }),
	ROW("split-bad-table-unnegotiated", SPLIT_TABLE, run_bad, 0, { { TABLE, 48, INDIRECT, 0 } },
		{ ORDINARY }),
	ROW("split-bad-head-size", SPLIT_AVAIL, run_bad, 0, { ORDINARY }, .head = SIZE),
	ROW("split-bad-head-max", SPLIT_AVAIL, run_bad, 0, { ORDINARY }, .head = UINT16_MAX),
	ROW("split-bad-index-size", SPLIT_AVAIL, run_bad, 0, { ORDINARY }, .idx = SIZE + 1),
	ROW("split-bad-index-max", SPLIT_AVAIL, run_bad, 0, { ORDINARY }, .idx = UINT16_MAX),
	ROW("split-bad-head-twice", SPLIT_AVAIL, run_bad, 0, { ORDINARY }, .idx = 2),
	{ NULL },
};

const struct check_case check_packed[] = {
	BOTH(PACKED_RING, "packed-bad-", PACKED),
	BOTH_TABLES(PACKED_RING, "packed-bad-", PACKED | TABLES),
	ROW("packed-bad-id-max", PACKED_RING, run_bad, PACKED,
		{ HEADER, DATA, { 1536, 1, WRITE, UINT16_MAX } }),
	ROW("packed-bad-no-end", PACKED_RING, run_bad, PACKED,
		{ HEADER, DATA, { 1536, 1, WRITE | NEXT, 0 } }),
	ROW("packed-bad-same-id", PACKED_RING, run_bad, PACKED,
		{ { 0, 16, 0, 3 }, { 512, 512, WRITE, 3 }, { 1536, 1, WRITE, 3 } }),
	{ NULL },
};

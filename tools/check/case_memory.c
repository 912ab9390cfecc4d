/* SPDX-License-Identifier: Apache-2.0 */
/* Memory tables: regions, addresses, changes while vrings run; and tables that cannot be. */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/mman.h>

#include "base/util.h"
#include "tools/check/cases.h"
#include "tools/check/session.h"
#include "tools/check/wire.h"

#define SIZE 64
#define PIECES 8 /* that every back-end must take */
#define USER_OFFSET (UINT64_C(1) << 40)
/* As data.c has it in a slot. */
#define IN_AT 512

/* Starts a vring in piece `piece` of the table, where user addresses differ by so much. */
static struct check_queue *start_in(
	struct check *k, unsigned pieces, unsigned piece, uint64_t user_offset)
{
	const struct check_device *d = k->peer.data;
	struct check_queue *q = NULL;
	struct vu_vring_addr a;
	struct vu_region all;
	int fd;

	session_open(k, session_basic_features(k) | k->c->features);
	session_share(k, pieces, user_offset);
	if (check_over(k))
		return NULL;
	all = session_region(k, &fd);
	if (piece)
		driver_mem_alloc(k->mem, all.size / pieces * piece, 4096);
	q = session_queue(k, d->queue, SIZE);
	if (!q)
		return NULL;
	a = session_addr(q, user_offset * (piece + 1));
	wire_tell_state(k, VU_SET_VRING_NUM, q->index, q->size);
	wire_tell_state(k, VU_SET_VRING_BASE, q->index, driver_ring_initial_base(q->ring));
	wire_tell(k, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
	wire_tell_fd(k, VU_SET_VRING_CALL, q->index, q->call);
	wire_tell_fd(k, VU_SET_VRING_KICK, q->index, q->kick);
	session_enable(k, q, true);
	return q;
}

/* Uses different numbers for guest and user addresses. */
static void run_user_addresses(struct check *k)
{
	data_run(k, start_in(k, 1, 0, USER_OFFSET), 10);
}

/* Uses the piece of eight that arg says, which begins at an offset of its file. */
static void run_pieces(struct check *k)
{
	data_run(k, start_in(k, PIECES, (unsigned)k->c->arg, USER_OFFSET), 10);
}

/* Uses a buffer that begins in one region and ends in the next. */
static void run_straddle(struct check *k)
{
	struct check_queue *q = start_in(k, 2, 0, USER_OFFSET);
	struct vu_region all;
	int fd;

	if (check_over(k))
		return;
	all = session_region(k, &fd);
	/* Half of slot 0's first writable buffer on either side. */
	q->buffers = all.guest_addr + all.size / 2 - IN_AT - k->peer.data->in_len[0] / 2;
	data_run(k, q, 3);
}

/* Sends the same table again, while the vring runs. */
static void run_again(struct check *k)
{
	struct check_queue *q = start_in(k, 1, 0, 0);

	for (unsigned i = 0; i < 5 && !check_over(k); i++) {
		data_run(k, q, 5);
		session_share(k, 1, 0);
	}
	data_run(k, q, 5);
}

/* Changes the table while requests are in flight, as front-ends do that plug memory in. */
static void run_under_load(struct check *k)
{
	struct check_queue *q = start_in(k, 1, 0, 0);

	for (unsigned i = 0; i < 10 && !check_over(k); i++) {
		data_submit(k, q, SIZE);
		session_share(k, 1 << i % 4, 0);
		data_wait(k, q);
	}
}

/* Adds or removes the second half of the memory; sets *buffers to its address. */
static void second_half(struct check *k, uint32_t request, uint64_t *buffers)
{
	int fd;
	struct session_slot m = { .region = session_region(k, &fd) };

	m.region.size /= 2;
	m.region.guest_addr += m.region.size;
	m.region.user_addr += m.region.size;
	m.region.mmap_offset += m.region.size;
	*buffers = m.region.guest_addr;
	wire_tell(k, request, &m, sizeof(m), &fd, request == VU_ADD_MEM_REG);
}

/* Shares the first half only. */
static void share_half(struct check *k)
{
	struct vu_region half;
	int fd;

	if (check_over(k))
		return;
	half = session_region(k, &fd);
	half.size /= 2;
	session_table(k, &half, &fd, 1);
}

/* Buffers in a region that is added while the vring runs, and removed again. */
static void run_slots(struct check *k)
{
	struct check_queue *q = start_in(k, 1, 0, 0);
	uint64_t first, second;

	share_half(k);
	data_run(k, q, 5);
	for (unsigned i = 0; i < 5 && !check_over(k); i++) {
		first = q->buffers;
		second_half(k, VU_ADD_MEM_REG, &second);
		q->buffers = second;
		data_run(k, q, 5);
		second_half(k, VU_REM_MEM_REG, &second);
		q->buffers = first;
		data_run(k, q, 5);
	}
}

/* Adds regions one by one: as many as there are slots, up to 32. */
static void run_all_slots(struct check *k)
{
	uint64_t n;
	struct check_queue *q = start_in(k, 1, 0, 0);
	struct session_slot m = { 0 };
	int fd;

	n = MIN(wire_ask(k, VU_GET_MAX_MEM_SLOTS, NULL, 0), 32);
	share_half(k);
	for (uint64_t i = 1; i < n && !check_over(k); i++) {
		m.region = session_region(k, &fd);
		m.region.size = 4096;
		m.region.mmap_offset = 4096 * i;
		m.region.guest_addr += (UINT64_C(1) << 32) + 4096 * i;
		m.region.user_addr += (UINT64_C(1) << 40) + 4096 * i;
		wire_tell(k, VU_ADD_MEM_REG, &m, sizeof(m), &fd, 1);
	}
	data_run(k, q, 5);
}

/* Sends a table that cannot be: data says what is wrong with its first region. */
static void run_impossible(struct check *k)
{
	const struct vu_region *wrong = k->c->data;
	struct {
		struct vu_mem_table table;
		struct vu_region region[2];
	} m = { .table.n_regions = k->c->arg ? (uint32_t)k->c->arg : 1 };
	int fd[2];

	session_open(k, session_basic_features(k));
	session_memory(k);
	if (check_over(k))
		return;
	m.region[0] = session_region(k, &fd[0]);
	fd[1] = fd[0];
	m.region[1] = m.region[0];
	m.region[0].guest_addr += wrong->guest_addr;
	m.region[0].user_addr += wrong->user_addr;
	m.region[0].size += wrong->size;
	m.region[0].mmap_offset += wrong->mmap_offset;
	wire_send(k, VU_SET_MEM_TABLE, 0, &m,
		sizeof(m.table) + MIN(m.table.n_regions, 2) * sizeof(m.region[0]), fd,
		MIN(m.table.n_regions, 2));
	framing_settle(k);
}

/* Takes memory away while the vring runs: by a table without it. */
static void run_gone(struct check *k)
{
	struct check_queue *q = start_in(k, 1, 0, 0);

	data_run(k, q, 3);
	share_half(k);
	if (check_over(k))
		return;
	q->buffers += session_region(k, &(int){ 0 }).size / 2;
	data_submit(k, q, 1);
	framing_settle(k);
}

static void run_cut(struct check *k)
{
	autofd fd = memfd_create("check-cut", MFD_CLOEXEC);
	struct check_queue *q = start_in(k, 1, 0, 0);
	struct {
		struct vu_mem_table table;
		struct vu_region region[2];
	} m = { .table.n_regions = 2 };
	int fds[2];

	if (check_over(k) || ftruncate(fd, 1 << 20) < 0)
		return;
	m.region[0] = session_region(k, &fds[0]);
	m.region[0].size /= 2;
	m.region[1] = m.region[0];
	m.region[1].guest_addr += m.region[0].size;
	m.region[1].user_addr += m.region[0].size;
	m.region[1].size = 1 << 20;
	fds[1] = fd;
	wire_send(k, VU_SET_MEM_TABLE, 0, &m, sizeof(m), fds, 2);
	framing_settle(k);
	if (ftruncate(fd, 0) < 0)
		return;
	q->buffers = m.region[1].guest_addr;
	data_submit(k, q, 1);
	framing_settle(k);
}

#define TABLE "vhost-user: Front-end message types, VHOST_USER_SET_MEM_TABLE"
#define LAYOUT "vhost-user: Memory regions description"
#define SLOTS "vhost-user: VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS"
#define DATA .needs = CHECK_DATA
#define PACKED .features = VU_BIT(VIRTIO_F_RING_PACKED)
#define CONFIGURE .protocol = VU_BIT(VU_F_CONFIGURE_MEM_SLOTS)
#define HOSTILE .needs = CHECK_HOSTILE
#define OFF(...)                  \
	&(const struct vu_region) \
	{                         \
		__VA_ARGS__       \
	}

const struct check_case check_memory[] = {
	{ "memory-user-addresses", LAYOUT, run_user_addresses, DATA },
	{ "memory-user-addresses-packed", LAYOUT, run_user_addresses, DATA, PACKED },
	{ "memory-first-of-8", LAYOUT, run_pieces, DATA },
	{ "memory-last-of-8", LAYOUT, run_pieces, DATA, .arg = PIECES - 1 },
	{ "memory-last-of-8-packed", LAYOUT, run_pieces, DATA, PACKED, .arg = PIECES - 1 },
	{ "memory-straddle", "virtio 1.2 §2.7.4 Message Framing", run_straddle, DATA },
	{ "memory-again", TABLE, run_again, DATA },
	{ "memory-under-load", TABLE, run_under_load, DATA },
	{ "memory-under-load-packed", TABLE, run_under_load, DATA, PACKED },
	{ "memory-slots", SLOTS, run_slots, DATA, CONFIGURE },
	{ "memory-all-slots", SLOTS, run_all_slots, DATA, CONFIGURE },
	{ "memory-no-region", TABLE, run_impossible, HOSTILE, .data = OFF(0),
		.arg = UINT64_C(1) << 32 },
	{ "memory-too-many", TABLE, run_impossible, HOSTILE, .data = OFF(0), .arg = UINT32_MAX },
	{ "memory-overlap", TABLE, run_impossible, HOSTILE, .data = OFF(.guest_addr = 4096),
		.arg = 2 },
	{ "memory-size-0", TABLE, run_impossible, HOSTILE,
		.data = OFF(.size = -(UINT64_C(8) << 20)) },
	{ "memory-size-max", TABLE, run_impossible, HOSTILE, .data = OFF(.size = 1ull << 62) },
	{ "memory-wraps", TABLE, run_impossible, HOSTILE,
		.data = OFF(.guest_addr = -(UINT64_C(1) << 34), .user_addr = 0) },
	{ "memory-user-wraps", TABLE, run_impossible, HOSTILE,
		.data = OFF(.user_addr = -(UINT64_C(1) << 33) - 4096) },
	{ "memory-offset-max", TABLE, run_impossible, HOSTILE,
		.data = OFF(.mmap_offset = UINT64_MAX - 4095) },
	{ "memory-past-file", TABLE, run_impossible, HOSTILE,
		.data = OFF(.mmap_offset = 1ull << 40) },
	{ "memory-gone", TABLE, run_gone, .needs = CHECK_HOSTILE | CHECK_DATA },
	{ "memory-cut", TABLE, run_cut, .needs = CHECK_HOSTILE | CHECK_DATA },
	{ NULL },
};

/* SPDX-License-Identifier: Apache-2.0 */
/* A session's steps, and rings as a driver fills them. */
#include "tests/daemon/peer.h"

/* Parts of a ring: a page each, then its buffers. */
size_t ring_offset(unsigned index)
{
	return index * 0x10000;
}
#define AVAIL 0x1000
#define USED 0x2000
#define BUFFERS 0x3000

void peer_negotiate(struct peer *p)
{
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, ALL_PROTOCOL_FEATURES), 0);
	assert_int_equal(peer_ack(p, VU_SET_OWNER, NULL, 0, NULL, 0), 0);
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, DRIVER_FEATURES), 0);
}

void peer_share_memory(struct peer *p)
{
	struct {
		struct vu_mem_table table;
		struct vu_region region;
	} payload = { { 1, 0 }, { MEM_GPA, MEM_SIZE, MEM_UVA, 0 } };

	assert_int_equal(peer_ack(p, VU_SET_MEM_TABLE, &payload, sizeof(payload), &p->memfd, 1), 0);
}

uint64_t peer_set_addr(struct peer *p, unsigned index, uint64_t user_addr)
{
	struct vu_vring_addr addr = {
		.index = index,
		.desc = user_addr,
		.avail = user_addr + AVAIL,
		.used = user_addr + USED,
	};

	return peer_ack(p, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

void peer_setup_ring(struct peer *p, unsigned index, uint32_t base)
{
	assert_int_equal(peer_ack_state(p, VU_SET_VRING_NUM, index, RING_SIZE), 0);
	assert_int_equal(peer_ack_state(p, VU_SET_VRING_BASE, index, base), 0);
	assert_int_equal(peer_set_addr(p, index, p->uva + ring_offset(index)), 0);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_CALL, index, p->call[index]), 0);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_ERR, index, p->err[index]), 0);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_KICK, index, p->kick[index]), 0);
}

void peer_enable(struct peer *p, unsigned index, bool on)
{
	assert_int_equal(peer_ack_state(p, VU_SET_VRING_ENABLE, index, on), 0);
}

void peer_start(struct peer *p)
{
	peer_negotiate(p);
	peer_share_memory(p);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		peer_setup_ring(p, i, 0);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		peer_enable(p, i, true);
}

void driver_submit(struct peer *p, unsigned index)
{
	size_t ring = ring_offset(index);
	struct vring_desc *desc = (void *)(p->mem + ring);
	struct vring_avail *avail = (void *)(p->mem + ring + AVAIL);
	uint16_t slot = p->avail[index] % RING_SIZE, head = slot * 2 % RING_SIZE;
	uint64_t buffer = p->gpa + ring + BUFFERS + slot * 16;

	desc[head] = (struct vring_desc){ buffer, 8, VRING_DESC_F_NEXT, head + 1 };
	desc[head + 1] = (struct vring_desc){ buffer + 8, 8, VRING_DESC_F_WRITE, 0 };
	memset(p->mem + ring + BUFFERS + slot * 16, p->avail[index] + 1, 8);
	memset(p->mem + ring + BUFFERS + slot * 16 + 8, 0, 8);
	avail->ring[slot] = head;
	/* The ring is mapped twice, so TSan does not know that its index orders us and the toy. */
	toy.kicks += 0;
	shm_store16_release(&avail->idx, ++p->avail[index]);
}

void driver_kick(struct peer *p, unsigned index)
{
	assert_int_equal(eventfd_write(p->kick[index], 1), 0);
}

void driver_reset(struct peer *p, unsigned index)
{
	memset(p->mem + ring_offset(index), 0, BUFFERS);
	p->avail[index] = 0;
}

uint16_t driver_used(const struct peer *p, unsigned index)
{
	const struct vring_used *used = (void *)(p->mem + ring_offset(index) + USED);

	return shm_load16_acquire(&used->idx);
}

void driver_round_trip(struct peer *p, unsigned index)
{
	uint16_t used = driver_used(p, index), slot = p->avail[index] % RING_SIZE;
	const uint8_t *buffer = p->mem + ring_offset(index) + BUFFERS + slot * 16;

	eventfd_take(p->call[index]);
	driver_submit(p, index);
	driver_kick(p, index);
	peer_run();
	if (driver_used(p, index) != (uint16_t)(used + 1))
		fail_msg("queue %u did not complete a request\n%s", index, log_text());
	assert_memory_equal(buffer, buffer + 8, 8);
	assert_int_equal(eventfd_take(p->call[index]), 1);
}

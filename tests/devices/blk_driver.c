/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_driver.h. */
#include "tests/lib/test.h"

#include "blk_driver.h"

static bool device_reads_data(uint32_t type)
{
	return type == VIRTIO_BLK_T_OUT || type == VIRTIO_BLK_T_DISCARD ||
		type == VIRTIO_BLK_T_WRITE_ZEROES;
}

uint64_t blk_header(struct kit_core *c, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = { htole32(type), 0, htole64(sector) };
	uint64_t addr = kit_core_alloc(c, sizeof(header), 0);

	memcpy(kit_core_host(c, addr), &header, sizeof(header));
	return addr;
}

struct blk_driver_request *blk_add(
	struct kit_core *c, uint32_t type, uint64_t sector, const void *out, uint32_t len)
{
	uint64_t request = kit_core_alloc(c, sizeof(struct blk_driver_request), 0);
	struct blk_driver_request *r = kit_core_host(c, request);
	unsigned n = 0, n_out;
	struct driver_buf buf[3];

	*r = (struct blk_driver_request){ .status = kit_core_alloc(c, 1, NO_STATUS),
		.used = UINT32_MAX };
	buf[n++] = (struct driver_buf){ blk_header(c, type, sector), 16 };
	if (len) {
		r->data = kit_core_alloc(c, len, 0xdd);
		buf[n++] = (struct driver_buf){ r->data, len };
		if (out && device_reads_data(type))
			memcpy(kit_core_host(c, r->data), out, len);
	}
	n_out = device_reads_data(type) ? n : 1;
	buf[n++] = (struct driver_buf){ r->status, 1 };
	assert_int_equal(driver_ring_add(c->queue[0].ring, buf, n_out, n - n_out, r), 0);
	return r;
}

void blk_reap(struct kit_core *c)
{
	uint32_t used;
	void *token;

	while (kit_core_reap(c, 0, &token, &used))
		((struct blk_driver_request *)token)->used = used;
}

uint8_t blk_status_of(struct kit_core *c, struct blk_driver_request *r)
{
	return r->used == UINT32_MAX ? NO_STATUS : *(uint8_t *)kit_core_host(c, r->status);
}

/* Reaps until the request is complete, or can never be. */
static void await(struct kit_core *c, const struct blk_driver_request *r)
{
	blk_reap(c);
	while (r->used == UINT32_MAX && vq_in_flight(c->queue[0].q)) {
		assert_true(kit_core_step(c, 30000));
		blk_reap(c);
	}
}

void blk_await_all(struct kit_core *c)
{
	blk_reap(c);
	while (vq_in_flight(c->queue[0].q)) {
		assert_true(kit_core_step(c, 30000));
		blk_reap(c);
	}
}

uint8_t blk_request(struct kit_core *c, uint32_t type, uint64_t sector, void *buf, uint32_t len)
{
	struct blk_driver_request *r = blk_add(c, type, sector, buf, len);

	kit_core_kick(c, 0);
	await(c, r);
	if (len && !device_reads_data(type)) {
		memcpy(buf, kit_core_host(c, r->data), len);
		/* All of the data, and the status after it. */
		if (!c->broken)
			assert_int_equal(r->used, len + 1);
	}
	return blk_status_of(c, r);
}

void blk_raw(struct kit_core *c, const struct driver_buf *buf, unsigned n_out, unsigned n_in,
	struct blk_driver_request *r)
{
	r->used = UINT32_MAX;
	assert_int_equal(driver_ring_add(c->queue[0].ring, buf, n_out, n_in, r), 0);
	kit_core_kick(c, 0);
	await(c, r);
}

void blk_hurry(struct kit_core *c)
{
	kit_core_hurry(c);
	assert_true(kit_core_step(c, KIT_PATIENCE_MS));
	blk_reap(c);
}

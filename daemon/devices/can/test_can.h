/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of virtiod-can share: the driver's side. */
#pragma once

#include "tests/lib/kit.h"

#include "daemon/devices/can/can.h"

#define CAN_ROOM (sizeof(struct can_head) + CANFD_MAX_DLEN)
#define FD_FRAME CAN_MSG_FD

/* Sends a frame of the guest's, whose data are n times the byte. */
static inline struct kit_request *can_send(
	struct kit *k, uint32_t id, uint32_t flags, uint8_t byte, unsigned n)
{
	struct {
		struct can_head h;
		uint8_t data[CANFD_MAX_DLEN];
	} out = { .h = { .type = htole16(CAN_MSG_TX),
			  .length = htole16((uint16_t)n),
			  .flags = htole32(flags),
			  .id = htole32(id) } };

	memset(out.data, byte, sizeof(out.data));
	return kit_send(k, CAN_TX, &out, sizeof(out.h) + MIN(n, CANFD_MAX_DLEN), 1);
}

static inline uint8_t can_result(struct kit *k, struct kit_request *r)
{
	assert_int_equal(kit_wait(k, r), 1);
	return r->in[0];
}

static inline struct kit_request *can_control_send(struct kit *k, unsigned type)
{
	const uint16_t out = htole16((uint16_t)type);

	return kit_send(k, CAN_CONTROL, &out, sizeof(out), 1);
}

static inline uint8_t can_control(struct kit *k, unsigned type)
{
	return can_result(k, can_control_send(k, type));
}

static inline uint16_t can_status(struct kit *k)
{
	uint16_t status;

	kit_config_read(k, 0, &status, sizeof(status));
	return le16toh(status);
}

/* Gives the device a buffer for a frame. */
static inline struct kit_request *can_listen(struct kit *k)
{
	return kit_send(k, CAN_RX, NULL, 0, CAN_ROOM);
}

/* Checks the frame that comes in a buffer; data: NULL: zeroes. */
static inline void can_expect(struct kit *k, struct kit_request *r, uint32_t id, uint32_t flags,
	const void *data, unsigned n)
{
	static const uint8_t zeroes[CANFD_MAX_DLEN];
	const struct can_head *h = (const void *)r->in;

	assert_int_equal(kit_wait(k, r), sizeof(*h) + n);
	assert_int_equal(le16toh(h->type), CAN_MSG_RX);
	assert_int_equal(le16toh(h->length), n);
	assert_int_equal(le32toh(h->flags), flags);
	assert_int_equal(le32toh(h->id), id);
	assert_memory_equal(r->in + sizeof(*h), data ? data : zeroes, n);
}

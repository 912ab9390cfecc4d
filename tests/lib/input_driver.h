/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of virtiod-input: the driver's side of its queues. */
#pragma once

#include <linux/virtio_input.h>

#include "tests/lib/kit.h"

/* Gives the device a buffer for an event. */
static inline struct kit_request *input_ask(struct kit *k)
{
	return kit_send(k, 0, NULL, 0, sizeof(struct virtio_input_event));
}

/* Waits for the event in this buffer. */
static inline void input_expect_in(
	struct kit *k, struct kit_request *r, unsigned type, unsigned code, int value)
{
	struct virtio_input_event e;

	assert_int_equal(kit_wait(k, r), sizeof(e));
	memcpy(&e, r->in, sizeof(e));
	assert_int_equal(le16toh(e.type), type);
	assert_int_equal(le16toh(e.code), code);
	assert_int_equal((int32_t)le32toh(e.value), value);
}

static inline void input_expect(struct kit *k, unsigned type, unsigned code, int value)
{
	input_expect_in(k, input_ask(k), type, code, value);
}

/* Plays a guest that sets an LED or the like. */
static inline void input_status(struct kit *k, uint16_t type, uint16_t code, int32_t value)
{
	const struct virtio_input_event e = { htole16(type), htole16(code),
		htole32((uint32_t)value) };

	assert_int_equal(kit_wait(k, kit_send(k, 1, &e, sizeof(e), 0)), 0);
}

/* Calls a method of the control socket once the device has its driver; returns the reply. */
static inline const char *input_call(struct kit *k, const char *method, const char *params)
{
	const char *reply;

	do
		reply = kit_call(k, method, params);
	while (strstr(reply, "no driver"));
	return reply;
}

/* Sends events by the control socket; returns the reply. */
static inline const char *input_type(struct kit *k, const char *events)
{
	g_autofree char *params = g_strdup_printf("\"events\":\"%s\"", events);

	return input_call(k, "send", params);
}

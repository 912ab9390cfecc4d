/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's side of messages. */
#pragma once

#include "../console/test_ports.h"
#include "rpmsg.h"

#define NS_BYTES 40
#define ME 1030 /* an address of the guest's */

struct message {
	struct rpmsg_header header;
	uint8_t payload[RPMSG_MAX_MESSAGE - sizeof(struct rpmsg_header)];
};

static inline struct kit_request *add_message(
	struct kit *k, uint32_t source, uint32_t destination, const void *payload, size_t len)
{
	struct message m = {
		{ htole32(source), htole32(destination), 0, htole16(len), 0 },
	};

	memcpy(m.payload, payload, len);
	return kit_add(k, RPMSG_TX, &m, sizeof(m.header) + len, 0);
}

static inline struct kit_request *send_message(
	struct kit *k, uint32_t source, uint32_t destination, const void *payload, size_t len)
{
	struct kit_request *r = add_message(k, source, destination, payload, len);

	kit_kick(k, RPMSG_TX);
	return r;
}

static inline struct kit_request *give_buffer(struct kit *k)
{
	return kit_send(k, RPMSG_RX, NULL, 0, RPMSG_MAX_MESSAGE);
}

/* Waits for a message in a buffer. */
static inline void check_message(struct kit *k, struct kit_request *r, uint32_t source,
	uint32_t destination, const void *payload, size_t len)
{
	const struct message *m = (void *)r->in;

	assert_int_equal(kit_wait(k, r), sizeof(m->header) + len);
	assert_int_equal(le32toh(m->header.source), source);
	assert_int_equal(le32toh(m->header.destination), destination);
	assert_int_equal(le16toh(m->header.len), len);
	assert_int_equal(m->header.reserved, 0);
	assert_int_equal(m->header.flags, 0);
	assert_memory_equal(m->payload, payload, len);
}

/* Waits for the announcement of a service. */
static inline void check_announcement(
	struct kit *k, struct kit_request *r, const char *name, uint32_t address, uint32_t flags)
{
	struct {
		char name[RPMSG_NAME_BYTES];
		uint32_t address, flags;
	} ns = { .address = htole32(address), .flags = htole32(flags) };

	g_strlcpy(ns.name, name, sizeof(ns.name));
	check_message(k, r, RPMSG_NS_ADDRESS, RPMSG_NS_ADDRESS, &ns, sizeof(ns));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Every message on its own: what comes back, and how often. */
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "tools/check/cases.h"
#include "tools/check/session.h"
#include "tools/check/valid.h"
#include "tools/check/wire.h"

/* Expects, with need_reply, one acknowledgement, of success. */
static void run_ack(struct check *k)
{
	struct valid v;
	uint64_t value;

	valid_make(k, k->c->request, &v);
	valid_send(k, &v, VU_FLAG_NEED_REPLY);
	value = wire_ack(k, k->c->request);
	check_equal(k, "the acknowledgement", value, 0);
	wire_barrier(k);
	valid_clear(&v);
}

/* Expects nothing without need_reply. */
static void run_quiet(struct check *k)
{
	struct valid v;

	valid_make(k, k->c->request, &v);
	valid_send(k, &v, 0);
	wire_barrier(k);
	valid_clear(&v);
}

/* Requires one of the sizes that a reply may have, where there are several. */
static void check_reply_size(struct check *k, size_t requested)
{
	uint32_t size = k->msg.header.size;

	if (check_over(k))
		return;
	if (k->c->request == VU_GET_CONFIG && size && size != requested)
		check_fail(
			k, "GET_CONFIG: a reply of %u bytes to a request of %zu", size, requested);
	if (k->c->request == VU_GET_INFLIGHT_FD && size != VU_INFLIGHT_UNPADDED &&
		size != sizeof(struct vu_inflight))
		check_fail(k, "GET_INFLIGHT_FD: a reply of %u bytes", size);
}

/* Expects, of a message with a reply of its own, one reply with these flags. */
static void reply_once(struct check *k, uint32_t flags)
{
	struct valid v;

	valid_make(k, k->c->request, &v);
	valid_send(k, &v, flags);
	if (wire_receive(k))
		wire_check_reply(k, k->c->request, vu_shape(k->c->request));
	check_reply_size(k, v.size);
	wire_barrier(k);
	valid_clear(&v);
}

static void run_reply(struct check *k)
{
	reply_once(k, 0);
}

static void run_reply_need_reply(struct check *k)
{
	reply_once(k, VU_FLAG_NEED_REPLY);
}

#define SECTION(name) "vhost-user: Front-end message types, VHOST_USER_" #name
/* For the front-end to write: of all devices, a block device's cache mode. */
#define WRITES_CONFIG                                                           \
	.device = VIRTIO_ID_BLOCK, .features = VU_BIT(VIRTIO_BLK_F_CONFIG_WCE), \
	.needs = CHECK_CONFIG
#define ACKNOWLEDGED "vhost-user: VHOST_USER_PROTOCOL_F_REPLY_ACK"
#define ACK(message, ...)                                                                    \
	{                                                                                    \
		"ack-" #message, ACKNOWLEDGED, run_ack, .protocol = VU_BIT(VU_F_REPLY_ACK),  \
							.request = VU_##message, __VA_ARGS__ \
	}
#define QUIET(message, ...)                                                \
	{                                                                  \
		"quiet-" #message, "vhost-user: Communication", run_quiet, \
			.request = VU_##message, __VA_ARGS__               \
	}
#define REPLY(message, ...)                                                              \
	{                                                                                \
		"reply-" #message, SECTION(message), run_reply, .request = VU_##message, \
								__VA_ARGS__              \
	}
#define REPLY_ONCE(message, ...)                                                                 \
	{                                                                                        \
		"reply-once-" #message, ACKNOWLEDGED, run_reply_need_reply,                      \
			.protocol = VU_BIT(VU_F_REPLY_ACK), .request = VU_##message, __VA_ARGS__ \
	}

const struct check_case check_messages[] = {
	REPLY(GET_FEATURES),
	REPLY(GET_PROTOCOL_FEATURES),
	REPLY(GET_QUEUE_NUM),
	REPLY(GET_VRING_BASE),
	REPLY(GET_CONFIG, .needs = CHECK_CONFIG),
	REPLY(GET_INFLIGHT_FD),
	REPLY(GET_MAX_MEM_SLOTS),
	REPLY(GET_STATUS),
	REPLY(SET_LOG_BASE),
	REPLY(GET_SHMEM_CONFIG),
	REPLY_ONCE(GET_FEATURES),
	REPLY_ONCE(GET_PROTOCOL_FEATURES),
	REPLY_ONCE(GET_QUEUE_NUM),
	REPLY_ONCE(GET_VRING_BASE),
	REPLY_ONCE(GET_CONFIG, .needs = CHECK_CONFIG),
	REPLY_ONCE(GET_INFLIGHT_FD),
	REPLY_ONCE(GET_MAX_MEM_SLOTS),
	REPLY_ONCE(GET_STATUS),
	REPLY_ONCE(SET_LOG_BASE),
	ACK(SET_OWNER),
	ACK(SET_FEATURES),
	ACK(SET_MEM_TABLE),
	ACK(SET_VRING_NUM),
	ACK(SET_VRING_BASE),
	ACK(SET_VRING_ADDR),
	ACK(SET_VRING_KICK),
	ACK(SET_VRING_CALL),
	ACK(SET_VRING_ERR),
	ACK(SET_VRING_ENABLE),
	ACK(SET_BACKEND_REQ_FD),
	ACK(SET_CONFIG, WRITES_CONFIG),
	ACK(SET_INFLIGHT_FD),
	ACK(RESET_DEVICE),
	ACK(ADD_MEM_REG),
	ACK(REM_MEM_REG),
	ACK(SET_STATUS),
	ACK(NET_SET_MTU),
	ACK(SEND_RARP),
	QUIET(SET_OWNER),
	QUIET(SET_FEATURES),
	QUIET(SET_PROTOCOL_FEATURES),
	QUIET(SET_MEM_TABLE),
	QUIET(SET_VRING_NUM),
	QUIET(SET_VRING_BASE),
	QUIET(SET_VRING_ADDR),
	QUIET(SET_VRING_KICK),
	QUIET(SET_VRING_CALL),
	QUIET(SET_VRING_ERR),
	QUIET(SET_VRING_ENABLE),
	QUIET(SET_BACKEND_REQ_FD),
	QUIET(SET_CONFIG, WRITES_CONFIG),
	QUIET(SET_INFLIGHT_FD),
	QUIET(RESET_DEVICE),
	QUIET(ADD_MEM_REG),
	QUIET(REM_MEM_REG),
	QUIET(SET_STATUS),
	QUIET(NET_SET_MTU),
	QUIET(SEND_RARP),
	{ NULL },
};

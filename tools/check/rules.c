/* SPDX-License-Identifier: Apache-2.0 */
/* What a front-end must keep to. */
#include <linux/virtio_config.h>

#include "tools/check/frontend.h"
#include "virtio/ring_layout.h"

/* Returns the message's row, by its shape; NULL: there is no such message. */
static const struct vu_shape *shape_of(const struct frontend *f, const struct vu_msg *msg)
{
	const struct vu_shape *probe = vu_probe_shape(
		msg->header.request, msg->header.size, msg->n_fds, f->protocol, false);

	return probe ? probe : vu_shape(msg->header.request);
}

static bool always(const struct frontend *f, const struct vu_msg *msg)
{
	return true;
}

/* Accepts a message that came whole; frontend.c knows of those that did not. */
static const char *breaks_framing(const struct frontend *f, const struct vu_msg *msg)
{
	return NULL;
}

static const char *breaks_flags(const struct frontend *f, const struct vu_msg *msg)
{
	if (msg->header.flags & VU_FLAG_REPLY)
		return "a request is flagged as a reply";
	return msg->header.flags & ~0xfu ? "a flag that has no meaning is set" : NULL;
}

static const char *breaks_known(const struct frontend *f, const struct vu_msg *msg)
{
	return shape_of(f, msg) ? NULL : "there is no such message";
}

static bool is_known(const struct frontend *f, const struct vu_msg *msg)
{
	return shape_of(f, msg);
}

static const char *breaks_shape(const struct frontend *f, const struct vu_msg *msg)
{
	return vu_msg_check(msg, shape_of(f, msg), NULL)
		? NULL
		: "its size or its fds are not as specified";
}

/* Messages that are well-formed; the rules below look into their payload. */
static bool is_whole(const struct frontend *f, const struct vu_msg *msg)
{
	return is_known(f, msg) && !breaks_shape(f, msg);
}

static bool is_gated(const struct frontend *f, const struct vu_msg *msg)
{
	const struct vu_shape *shape = shape_of(f, msg);
	bool probe = shape && shape != vu_shape(msg->header.request);

	/* PROBE's are legal once it is offered. */
	return shape && shape->needs_feature_plus1 && !probe;
}

static const char *breaks_gate(const struct frontend *f, const struct vu_msg *msg)
{
	unsigned bit = shape_of(f, msg)->needs_feature_plus1 - 1u;

	return f->protocol & VU_BIT(bit) ? NULL : "its protocol feature was not negotiated";
}

static bool needs_reply(const struct frontend *f, const struct vu_msg *msg)
{
	/* This one turns acknowledgements on. */
	return msg->header.flags & VU_FLAG_NEED_REPLY &&
		msg->header.request != VU_SET_PROTOCOL_FEATURES;
}

static const char *breaks_need_reply(const struct frontend *f, const struct vu_msg *msg)
{
	return f->protocol & VU_BIT(VU_F_REPLY_ACK)
		? NULL
		: "need_reply is set, and REPLY_ACK was not negotiated";
}

#define IS(name, number)                                                          \
	static bool is_##name(const struct frontend *f, const struct vu_msg *msg) \
	{                                                                         \
		return msg->header.request == VU_##number && is_whole(f, msg);    \
	}
IS(set_features, SET_FEATURES)
IS(set_protocol, SET_PROTOCOL_FEATURES)
IS(owner, SET_OWNER)
IS(num, SET_VRING_NUM)
IS(addr, SET_VRING_ADDR)
IS(kick, SET_VRING_KICK)
IS(enable, SET_VRING_ENABLE)
IS(get_config, GET_CONFIG)
IS(set_inflight, SET_INFLIGHT_FD)

static const char *breaks_features(const struct frontend *f, const struct vu_msg *msg)
{
	if (!f->asked_features)
		return "features are accepted that were not asked for";
	return msg->payload.u64 & ~f->offered ? "a feature is accepted that is not offered" : NULL;
}

static const char *breaks_version_1(const struct frontend *f, const struct vu_msg *msg)
{
	return msg->payload.u64 & VU_BIT(VIRTIO_F_VERSION_1) ? NULL : "VERSION_1 is not accepted";
}

static const char *breaks_protocol(const struct frontend *f, const struct vu_msg *msg)
{
	if (!f->asked_protocol)
		return "protocol features are accepted that were not asked for";
	return msg->payload.u64 & ~f->offered_protocol
		? "a protocol feature is accepted that is not offered"
		: NULL;
}

static const char *breaks_owner(const struct frontend *f, const struct vu_msg *msg)
{
	return f->has_owner ? "the owner is set twice" : NULL;
}

static bool names_ring(const struct frontend *f, const struct vu_msg *msg)
{
	return is_whole(f, msg) && shape_of(f, msg)->ring != VU_RING_NONE;
}

static unsigned ring_index(const struct frontend *f, const struct vu_msg *msg)
{
	return vu_msg_ring_index(msg, shape_of(f, msg));
}

static const char *breaks_index(const struct frontend *f, const struct vu_msg *msg)
{
	return ring_index(f, msg) < FRONTEND_QUEUES ? NULL : "there is no such vring";
}

static const struct frontend_ring *ring_of(const struct frontend *f, const struct vu_msg *msg)
{
	return &f->ring[ring_index(f, msg) % FRONTEND_QUEUES];
}

static const char *breaks_num(const struct frontend *f, const struct vu_msg *msg)
{
	bool packed = f->features & VU_BIT(VIRTIO_F_RING_PACKED);

	return virtio_queue_size_is_valid(msg->payload.state.num, packed)
		? NULL
		: "a vring cannot have this size";
}

static bool configures_ring(const struct frontend *f, const struct vu_msg *msg)
{
	return is_num(f, msg) || (msg->header.request == VU_SET_VRING_BASE && is_whole(f, msg));
}

static const char *breaks_running(const struct frontend *f, const struct vu_msg *msg)
{
	return ring_of(f, msg)->runs ? "the vring runs: GET_VRING_BASE stops it" : NULL;
}

static const char *breaks_alignment(const struct frontend *f, const struct vu_msg *msg)
{
	const struct vu_vring_addr *a = &msg->payload.addr;
	bool packed = f->features & VU_BIT(VIRTIO_F_RING_PACKED);
	unsigned driver = packed ? VIRTIO_PACKED_EVENT_ALIGN : VIRTIO_SPLIT_DRIVER_ALIGN;
	unsigned device = packed ? VIRTIO_PACKED_EVENT_ALIGN : VIRTIO_SPLIT_DEVICE_ALIGN;

	return a->desc % VIRTIO_DESC_ALIGN || a->avail % driver || a->used % device
		? "an address is not aligned"
		: NULL;
}

static bool is_mapped(const struct frontend *f, uint64_t user, uint64_t len)
{
	for (unsigned i = 0; i < f->n_regions; i++) {
		const struct mem_region_desc *r = &f->region[i];

		if (user >= r->user_addr && user - r->user_addr < r->size &&
			len <= r->size - (user - r->user_addr))
			return true;
	}
	return false;
}

/* Requires what a vring must have before it is started. */
static const char *breaks_complete(const struct frontend *f, const struct vu_msg *msg)
{
	const struct frontend_ring *r = ring_of(f, msg);
	bool packed = f->features & VU_BIT(VIRTIO_F_RING_PACKED);
	struct virtio_ring_bytes bytes = virtio_ring_bytes(r->num, packed, false);

	if (!r->has_num || !r->has_base || !r->has_addr)
		return "the vring is not complete: it lacks NUM, BASE or ADDR";
	if (!is_mapped(f, r->addr.desc, bytes.desc) || !is_mapped(f, r->addr.avail, bytes.driver) ||
		!is_mapped(f, r->addr.used, bytes.device))
		return "the vring is not in the memory that is shared";
	return NULL;
}

static const char *breaks_enable(const struct frontend *f, const struct vu_msg *msg)
{
	if (msg->payload.state.num > 1)
		return "neither 0 nor 1";
	return f->offered & VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES) &&
			(!f->has_features || f->features & VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
		? NULL
		: "protocol features were not negotiated";
}

static bool has_regions(const struct frontend *f, const struct vu_msg *msg)
{
	return (msg->header.request == VU_SET_MEM_TABLE || msg->header.request == VU_ADD_MEM_REG) &&
		is_whole(f, msg);
}

static bool overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a - b < b_size || b - a < a_size;
}

static const char *breaks_regions(const struct frontend *f, const struct vu_msg *msg)
{
	struct mem_region_desc d[VU_MAX_REGIONS];
	unsigned n = vu_msg_regions(msg, d);

	for (unsigned i = 0; i < n; i++) {
		if (!d[i].size || d[i].guest_addr + d[i].size - 1 < d[i].guest_addr)
			return "a region has no bytes, or wraps";
		for (unsigned j = 0; j < i; j++) {
			if (overlaps(d[i].guest_addr, d[i].size, d[j].guest_addr, d[j].size))
				return "regions overlap";
		}
	}
	return NULL;
}

static const char *breaks_config(const struct frontend *f, const struct vu_msg *msg)
{
	return msg->payload.config.size ? NULL : "nothing is asked for";
}

static const char *breaks_area(const struct frontend *f, const struct vu_msg *msg)
{
	return msg->payload.inflight.queue_size && msg->payload.inflight.num_queues
		? NULL
		: "an area without queues";
}

#define MESSAGE(name) "vhost-user: Front-end message types, VHOST_USER_" #name
#define RULE(name, section, applies, breaks)                   \
	{                                                      \
		{ "frontend-" name, section }, applies, breaks \
	}

const struct frontend_rule frontend_rules[] = {
	[FRONTEND_FRAMING] = RULE("framing", "vhost-user: Header", always, breaks_framing),
	RULE("flags", "vhost-user: Header", always, breaks_flags),
	RULE("known", "vhost-user: Front-end message types", always, breaks_known),
	RULE("shape", "vhost-user: Payload", is_known, breaks_shape),
	RULE("negotiated", "vhost-user: Protocol features", is_gated, breaks_gate),
	RULE("need-reply", "vhost-user: VHOST_USER_PROTOCOL_F_REPLY_ACK", needs_reply,
		breaks_need_reply),
	RULE("features", MESSAGE(SET_FEATURES), is_set_features, breaks_features),
	RULE("version-1", "virtio 1.2 §6.1 Driver Requirements: Reserved Feature Bits",
		is_set_features, breaks_version_1),
	RULE("protocol-features", MESSAGE(SET_PROTOCOL_FEATURES), is_set_protocol, breaks_protocol),
	RULE("owner", MESSAGE(SET_OWNER), is_owner, breaks_owner),
	RULE("index", "vhost-user: Multiple queue support", names_ring, breaks_index),
	RULE("num", MESSAGE(SET_VRING_NUM), is_num, breaks_num),
	RULE("running", "vhost-user: Ring states", configures_ring, breaks_running),
	RULE("alignment", "virtio 1.2 §2.7 Split Virtqueues, §2.8 Packed Virtqueues", is_addr,
		breaks_alignment),
	RULE("complete", "vhost-user: Ring states", is_kick, breaks_complete),
	RULE("enable", MESSAGE(SET_VRING_ENABLE), is_enable, breaks_enable),
	RULE("regions", "vhost-user: Memory regions description", has_regions, breaks_regions),
	RULE("config", MESSAGE(GET_CONFIG), is_get_config, breaks_config),
	RULE("inflight", MESSAGE(SET_INFLIGHT_FD), is_set_inflight, breaks_area),
};
const unsigned frontend_n_rules = G_N_ELEMENTS(frontend_rules);

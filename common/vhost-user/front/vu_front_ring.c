/* SPDX-License-Identifier: Apache-2.0 */
/* What a driver's actions come to on the wire: features, rings, status, configuration. */
#include <inttypes.h>

#include "base/util.h"
#include "vhost-user/front/vu_front_impl.h"

bool vu_front_barrier(struct vu_front *f, GError **error)
{
	uint64_t features;

	/* An acknowledgement has said so already. */
	return vu_front_acked(f, VU_F_REPLY_ACK) ||
		vu_front_get_u64(f, VU_GET_FEATURES, &features, error);
}

bool vu_front_set_features(struct vu_front *f, uint64_t features, GError **error)
{
	features |= f->properties.features & VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	return vu_front_set_u64(f, VU_SET_FEATURES, features, error);
}

static bool set_vring_state(
	struct vu_front *f, uint32_t request, unsigned index, uint32_t num, GError **error)
{
	struct vu_msg *msg = vu_front_request(f, request);

	msg->payload.state = (struct vu_vring_state){ .index = index, .num = num };
	msg->header.size = sizeof(msg->payload.state);
	return vu_front_call(f, error);
}

static bool set_vring_fd(
	struct vu_front *f, uint32_t request, unsigned index, int fd, GError **error)
{
	struct vu_msg *msg = vu_front_request(f, request);

	vu_msg_set_u64(msg, index | (fd < 0 ? VU_VRING_FD_NONE : 0));
	msg->fds[0] = fd;
	msg->n_fds = fd < 0 ? 0 : 1;
	return vu_front_call(f, error);
}

static bool set_vring_addr(
	struct vu_front *f, unsigned index, const struct vu_ring_setup *setup, GError **error)
{
	struct vu_msg *msg = vu_front_request(f, VU_SET_VRING_ADDR);

	msg->payload.addr = (struct vu_vring_addr){
		.index = index,
		.desc = setup->desc,
		.used = setup->used,
		.avail = setup->avail,
	};
	msg->header.size = sizeof(msg->payload.addr);
	return vu_front_call(f, error);
}

bool vu_front_setup_ring(
	struct vu_front *f, unsigned index, const struct vu_ring_setup *setup, GError **error)
{
	return set_vring_state(f, VU_SET_VRING_NUM, index, setup->size, error) &&
		set_vring_state(f, VU_SET_VRING_BASE, index, setup->base, error) &&
		set_vring_addr(f, index, setup, error) &&
		set_vring_fd(f, VU_SET_VRING_CALL, index, setup->call, error) &&
		(setup->err < 0 || set_vring_fd(f, VU_SET_VRING_ERR, index, setup->err, error)) &&
		set_vring_fd(f, VU_SET_VRING_KICK, index, setup->kick, error);
}

bool vu_front_enable_ring(struct vu_front *f, unsigned index, bool enable, GError **error)
{
	/* Without protocol features rings are enabled from SET_FEATURES on. */
	if (!(f->properties.features & VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		return true;
	return set_vring_state(f, VU_SET_VRING_ENABLE, index, enable, error) &&
		vu_front_barrier(f, error);
}

bool vu_front_stop_ring(struct vu_front *f, unsigned index, uint32_t *base, GError **error)
{
	if (!vu_front_enable_ring(f, index, false, error) ||
		!set_vring_state(f, VU_GET_VRING_BASE, index, 0, error))
		return false;
	if (f->msg.payload.state.index != index)
		return vu_front_fail(f, error, VU_FRONT_ERROR_PROTOCOL,
			"GET_VRING_BASE of ring %u: answered for ring %u", index,
			f->msg.payload.state.index);
	*base = f->msg.payload.state.num;
	return true;
}

bool vu_front_set_call(struct vu_front *f, unsigned index, int call, GError **error)
{
	return set_vring_fd(f, VU_SET_VRING_CALL, index, call, error);
}

bool vu_front_set_status(struct vu_front *f, uint8_t status, GError **error)
{
	return !vu_front_acked(f, VU_F_STATUS) || vu_front_set_u64(f, VU_SET_STATUS, status, error);
}

bool vu_front_get_status(struct vu_front *f, uint8_t *status, GError **error)
{
	uint64_t value = 0;

	if (vu_front_acked(f, VU_F_STATUS) && !vu_front_get_u64(f, VU_GET_STATUS, &value, error))
		return false;
	*status = value;
	return true;
}

static bool reset_device(struct vu_front *f, GError **error)
{
	if (!vu_front_set_status(f, 0, error))
		return false;
	vu_front_request(f, VU_RESET_DEVICE);
	return !vu_front_acked(f, VU_F_RESET_DEVICE) || vu_front_call(f, error);
}

bool vu_front_reset(struct vu_front *f, GError **error)
{
	bool ok = reset_device(f, error);

	/* After what the back-end asked for before it answered. */
	if (vu_front_acked(f, VU_F_SHMEM) && f->channel >= 0 && !vu_front_channel_serve(f))
		vu_front_channel_lose(f);
	vu_front_shm_drop(f);
	return ok;
}

bool vu_front_ask_config(struct vu_front *f, uint32_t len, GError **error)
{
	struct vu_msg *msg = vu_front_request(f, VU_GET_CONFIG);
	uint32_t got;

	msg->payload.config = (struct vu_config){ .size = len };
	memset(msg->payload.bytes + sizeof(msg->payload.config), 0, len);
	msg->header.size = sizeof(msg->payload.config) + len;
	if (!vu_front_call(f, error))
		return false;
	got = f->msg.header.size;
	if (got == sizeof(struct vu_config) + len)
		return true;
	return vu_front_fail(f, error, VU_FRONT_ERROR_REFUSED,
		"the back-end answered GET_CONFIG of %u bytes with %u bytes of payload", len, got);
}

/* Is [offset, offset + len) something that CONFIG can carry? */
static bool check_config_range(struct vu_front *f, uint32_t offset, uint32_t len, GError **error)
{
	if (!vu_front_acked(f, VU_F_CONFIG))
		return vu_front_fail(f, error, VU_FRONT_ERROR_REFUSED,
			"the back-end has no configuration space");
	if (offset > VU_MAX_CONFIG || len > VU_MAX_CONFIG - offset)
		return vu_front_fail(f, error, VU_FRONT_ERROR_REFUSED,
			"configuration from %u to %" PRIu64 " is beyond %u bytes", offset,
			(uint64_t)offset + len, VU_MAX_CONFIG);
	return true;
}

bool vu_front_get_config(
	struct vu_front *f, uint32_t offset, void *to, uint32_t len, GError **error)
{
	/*
	 * All of it from the start, as QEMU asks: libvhost-user ignores the offset, and
	 * qemu-storage-daemon with it.
	 */
	uint32_t whole = f->properties.probe.config_size;

	if (!check_config_range(f, offset, len, error))
		return false;
	if (!vu_front_ask_config(f, MAX(whole, offset + len), error))
		return false;
	memcpy(to, f->msg.payload.bytes + sizeof(struct vu_config) + offset, len);
	return true;
}

bool vu_front_set_config(
	struct vu_front *f, uint32_t offset, const void *from, uint32_t len, GError **error)
{
	struct vu_msg *msg = vu_front_request(f, VU_SET_CONFIG);

	if (!check_config_range(f, offset, len, error))
		return false;
	msg->payload.config = (struct vu_config){ .offset = offset, .size = len };
	memcpy(msg->payload.bytes + sizeof(msg->payload.config), from, len);
	msg->header.size = sizeof(msg->payload.config) + len;
	return vu_front_call(f, error);
}

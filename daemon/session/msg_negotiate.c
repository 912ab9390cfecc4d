/* SPDX-License-Identifier: Apache-2.0 */
/* Messages about the device as a whole: features, probing, status and reset. */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "daemon/session/backend_impl.h"

static uint64_t backend_features(const struct backend *b)
{
	return b->device.features | VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES) |
		VU_BIT(VHOST_F_LOG_ALL) | VU_BIT(VIRTIO_F_VERSION_1) |
		VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VU_BIT(VIRTIO_RING_F_EVENT_IDX) |
		(b->options.split_only ? 0 : VU_BIT(VIRTIO_F_RING_PACKED)) |
		VU_BIT(VIRTIO_F_RING_RESET);
}

uint64_t backend_protocol_features(const struct backend *b)
{
	uint64_t features = VU_BIT(VU_F_MQ) | VU_BIT(VU_F_REPLY_ACK) | VU_BIT(VU_F_BACKEND_REQ) |
		VU_BIT(VU_F_RESET_DEVICE) | VU_BIT(VU_F_CONFIGURE_MEM_SLOTS) | VU_BIT(VU_F_STATUS) |
		VU_BIT(VU_F_INFLIGHT_SHMFD) | VU_BIT(VU_F_LOG_SHMFD);

	/* PROBE's specification forbids to offer it without a configuration space. */
	if (b->device.config_size)
		features |= VU_BIT(VU_F_CONFIG);
	/* QEMU takes what it does not know, so only where it may be meant. */
	if (b->options.xen)
		features |= VU_BIT(VU_F_XEN_MMAP);
	if (b->options.probe)
		features |= VU_BIT(VU_F_PROBE);
	if (b->device.ops->shm)
		features |= VU_BIT(VU_F_BACKEND_SEND_FD) | VU_BIT(VU_F_SHMEM);
	return features | wire_protocol_features(b->device.ops->wire);
}

bool on_get_features(struct backend *b, struct backend_request *rq, GError **error)
{
	vu_msg_set_u64(&rq->out, backend_features(b));
	return true;
}

bool changes_features(const struct backend *b, const struct backend_request *rq)
{
	return rq->in.payload.u64 != b->features;
}

bool on_set_features(struct backend *b, struct backend_request *rq, GError **error)
{
	uint64_t features = rq->in.payload.u64;
	uint64_t unknown = features & ~backend_features(b);

	if (unknown)
		return refuse(error, EINVAL, "0x%" PRIx64 " was not offered", unknown);
	b->features = features;
	b->has_features = true;
	b->migrates = features & VU_BIT(VHOST_F_LOG_ALL);
	log_apply(b);
	/* Without protocol features there is no SET_VRING_ENABLE: vrings are always enabled. */
	for (unsigned i = 0; i < b->device.num_queues; i++)
		b->vrings[i].enabled |= !(features & VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES));
	return true;
}

bool on_nothing(struct backend *b, struct backend_request *rq, GError **error)
{
	return true;
}

bool on_get_protocol_features(struct backend *b, struct backend_request *rq, GError **error)
{
	vu_msg_set_u64(&rq->out, backend_protocol_features(b));
	return true;
}

bool on_set_protocol_features(struct backend *b, struct backend_request *rq, GError **error)
{
	uint64_t unknown = rq->in.payload.u64 & ~backend_protocol_features(b);

	if (unknown)
		return refuse(error, EINVAL, "0x%" PRIx64 " was not offered", unknown);
	b->protocol_features = rq->in.payload.u64;
	return true;
}

bool on_get_queue_num(struct backend *b, struct backend_request *rq, GError **error)
{
	vu_msg_set_u64(&rq->out, b->device.num_queues);
	return true;
}

bool on_probe(struct backend *b, struct backend_request *rq, GError **error)
{
	const struct virtio_probe *probe = &b->device.ops->probe;

	/* The bit may be offered for SHARED_OBJECT alone. */
	if (!b->options.probe)
		return refuse(error, EOPNOTSUPP, "PROBE is not offered");
	switch (rq->in.header.request) {
	case VU_GET_DEVICE_ID:
		rq->out.payload.u32 = probe->device_id;
		break;
	case VU_GET_CONFIG_SIZE:
		rq->out.payload.u32 = b->device.config_size;
		break;
	case VU_GET_MIN_VQ:
		rq->out.payload.u32 = probe->min_queues;
		break;
	}
	rq->out.header.size = sizeof(rq->out.payload.u32);
	return true;
}

/* Resets all vrings: Virtio's reset, as far as it is the core's. */
static void reset_vrings(struct backend *b)
{
	for (unsigned i = 0; i < b->device.num_queues; i++) {
		vring_take_back(&b->vrings[i]);
		b->vrings[i].enabled = false;
	}
	b->status = 0;
	b->needs_reset = false;
}

bool clears_status(const struct backend *b, const struct backend_request *rq)
{
	return (rq->in.payload.u64 & 0xff) == 0;
}

/*
 * Takes a status. In QEMU's order FEATURES_OK comes first and on its own, and 0 also means that
 * the machine is paused: no order is demanded, and 0 leaves the device's state alone.
 */
bool on_set_status(struct backend *b, struct backend_request *rq, GError **error)
{
	if (clears_status(b, rq)) {
		reset_vrings(b);
		b->features = 0;
		b->has_features = false;
		log_apply(b);
	}
	b->status = rq->in.payload.u64;
	return true;
}

bool on_get_status(struct backend *b, struct backend_request *rq, GError **error)
{
	vu_msg_set_u64(&rq->out, b->status | (b->needs_reset ? VIRTIO_CONFIG_S_NEEDS_RESET : 0));
	return true;
}

bool on_reset_device(struct backend *b, struct backend_request *rq, GError **error)
{
	reset_vrings(b);
	/* It tells of vrings that no longer exist; a front-end that has one asks for another. */
	inflight_drop(b);
	backend_reset_device(b);
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device-specific messages. Those that need a protocol feature come here only if the device has the
 * verb, as the feature is offered for it.
 */
#include "base/util.h"
#include "daemon/session/backend_impl.h"

uint64_t wire_protocol_features(const struct virtio_device_wire *wire)
{
	uint64_t features = 0;

	if (!wire)
		return 0;
	if (wire->announce)
		features |= VU_BIT(VU_F_RARP);
	if (wire->mtu)
		features |= VU_BIT(VU_F_MTU);
	if (wire->session_open && wire->session_close)
		features |= VU_BIT(VU_F_CRYPTO_SESSION);
	if (wire->object)
		features |= VU_BIT(VU_F_SHARED_OBJECT);
	if (wire->save && wire->load)
		features |= VU_BIT(VU_F_DEVICE_STATE);
	return features;
}

bool verb_send_rarp(struct virtio_device *d, struct backend_request *rq, GError **error)
{
	/* The address is in the first six bytes of the u64, in memory. */
	return d->ops->wire->announce(d, rq->in.payload.bytes, error);
}

bool on_net_set_mtu(struct backend *b, struct backend_request *rq, GError **error)
{
	if (rq->in.payload.u64 > UINT16_MAX)
		return refuse(
			error, EINVAL, "%" PRIu64 " (at most %u)", rq->in.payload.u64, UINT16_MAX);
	return true;
}

bool verb_net_set_mtu(struct virtio_device *d, struct backend_request *rq, GError **error)
{
	return d->ops->wire->mtu(d, rq->in.payload.u64, error);
}

bool on_gpu_set_socket(struct backend *b, struct backend_request *rq, GError **error)
{
	const struct virtio_device_wire *wire = b->device.ops->wire;

	if (!wire || !wire->display)
		return refuse(error, EOPNOTSUPP, "the message is not supported by this device");
	return may_keep_socket(b, rq->in.fds[0], error);
}

bool verb_gpu_set_socket(struct virtio_device *d, struct backend_request *rq, GError **error)
{
	return d->ops->wire->display(d, vu_msg_take_fd(&rq->in, 0), error);
}

/* Answers in place: the reply begins as the message. */
bool on_answered_in_place(struct backend *b, struct backend_request *rq, GError **error)
{
	memcpy(rq->out.payload.bytes, rq->in.payload.bytes, rq->in.header.size);
	rq->out.header.size = rq->in.header.size;
	return true;
}

bool verb_create_crypto_session(struct virtio_device *d, struct backend_request *rq, GError **error)
{
	return d->ops->wire->session_open(d, rq->out.payload.bytes, rq->out.header.size, error);
}

bool verb_close_crypto_session(struct virtio_device *d, struct backend_request *rq, GError **error)
{
	d->ops->wire->session_close(d, rq->in.payload.u64);
	return true;
}

/*
 * Gets an object. A reply without fd: there is no such object. A front-end may take bit 18 for
 * SHARED_OBJECT.
 */
bool verb_get_shared_object(struct virtio_device *d, struct backend_request *rq, GError **error)
{
	const struct virtio_device_wire *wire = d->ops->wire;
	int fd = wire && wire->object ? wire->object(d, rq->in.payload.bytes) : -1;

	rq->out.fds[0] = fd;
	rq->out.n_fds = fd >= 0;
	return true;
}

void wire_left(struct virtio_device *d, void *opaque)
{
	d->ops->wire->left(d);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration space. */
#include "base/util.h"
#include "daemon/session/backend_impl.h"

bool on_get_config(struct backend *b, struct backend_request *rq, GError **error)
{
	const struct virtio_device *d = &b->device;
	const struct vu_config *want = &rq->in.payload.config;
	uint8_t *data = rq->out.payload.bytes + sizeof(*want);
	uint32_t there;

	/* A reply without payload tells that it failed. */
	if (want->offset >= d->config_size)
		return true;
	there = MIN(want->size, d->config_size - want->offset);
	rq->out.payload.config = *want;
	pool_config_read(b->pool, want->offset, data, there);
	/* Front-ends know larger structs than ours. */
	memset(data + there, 0, want->size - there);
	rq->out.header.size = rq->in.header.size;
	return true;
}

/*
 * Resets for a driver that writes while no queue runs: it is at its beginning. If no message has
 * told that the one before it has ended, the device is reset now: at the start of a queue (see
 * driver_starts_afresh()) that would undo what was written.
 */
static void reset_for_new_driver(struct backend *b)
{
	bool moved = false;

	for (unsigned i = 0; i < b->device.num_queues; i++)
		moved |= b->vrings[i].moved;
	if (moved && !pool_is_active(b->pool))
		backend_reset_device(b);
}

/*
 * Returns the part of the message that range w allows to be written: from *first to before *end.
 * Bytes that the driver may not write are ignored: some front-ends write the whole space back,
 * stale bytes included.
 */
static bool writable_part(const struct backend_request *rq, const struct virtio_config_range *w,
	uint32_t *first, uint32_t *end)
{
	const struct vu_config *c = &rq->in.payload.config;

	/* No sum wraps: the offset is below config_size, the size below VU_MAX_CONFIG. */
	*first = MAX(c->offset, w->offset);
	*end = MIN(c->offset + c->size, (uint32_t)w->offset + w->size);
	return *first < *end;
}

bool on_set_config(struct backend *b, struct backend_request *rq, GError **error)
{
	const struct virtio_device *d = &b->device;
	const struct virtio_config_range *w = d->ops->config_writable;
	uint32_t from = rq->in.payload.config.offset, first, end;

	if (from >= d->config_size)
		return refuse(error, EINVAL, "offset %" PRIu32 " is past the end, %" PRIu32, from,
			d->config_size);
	for (; w && w->size; w++) {
		if (writable_part(rq, w, &first, &end)) {
			reset_for_new_driver(b);
			return true;
		}
	}
	return true;
}

bool verb_set_config(struct virtio_device *d, struct backend_request *rq, GError **error)
{
	const struct virtio_config_range *w = d->ops->config_writable;
	const uint8_t *data = rq->in.payload.bytes + sizeof(rq->in.payload.config);
	uint32_t from = rq->in.payload.config.offset, first, end;

	for (; w && w->size; w++) {
		if (!writable_part(rq, w, &first, &end))
			continue;
		pool_config_write(d->pool, first, data + first - from, end - first);
		if (d->ops->config_written)
			d->ops->config_written(d, first, end - first);
	}
	return true;
}

void config_change(struct backend *b)
{
	b->config_change_due = true;
	b->config_change_logged = false;
	channel_flush(b);
}

void config_vring_starts(struct backend_vring *v)
{
	struct backend *b = v->backend;

	if (b->device.config_size && !b->config_resumed && !v->has_run &&
		!vq_is_fresh(pool_queue_vq(b->pool, v->index))) {
		b->config_resumed = true;
		b->config_change_due = true;
	}
	v->has_run = true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vring from the first message about it to the last: it runs once it has a size, addresses, a
 * kick, memory, features and is enabled, in whatever order these came (vhost-user.rst, "Ring
 * states"). A vring that breaks stays as it is, dead, until the front-end takes it back.
 */
#include <linux/virtio_config.h>

#include "base/eventfd.h"
#include "base/util.h"
#include "daemon/session/backend_impl.h"
#include "virtio/ring_layout.h"

void vrings_new(struct backend *b)
{
	b->vrings = g_new(struct backend_vring, b->device.num_queues);
	for (unsigned i = 0; i < b->device.num_queues; i++)
		b->vrings[i] =
			(struct backend_vring){ .backend = b, .index = i, .kick = -1, .err = -1 };
}

const char *vring_name(const struct backend_vring *v)
{
	return vq_name(pool_queue_vq(v->backend->pool, v->index));
}

/*
 * Returns SET_VRING_BASE of a driver that has not used the ring yet: virtio 1.2 §2.8.1 for
 * packed.
 */
static uint32_t initial_base(const struct backend *b)
{
	return virtio_initial_base(b->features & VU_BIT(VIRTIO_F_RING_PACKED));
}

/*
 * Recognises a fresh start. Not every front-end tells that the driver starts afresh: QEMU sends
 * SET_STATUS 0 for a mere pause, and RESET_DEVICE for some devices only. So: the first vring to
 * run after all were stopped is at its very beginning, as are all others set up so far, and one
 * of them had moved on before.
 */
static bool driver_starts_afresh(const struct backend_vring *first)
{
	const struct backend *b = first->backend;
	bool moved = false;

	if (pool_is_active(b->pool) || !vq_is_fresh(pool_queue_vq(b->pool, first->index)))
		return false;
	for (unsigned i = 0; i < b->device.num_queues; i++) {
		const struct backend_vring *v = &b->vrings[i];

		if (!v->has_kick)
			continue;
		if (v->base != initial_base(b))
			return false;
		moved |= v->moved;
	}
	return moved;
}

static bool is_complete(const struct backend_vring *v)
{
	const struct backend *b = v->backend;

	return v->size && v->has_addr && v->has_kick && v->enabled && b->has_features &&
		guest_mem_regions(b->mem);
}

static bool claim(struct backend *b, GError **error)
{
	const struct virtio_device_ops *ops = b->device.ops;

	b->claimed = b->claimed || !ops->claim || ops->claim(&b->device, error);
	return b->claimed;
}

void vring_yield(struct backend *b)
{
	if (!b->claimed || !b->migrates || pool_is_active(b->pool))
		return;
	if (b->device.ops->release)
		b->device.ops->release(&b->device);
	b->claimed = false;
}

bool vring_start(struct backend_vring *v, GError **error)
{
	struct backend *b = v->backend;
	struct vq_setup setup = {
		.size = v->size,
		/* A driver is the same one whether its memory is logged or not. */
		.features = b->features & ~VU_BIT(VHOST_F_LOG_ALL),
		.desc = v->addr.desc,
		.avail = v->addr.avail,
		.used = v->addr.used,
		.base = v->base,
		.logs_ring = v->addr.flags & VU_VRING_LOG,
		.log_addr = v->addr.log,
		.any_order = b->device.ops->any_order,
		.batch = b->device.ops->batch,
	};

	if (pool_queue_state(b->pool, v->index) != QUEUE_STOPPED || v->dead || !is_complete(v))
		return true;
	if (!claim(b, error))
		return false;
	inflight_find(v, &setup);
	if (!pool_queue_map(b->pool, v->index, &setup, error))
		return false;
	/* All queues that run have the same features, and their workers read this. */
	if (!pool_is_active(b->pool))
		b->device.driver_features =
			setup.features & ~VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	if (driver_starts_afresh(v)) {
		log_debug(NULL, "the driver starts afresh: the device is reset");
		backend_reset_device(b);
	}
	config_vring_starts(v);
	log_debug(vring_name(v), "runs: %u descriptors, from index %u", v->size, v->base);
	quiet_started(v);
	pool_queue_run(b->pool, v->index, v->kick);
	channel_flush(b);
	return true;
}

void vring_drain(struct backend_vring *v)
{
	struct backend *b = v->backend;

	if (pool_queue_state(b->pool, v->index) != QUEUE_RUNNING)
		return;
	/* QEMU answers a request to map, and then sends the table of memory that it changes. */
	channel_read(b);
	pool_queue_drain(b->pool, v->index);
	shm_cancel(b, v->index);
}

void vring_stopped(struct backend_vring *v, uint32_t base)
{
	v->base = base;
	v->moved = base != initial_base(v->backend);
	log_debug(vring_name(v), "stopped at index %u", base);
}

void vring_broke(struct backend_vring *v)
{
	v->dead = true;
	eventfd_signal(v->err);
	v->backend->needs_reset = true;
	config_change(v->backend);
}

void vring_take_back(struct backend_vring *v)
{
	fd_close(&v->kick);
	v->has_kick = false;
	v->dead = false;
}

void vring_forget(struct backend_vring *v)
{
	vring_take_back(v);
	pool_queue_set_call(v->backend->pool, v->index, -1);
	fd_close(&v->err);
	v->size = 0;
	v->base = 0;
	v->has_addr = false;
	v->enabled = false;
	v->has_run = false;
}

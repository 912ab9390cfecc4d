/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vring that is kicked and never has a request looks like a guest that hangs. The usual cause is
 * guest memory that the front-end does not share: it sends no region, or what is mapped here is a
 * copy, in which the available index never moves (QEMU: a memory backend without share=on). So a
 * vring that something is expected of is looked at a while later, and one line names the cause,
 * once for each connection.
 *
 * Front-ends kick each vring that they start, QEMU and virtiod's do: the second kick counts.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>

#include "daemon/session/backend_impl.h"
#include "memory/shm.h"
#include "virtio/ring_layout.h"

#define QUIET_MS 5000
#define SHARE "with QEMU: a memory backend with share=on"

static bool lacks_memory(const struct backend_vring *v)
{
	const struct backend *b = v->backend;

	return v->size && v->has_addr && v->has_kick && v->enabled && b->has_features &&
		!guest_mem_regions(b->mem);
}

static bool is_kicked(const struct backend_vring *v)
{
	struct pollfd pfd = { .fd = v->kick, .events = POLLIN };

	return v->kick < 0 || poll(&pfd, 1, 0) > 0;
}

/*
 * Tells, of a vring that runs, whether the driver's first request is still to come. One that has
 * had requests may well wait for the next: a reconnecting front-end hands on kicks that were
 * answered.
 */
static bool index_has_not_moved(const struct backend_vring *v)
{
	struct backend *b = v->backend;
	bool packed = b->features & VU_BIT(VIRTIO_F_RING_PACKED);
	/* The first descriptor's flags follow its 14 other bytes, the index 2 bytes of flags. */
	uint64_t at = packed ? v->addr.desc + 14 : v->addr.avail + 2;
	struct mem_ring_map map = { 0 };
	uint16_t now;

	if ((uint16_t)v->base != (packed ? 0x8000 : 0))
		return false;
	/* Foreign and granted pages are never copies. */
	if (!vq_can_pin(pool_queue_vq(b->pool, v->index)) ||
		!guest_mem_map_ring(b->mem, at & ~UINT64_C(3), 4, 4, "index", &map, NULL))
		return false;
	now = shm_load16((const char *)map.host + (at & 3));
	guest_mem_unmap_ring(b->mem, &map);
	return packed ? !(now & 1u << VRING_PACKED_DESC_F_AVAIL) : now == 0;
}

static bool has_served(const struct backend_vring *v)
{
	const struct vq_stats *s = vq_stats(pool_queue_vq(v->backend->pool, v->index));

	return __atomic_load_n(&s->popped, __ATOMIC_RELAXED) != v->popped;
}

/* Returns whether the guest's memory is shared for sure: a queue may be one that is not used. */
static bool any_has_served(const struct backend *b)
{
	for (unsigned i = 0; i < b->device.num_queues; i++) {
		if (has_served(&b->vrings[i]))
			return true;
	}
	return false;
}

/* Says what is wrong with the vring; false: nothing is. */
static bool name_cause(const struct backend_vring *v)
{
	const struct backend *b = v->backend;

	if (lacks_memory(v) && is_kicked(v)) {
		log_warning(vring_name(v),
			"is kicked, but the front-end has shared no memory of the guest (" SHARE
			")");
		return true;
	}
	if (v->dead || pool_queue_state(b->pool, v->index) != QUEUE_RUNNING || any_has_served(b) ||
		!index_has_not_moved(v))
		return false;
	log_warning(vring_name(v),
		"was kicked, but its available index does not move: does the front-end share the "
		"guest's memory? (" SHARE ")");
	return true;
}

static void on_timer(void *opaque)
{
	struct backend *b = opaque;
	bool wait = false;

	for (unsigned i = 0; i < b->device.num_queues && !b->quiet_told; i++) {
		struct backend_vring *v = &b->vrings[i];

		if (!v->quiet || --v->quiet) {
			wait |= v->quiet;
			continue;
		}
		b->quiet_told = name_cause(v);
		if (lacks_memory(v))
			v->quiet = 1;
		wait |= v->quiet;
	}
	if (!wait || b->quiet_told)
		g_clear_pointer(&b->quiet, loop_watch_free);
}

static void expect(struct backend_vring *v)
{
	struct backend *b = v->backend;
	unsigned ms = b->options.quiet_ms ? b->options.quiet_ms : QUIET_MS;

	if (b->quiet_told)
		return;
	/* The first round may be about to end. */
	v->quiet = 2;
	if (!b->quiet)
		b->quiet = loop_watch_timer(ms, on_timer, b);
}

void quiet_described(struct backend_vring *v)
{
	if (lacks_memory(v) && !v->quiet)
		expect(v);
}

/* Forgets what was served before, and what is expected. */
static void reset(struct backend_vring *v)
{
	const struct vq_stats *s = vq_stats(pool_queue_vq(v->backend->pool, v->index));

	v->popped = __atomic_load_n(&s->popped, __ATOMIC_RELAXED);
	v->quiet = 0;
}

void quiet_started(struct backend_vring *v)
{
	reset(v);
}

void quiet_kicked(struct backend_vring *v)
{
	if (pool_queue_kicks(v->backend->pool, v->index) >= 2)
		expect(v);
}

void quiet_forget(struct backend *b)
{
	g_clear_pointer(&b->quiet, loop_watch_free);
	b->quiet_told = false;
	for (unsigned i = 0; i < b->device.num_queues; i++)
		reset(&b->vrings[i]);
}

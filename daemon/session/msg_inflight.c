/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages about the in-flight area (vhost-user.rst, "Inflight I/O tracking"): made here, empty;
 * kept by the front-end, which hands it over before vrings start, to this process or, if it dies,
 * to the next one. What is in it is the ring engine's (virtio/inflight.h); here is where each
 * queue's part lies.
 *
 * All parts are of one size: that of the area by its number of queues. So it is in areas that
 * others made, and so parts may be larger than the front-end asked for and knows, which helps where
 * it then sets up larger rings than it asked for (QEMU does for some devices).
 */
#include <linux/virtio_config.h>

#include "base/memfd.h"
#include "base/util.h"
#include "daemon/session/backend_impl.h"
#include "virtio/inflight.h"

/* The least room of a part, in descriptors: pages that are not used take no memory. */
#define MIN_ROOM 1024

static bool is_packed(const struct backend *b)
{
	return b->features & VU_BIT(VIRTIO_F_RING_PACKED);
}

/* Rings of a format that is not negotiated yet may be packed, whose parts are the larger ones. */
static size_t part_size(const struct backend *b, uint16_t queue_size)
{
	return virtio_inflight_bytes(queue_size, is_packed(b) || !b->has_features);
}

bool on_get_inflight_fd(struct backend *b, struct backend_request *rq, GError **error)
{
	bool counted = rq->in.header.size;
	struct vu_inflight area = { 0 };
	int fd;

	if (counted)
		memcpy(&area, &rq->in.payload.inflight, rq->in.header.size);
	if (area.num_queues > b->device.num_queues)
		return refuse(error, EINVAL, "%u queues, there are only %u", area.num_queues,
			b->device.num_queues);
	if (area.queue_size > VQ_MAX_SIZE)
		return refuse(
			error, EINVAL, "%u descriptors, not 1 to %u", area.queue_size, VQ_MAX_SIZE);
	/* Early front-ends send nothing, and take what they get. */
	if (!area.num_queues)
		area.num_queues = b->device.num_queues;
	area.queue_size = area.queue_size ? MAX(area.queue_size, MIN_ROOM) : VQ_MAX_SIZE;
	area.mmap_size = area.num_queues * (uint64_t)part_size(b, area.queue_size);
	area.mmap_offset = 0;
	area.padding = 0;
	fd = memfd_sealed("in-flight", area.mmap_size);
	if (fd < 0) {
		/* Size 0: there is none, and the device works without. */
		log_limited(&b->refusals, LOG_LEVEL_WARNING, NULL,
			"requests in flight cannot be recorded: memfd: %s", g_strerror(errno));
		area.mmap_size = 0;
	}
	rq->out.payload.inflight = area;
	rq->out.header.size = counted ? rq->in.header.size : sizeof(area);
	rq->out.fds[0] = fd;
	rq->out.n_fds = fd < 0 ? 0 : 1;
	return true;
}

void inflight_drop(struct backend *b)
{
	struct inflight_area *i = &b->inflight;

	if (!i->mem)
		return;
	guest_mem_unmap_ring(i->mem, &i->map);
	g_clear_pointer(&i->mem, guest_mem_free);
}

/* Maps the area like guest memory: the file may be too short, or be truncated at any time. */
static bool map_area(struct inflight_area *i, const struct vu_inflight *area, int fd, size_t size,
	GError **error)
{
	const struct mem_region_desc desc = {
		.size = area->mmap_size,
		.mmap_offset = area->mmap_offset,
	};
	g_autoptr(guest_mem) mem = guest_mem_new();

	if (!guest_mem_set(mem, &desc, &fd, 1, error) ||
		!guest_mem_map_ring(mem, 0, size, 1, "in-flight area", &i->map, error))
		return false;
	if ((uintptr_t)i->map.host % VIRTIO_INFLIGHT_ALIGN) {
		guest_mem_unmap_ring(mem, &i->map);
		return refuse(error, EINVAL, "offset 0x%" PRIx64 " is not a multiple of %u",
			area->mmap_offset, VIRTIO_INFLIGHT_ALIGN);
	}
	i->mem = g_steal_pointer(&mem);
	return true;
}

bool on_set_inflight_fd(struct backend *b, struct backend_request *rq, GError **error)
{
	struct vu_inflight area = { 0 };
	struct inflight_area fresh = { 0 };
	uint64_t part;

	memcpy(&area, &rq->in.payload.inflight, rq->in.header.size);
	if (!area.num_queues || !area.queue_size || area.queue_size > VQ_MAX_SIZE)
		return refuse(error, EINVAL, "%u queues of %u descriptors", area.num_queues,
			area.queue_size);
	part = virtio_inflight_part(area.mmap_size, area.num_queues);
	if (part < virtio_inflight_bytes(area.queue_size, is_packed(b)))
		return refuse(error, EINVAL,
			"0x%" PRIx64 " bytes are too few for %u queues of %u descriptors",
			area.mmap_size, area.num_queues, area.queue_size);
	if (part > SIZE_MAX / VIRTIO_MAX_QUEUES)
		return refuse(error, EINVAL, "0x%" PRIx64 " bytes are too many", area.mmap_size);
	fresh.part = part;
	fresh.queues = MIN(area.num_queues, b->device.num_queues);
	if (!map_area(&fresh, &area, rq->in.fds[0], fresh.part * fresh.queues, error))
		return false;
	inflight_drop(b);
	b->inflight = fresh;
	log_debug(NULL, "in-flight area: %u queues, 0x%" PRIx64 " bytes each", fresh.queues, part);
	return true;
}

void inflight_find(struct backend_vring *v, struct vq_setup *setup)
{
	struct backend *b = v->backend;
	const struct inflight_area *i = &b->inflight;
	const char *why = NULL;

	if (!i->mem)
		return;
	if (guest_mem_poisoned(i->mem))
		why = "the front-end has truncated the area";
	else if (v->index >= i->queues)
		why = "the area has no part for this queue";
	else if (i->part < virtio_inflight_bytes(setup->size, is_packed(b)))
		why = "the ring is larger than its part of the area";
	if (why) {
		log_limited(&b->refusals, LOG_LEVEL_WARNING, vring_name(v),
			"requests in flight are not recorded: %s", why);
		return;
	}
	setup->inflight = (char *)i->map.host + v->index * i->part;
	setup->inflight_len = i->part;
}

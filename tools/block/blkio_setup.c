/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's way to a running queue (virtio 1.2 §3.1.1), and back. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "tools/block/blk_device.h"
#include "tools/block/blkio_impl.h"
#include "tools/virtioctl.h"

#define SEGMENT_ALIGN 4096u

#define FEATURE(bit) (UINT64_C(1) << (bit))
#define WANTED                                                                \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | \
		FEATURE(VIRTIO_RING_F_EVENT_IDX) | PACKED)
#define PACKED FEATURE(VIRTIO_F_RING_PACKED)

static bool read_config(struct blkio *b, GError **error)
{
	enum choice packed = b->options.packed;
	struct blk_device device;

	if (!blk_device_read(
		    b->f, packed == CHOICE_OFF ? WANTED & ~PACKED : WANTED, &device, error))
		return false;
	if (packed == CHOICE_ON && !(device.features & PACKED)) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the back-end does not offer packed rings");
		return false;
	}
	if (!blk_device_fit(&device, b->options.queue_size, b->options.request_size,
		    &b->segment_size, &b->info.request_size, error))
		return false;
	b->info.features = device.features;
	b->info.capacity = device.capacity;
	b->info.block_size = device.block_size;
	b->info.read_only = device.read_only;
	b->info.flush = device.flush;
	return true;
}

/* How many requests the ring holds at a time. */
static void fit_depth(struct blkio *b)
{
	unsigned segments = (b->info.request_size + b->segment_size - 1) / b->segment_size;
	bool indirect = b->info.features & FEATURE(VIRTIO_RING_F_INDIRECT_DESC);

	b->info.depth = MIN(b->options.depth,
		indirect ? b->options.queue_size : b->options.queue_size / (segments + 2));
}

static bool make_slots(struct blkio *b, GError **error)
{
	b->slots = g_new0(struct blkio_slot, b->info.depth);
	for (unsigned i = 0; i < b->info.depth; i++) {
		struct blkio_slot *s = &b->slots[i];

		s->wire_addr = driver_mem_alloc(b->mem, sizeof(*s->wire), 64);
		s->data_addr = driver_mem_alloc(b->mem, b->info.request_size, SEGMENT_ALIGN);
		if (!s->wire_addr || !s->data_addr) {
			g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
				"no room in the shared memory for %u requests", b->info.depth);
			return false;
		}
		s->wire = driver_mem_host(b->mem, s->wire_addr, sizeof(*s->wire));
		s->request.data = driver_mem_host(b->mem, s->data_addr, b->info.request_size);
	}
	return true;
}

static bool make_memory(struct blkio *b, GError **error)
{
	uint64_t one = align_up(b->info.request_size, SEGMENT_ALIGN) + 2 * SEGMENT_ALIGN;
	uint64_t ring = driver_ring_footprint(b->options.queue_size, b->info.features);

	b->mem = driver_mem_new(b->info.depth * one + ring + SEGMENT_ALIGN, error);
	if (!b->mem)
		return false;
	b->ring = driver_ring_new(b->mem, b->options.queue_size, b->info.features, error);
	if (!b->ring || !make_slots(b, error))
		return false;
	b->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->kick < 0 || b->call < 0) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "eventfd: %s", g_strerror(errno));
		return false;
	}
	return true;
}

static bool start(struct blkio *b, GError **error)
{
	struct vu_ring_setup setup = {
		.size = b->options.queue_size,
		.base = driver_ring_initial_base(b->ring),
		.kick = b->kick,
		.call = b->call,
		.err = -1,
	};
	struct mem_region_desc desc;
	uint8_t status;
	int fd;

	if (!blk_device_negotiate(b->f, b->info.features, &status, error))
		return false;
	driver_mem_describe(b->mem, &desc, &fd);
	if (!vu_front_set_memory(b->f, &desc, &fd, 1, error))
		return false;
	driver_ring_addresses(b->ring, &setup.desc, &setup.avail, &setup.used);
	b->started = true;
	return vu_front_setup_ring(b->f, b->options.queue, &setup, error) &&
		vu_front_enable_ring(b->f, b->options.queue, true, error) &&
		vu_front_set_status(b->f, status | VIRTIO_CONFIG_S_DRIVER_OK, error);
}

struct blkio *blkio_new(struct vu_front *f, const struct blkio_options *o, GError **error)
{
	g_autoptr(blkio) b = g_new0(struct blkio, 1);

	b->f = f;
	b->options = *o;
	b->kick = b->call = -1;
	if (!read_config(b, error))
		return NULL;
	fit_depth(b);
	if (!make_memory(b, error) || !start(b, error))
		return NULL;
	return g_steal_pointer(&b);
}

void blkio_free(struct blkio *b)
{
	if (!b)
		return;
	if (b->started && vu_front_is_alive(b->f)) {
		uint32_t base;

		if (vu_front_stop_ring(b->f, b->options.queue, &base, NULL))
			vu_front_reset(b->f, NULL);
	}
	g_clear_pointer(&b->ring, driver_ring_free);
	g_clear_pointer(&b->mem, driver_mem_free);
	fd_close(&b->kick);
	fd_close(&b->call);
	g_free(b->slots);
	g_free(b);
}

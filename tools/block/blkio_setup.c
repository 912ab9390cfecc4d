/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's way to a running queue (virtio 1.2 §3.1.1), and back. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "tools/block/blkio_impl.h"
#include "tools/virtioctl.h"

#define FEATURE(bit) (UINT64_C(1) << (bit))
#define WANTED                                                                \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | \
		FEATURE(VIRTIO_RING_F_EVENT_IDX) | FEATURE(VIRTIO_F_RING_PACKED))

static bool read_config(struct blkio *b, GError **error)
{
	struct blk_device device;

	if (!blk_device_read(b->f, WANTED, &device, error) ||
		!blk_choose_feature(&device.features, VIRTIO_F_RING_PACKED, b->options.packed,
			"--packed", error))
		return false;
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

		s->wire_addr = driver_mem_alloc(b->mem, sizeof(*s->wire), BLK_WIRE_ALIGN);
		s->data_addr = driver_mem_alloc(b->mem, b->info.request_size, BLK_DATA_ALIGN);
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
	uint64_t one = align_up(b->info.request_size, BLK_DATA_ALIGN) + 2 * BLK_DATA_ALIGN;
	uint64_t ring = driver_ring_footprint(b->options.queue_size, b->info.features);

	b->mem = driver_mem_new(b->info.depth * one + ring + BLK_DATA_ALIGN, error);
	if (!b->mem)
		return false;
	b->ring = driver_ring_new(b->mem, b->options.queue_size, b->info.features, error);
	if (!b->ring || !make_slots(b, error))
		return false;
	if (!b->options.strict)
		driver_ring_cut_excess(b->ring);
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
	uint8_t status;

	if (!blk_driver_begin(b->f, b->info.features, b->mem, &status, error))
		return false;
	b->started = true;
	return blk_driver_start_queue(b->f, b->options.queue, b->ring, b->options.queue_size,
		       b->kick, b->call, error) &&
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
	blk_driver_end(b->f, b->options.queue, b->started);
	g_clear_pointer(&b->ring, driver_ring_free);
	g_clear_pointer(&b->mem, driver_mem_free);
	fd_close(&b->kick);
	fd_close(&b->call);
	g_free(b->slots);
	g_free(b);
}

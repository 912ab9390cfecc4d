/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's way to a running queue (virtio 1.2 §3.1.1), and back. */
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "blk_config.h"
#include "blkio_impl.h"
#include "virtioctl.h"

#define MAX_BLOCK_SIZE (1u << 20)
#define SEGMENT_ALIGN 4096u

#define FEATURE(bit) (UINT64_C(1) << (bit))
#define WANTED                                                                      \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |       \
		FEATURE(VIRTIO_RING_F_EVENT_IDX) | FEATURE(VIRTIO_BLK_F_SIZE_MAX) | \
		FEATURE(VIRTIO_BLK_F_SEG_MAX) | FEATURE(VIRTIO_BLK_F_RO) |          \
		FEATURE(VIRTIO_BLK_F_BLK_SIZE) | FEATURE(VIRTIO_BLK_F_FLUSH) |      \
		FEATURE(VIRTIO_BLK_F_MQ))

static uint64_t config_value(const char *key, const uint8_t *config, size_t size, uint64_t features)
{
	uint64_t value = 0;

	for (size_t i = 0; i < blk_n_fields; i++) {
		if (g_str_equal(blk_fields[i].key, key))
			blk_field_value(&blk_fields[i], config, size, features, &value);
	}
	return value;
}

/*
 * Fits the request size to what device and queue can take; 0 means that the device says nothing. A
 * chain is no longer than the queue, indirect or not (virtio 1.2 §2.7.5.3.1).
 */
static bool fit_request(struct blkio *b, uint32_t size_max, uint32_t seg_max, GError **error)
{
	uint32_t wanted = b->options.request_size;
	unsigned segments = MIN(b->options.queue_size, DRIVER_RING_TABLE_LEN);
	uint64_t most;

	if (segments < 3) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"a queue of %u is too small: a request takes 3 descriptors",
			b->options.queue_size);
		return false;
	}
	segments -= 2; /* header and status */
	if (seg_max)
		segments = MIN(segments, seg_max);
	b->segment_size = size_max ? MIN(size_max, wanted) : wanted;
	most = MIN((uint64_t)b->segment_size * segments, wanted);
	b->info.request_size = (uint32_t)(most - most % b->info.block_size);
	if (b->info.request_size > 0)
		return true;
	g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
		"requests of %u bytes (%u segments of %u) are smaller than the device's blocks of "
		"%u",
		wanted, segments, b->segment_size, b->info.block_size);
	return false;
}

static bool read_config(struct blkio *b, GError **error)
{
	const struct virtio_probe *probe = &vu_front_facts(b->f)->probe;
	uint8_t config[sizeof(struct virtio_blk_config)] = { 0 };
	uint32_t size = MIN(probe->config_size, sizeof(config));
	uint64_t sectors, block_size;

	if (size < sizeof(uint64_t)) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"a configuration space of %u bytes is no block device's", size);
		return false;
	}
	if (!vu_front_get_config(b->f, 0, config, size, error))
		return false;
	b->info.features = probe->features & WANTED;
	sectors = config_value("capacity", config, size, b->info.features);
	block_size = config_value("blk_size", config, size, b->info.features);
	if (block_size == 0)
		block_size = BLKIO_SECTOR;
	if (sectors > UINT64_MAX / BLKIO_SECTOR || block_size < BLKIO_SECTOR ||
		block_size > MAX_BLOCK_SIZE || (block_size & (block_size - 1))) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the back-end claims %" PRIu64 " sectors and blocks of %" PRIu64 " bytes",
			sectors, block_size);
		return false;
	}
	b->info.capacity = sectors * BLKIO_SECTOR;
	b->info.block_size = (uint32_t)block_size;
	b->info.read_only = b->info.features & FEATURE(VIRTIO_BLK_F_RO);
	b->info.flush = b->info.features & FEATURE(VIRTIO_BLK_F_FLUSH);
	return fit_request(b, (uint32_t)config_value("size_max", config, size, b->info.features),
		(uint32_t)config_value("seg_max", config, size, b->info.features), error);
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
	b->slots = g_new0(struct slot, b->info.depth);
	for (unsigned i = 0; i < b->info.depth; i++) {
		struct slot *s = &b->slots[i];

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

/* FEATURES_OK must stay set where the back-end keeps a status (virtio 1.2 §3.1.1). */
static bool negotiate(struct blkio *b, uint8_t *status, GError **error)
{
	bool has_status = vu_front_facts(b->f)->protocol_acked & VU_BIT(VU_F_STATUS);
	uint8_t now = 0;

	if (!(b->info.features & FEATURE(VIRTIO_F_VERSION_1))) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the back-end does not offer VERSION_1");
		return false;
	}
	*status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	if (!vu_front_set_status(b->f, *status, error) ||
		!vu_front_set_features(b->f, b->info.features, error))
		return false;
	*status |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (!vu_front_set_status(b->f, *status, error) || !vu_front_get_status(b->f, &now, error))
		return false;
	if (has_status && !(now & VIRTIO_CONFIG_S_FEATURES_OK)) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the back-end refuses the features 0x%" PRIx64, b->info.features);
		return false;
	}
	return true;
}

static bool start(struct blkio *b, GError **error)
{
	struct vu_ring_setup setup = {
		.size = b->options.queue_size, .kick = b->kick, .call = b->call, .err = -1
	};
	struct mem_region_desc desc;
	uint8_t status;
	int fd;

	if (!negotiate(b, &status, error))
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

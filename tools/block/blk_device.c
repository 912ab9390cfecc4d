/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_device.h. */
#include "tools/block/blk_device.h"

#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdio.h>

#include "tools/block/blk_config.h"
#include "driver/driver_ring.h"
#include "tools/names.h"
#include "tools/virtioctl.h"

#define MAX_BLOCK_SIZE (1u << 20)

#define FEATURE(bit) (UINT64_C(1) << (bit))
#define BLK_FEATURES                                                        \
	(FEATURE(VIRTIO_BLK_F_SIZE_MAX) | FEATURE(VIRTIO_BLK_F_SEG_MAX) |   \
		FEATURE(VIRTIO_BLK_F_RO) | FEATURE(VIRTIO_BLK_F_BLK_SIZE) | \
		FEATURE(VIRTIO_BLK_F_FLUSH) | FEATURE(VIRTIO_BLK_F_MQ))

bool blk_device_check(const struct vu_front *f, const char *name, GError **error)
{
	const struct vu_properties *properties = vu_front_properties(f);

	if (properties->device_id == VU_SOURCE_NONE) {
		fprintf(stderr,
			"virtioctl: %s does not say what device it is: taken for a block device\n",
			name);
	} else if (properties->probe.device_id != VIRTIO_ID_BLOCK) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"%s is no block device, but %s (%u)", name,
			names_device(properties->probe.device_id) ?: "something else",
			properties->probe.device_id);
		return false;
	}
	return true;
}

static uint64_t config_value(const char *key, const uint8_t *config, size_t size, uint64_t features)
{
	uint64_t value = 0;

	for (size_t i = 0; i < blk_n_fields; i++) {
		if (g_str_equal(blk_fields[i].key, key))
			blk_field_value(&blk_fields[i], config, size, features, &value);
	}
	return value;
}

bool blk_device_read(
	struct vu_front *f, uint64_t ring_features, struct blk_device *d, GError **error)
{
	const struct virtio_probe *probe = &vu_front_properties(f)->probe;
	uint64_t features = probe->features & (ring_features | BLK_FEATURES);
	uint8_t config[sizeof(struct virtio_blk_config)] = { 0 };
	uint32_t size = MIN(probe->config_size, sizeof(config));
	uint64_t sectors, block_size;

	if (size < sizeof(uint64_t)) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"a configuration space of %u bytes is no block device's", size);
		return false;
	}
	if (!vu_front_get_config(f, 0, config, size, error))
		return false;
	sectors = config_value("capacity", config, size, features);
	block_size = config_value("blk_size", config, size, features);
	if (block_size == 0)
		block_size = BLK_SECTOR;
	if (sectors > UINT64_MAX / BLK_SECTOR || block_size < BLK_SECTOR ||
		block_size > MAX_BLOCK_SIZE || (block_size & (block_size - 1))) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the back-end claims %" PRIu64 " sectors and blocks of %" PRIu64 " bytes",
			sectors, block_size);
		return false;
	}
	*d = (struct blk_device){
		.features = features,
		.capacity = sectors * BLK_SECTOR,
		.block_size = (uint32_t)block_size,
		.size_max = (uint32_t)config_value("size_max", config, size, features),
		.seg_max = (uint32_t)config_value("seg_max", config, size, features),
		.read_only = features & FEATURE(VIRTIO_BLK_F_RO),
		.flush = features & FEATURE(VIRTIO_BLK_F_FLUSH),
	};
	return true;
}

/* A chain is no longer than the queue, indirect or not (virtio 1.2 §2.7.5.3.1). */
bool blk_device_fit(const struct blk_device *d, unsigned queue_size, uint32_t wanted,
	uint32_t *segment_size, uint32_t *request_size, GError **error)
{
	unsigned segments = MIN(queue_size, DRIVER_RING_TABLE_LEN);
	uint64_t most;

	if (segments < 3) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"a queue of %u is too small: a request takes 3 descriptors", queue_size);
		return false;
	}
	segments -= 2; /* header and status */
	if (d->seg_max)
		segments = MIN(segments, d->seg_max);
	*segment_size = d->size_max ? MIN(d->size_max, wanted) : wanted;
	most = MIN((uint64_t)*segment_size * segments, wanted);
	*request_size = (uint32_t)(most - most % d->block_size);
	if (*request_size > 0)
		return true;
	g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
		"requests of %u bytes (%u segments of %u) are smaller than the device's blocks of "
		"%u",
		wanted, segments, *segment_size, d->block_size);
	return false;
}

/* FEATURES_OK must stay set where the back-end keeps a status. */
bool blk_device_negotiate(struct vu_front *f, uint64_t features, uint8_t *status, GError **error)
{
	bool has_status = vu_front_properties(f)->protocol_acked & VU_BIT(VU_F_STATUS);
	uint8_t now = 0;

	if (!(features & FEATURE(VIRTIO_F_VERSION_1))) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the back-end does not offer VERSION_1");
		return false;
	}
	*status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	if (!vu_front_set_status(f, *status, error) || !vu_front_set_features(f, features, error))
		return false;
	*status |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (!vu_front_set_status(f, *status, error) || !vu_front_get_status(f, &now, error))
		return false;
	if (has_status && !(now & VIRTIO_CONFIG_S_FEATURES_OK)) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the back-end refuses the features 0x%" PRIx64, features);
		return false;
	}
	return true;
}

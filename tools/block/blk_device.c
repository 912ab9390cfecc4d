/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_device.h. */
#include "tools/block/blk_device.h"

#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "base/error.h"
#include "base/log.h"
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
/* Bits 0 to 23 are the device's; those that block devices have, legacy ones too. */
#define DEVICE_FEATURES (FEATURE(24) - 1)
#define KNOWN_FEATURES                                                                   \
	(BLK_FEATURES | FEATURE(VIRTIO_BLK_F_BARRIER) | FEATURE(VIRTIO_BLK_F_GEOMETRY) | \
		FEATURE(VIRTIO_BLK_F_SCSI) | FEATURE(VIRTIO_BLK_F_TOPOLOGY) |            \
		FEATURE(VIRTIO_BLK_F_CONFIG_WCE) | FEATURE(VIRTIO_BLK_F_DISCARD) |       \
		FEATURE(VIRTIO_BLK_F_WRITE_ZEROES) | FEATURE(VIRTIO_BLK_F_SECURE_ERASE))
/* The capacity. */
#define MIN_CONFIG sizeof(uint64_t)

/* Tells a disk without an identity: other devices offer other bits, or neither of the two. */
static bool looks_like_disk(const struct virtio_probe *probe)
{
	return !(probe->features & DEVICE_FEATURES & ~KNOWN_FEATURES) &&
		(probe->features &
			(FEATURE(VIRTIO_BLK_F_BLK_SIZE) | FEATURE(VIRTIO_BLK_F_FLUSH))) &&
		probe->config_size >= MIN_CONFIG;
}

static void say_assumed(const struct vu_properties *p, const char *name, const char *dashes)
{
	g_autofree char *numbers = vu_properties_assumed(p, dashes);
	bool type = p->device_id == VU_SOURCE_NONE;

	if (type || numbers)
		log_print("virtioctl: %s: assumed, as the back-end does not tell: %s%s%s\n", name,
			type ? "a block device (by its features)" : "", type && numbers ? ", " : "",
			numbers ? numbers : "");
}

bool blk_device_check(
	const struct vu_front *f, const char *name, const char *dashes, GError **error)
{
	const struct vu_properties *p = vu_front_properties(f);

	if (p->device_id != VU_SOURCE_NONE && p->probe.device_id != VIRTIO_ID_BLOCK)
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"%s is no block device, but %s (%u)", name,
			names_device(p->probe.device_id) ?: "something else", p->probe.device_id);
	if (p->device_id == VU_SOURCE_NONE && !looks_like_disk(&p->probe))
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"%s does not tell what device it is, and does not look like a block device "
			"(features 0x%" PRIx64 ", %" PRIu32
			" bytes of configuration space): if it is one, --device-id=block",
			name, p->probe.features, p->probe.config_size);
	say_assumed(p, name, dashes);
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

	if (size < MIN_CONFIG) {
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

bool blk_device_check_extent(
	const struct blk_device *d, uint64_t offset, uint64_t length, GError **error)
{
	if (offset % d->block_size)
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"--offset: %" PRIu64 " is not a multiple of the block size %u", offset,
			d->block_size);
	return (offset <= d->capacity && length <= d->capacity - offset) ||
		error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"--offset %" PRIu64 " and --length %" PRIu64
			" are beyond the device's end at %" PRIu64,
			offset, length, d->capacity);
}

/* Fits requests: a chain is no longer than the queue, indirect or not (virtio 1.2 §2.7.5.3.1). */
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

/* Negotiates. FEATURES_OK must stay set where the back-end keeps a status. */
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

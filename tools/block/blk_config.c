/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_config.h. */
#include "tools/block/blk_config.h"

#include <glib.h>
#include <inttypes.h>
#include <linux/virtio_blk.h>

#include "base/util.h"
#include "tools/text.h"

#define FIELD(member, name, bit, kind)                                                   \
	{                                                                                \
		.key = #member, .label = name,                                           \
		.offset = offsetof(struct virtio_blk_config, member),                    \
		.size = sizeof(((struct virtio_blk_config *)0)->member), .feature = bit, \
		.unit = BLK_UNIT_##kind                                                  \
	}

const struct blk_field blk_fields[] = {
	FIELD(capacity, "capacity", -1, SECTORS),
	FIELD(size_max, "largest segment", VIRTIO_BLK_F_SIZE_MAX, BYTES),
	FIELD(seg_max, "most segments", VIRTIO_BLK_F_SEG_MAX, COUNT),
	FIELD(geometry.cylinders, "cylinders", VIRTIO_BLK_F_GEOMETRY, COUNT),
	FIELD(geometry.heads, "heads", VIRTIO_BLK_F_GEOMETRY, COUNT),
	FIELD(geometry.sectors, "sectors a track", VIRTIO_BLK_F_GEOMETRY, COUNT),
	FIELD(blk_size, "block size", VIRTIO_BLK_F_BLK_SIZE, BYTES),
	FIELD(physical_block_exp, "physical block", VIRTIO_BLK_F_TOPOLOGY, EXPONENT),
	FIELD(alignment_offset, "alignment offset", VIRTIO_BLK_F_TOPOLOGY, BLOCKS),
	FIELD(min_io_size, "least good I/O", VIRTIO_BLK_F_TOPOLOGY, BLOCKS),
	FIELD(opt_io_size, "best I/O", VIRTIO_BLK_F_TOPOLOGY, BLOCKS),
	FIELD(wce, "write cache", VIRTIO_BLK_F_CONFIG_WCE, CACHE),
	FIELD(num_queues, "request queues", VIRTIO_BLK_F_MQ, COUNT),
	FIELD(max_discard_sectors, "discard at once", VIRTIO_BLK_F_DISCARD, SECTORS),
	FIELD(max_discard_seg, "discard segments", VIRTIO_BLK_F_DISCARD, COUNT),
	FIELD(discard_sector_alignment, "discard alignment", VIRTIO_BLK_F_DISCARD, SECTORS),
	FIELD(max_write_zeroes_sectors, "zeroes at once", VIRTIO_BLK_F_WRITE_ZEROES, SECTORS),
	FIELD(max_write_zeroes_seg, "zeroes segments", VIRTIO_BLK_F_WRITE_ZEROES, COUNT),
	FIELD(write_zeroes_may_unmap, "zeroes may unmap", VIRTIO_BLK_F_WRITE_ZEROES, BOOL),
	FIELD(max_secure_erase_sectors, "erase at once", VIRTIO_BLK_F_SECURE_ERASE, SECTORS),
	FIELD(max_secure_erase_seg, "erase segments", VIRTIO_BLK_F_SECURE_ERASE, COUNT),
	FIELD(secure_erase_sector_alignment, "erase alignment", VIRTIO_BLK_F_SECURE_ERASE, SECTORS),
};
const size_t blk_n_fields = G_N_ELEMENTS(blk_fields);

bool blk_field_value(const struct blk_field *field, const uint8_t *config, size_t size,
	uint64_t features, uint64_t *value)
{
	uint64_t raw = 0;

	if (field->feature >= 0 && !(features >> field->feature & 1))
		return false;
	if (field->size > size || field->offset > size - field->size)
		return false;
	memcpy(&raw, config + field->offset, field->size); /* little-endian: the low bytes */
	*value = le64toh(raw);
	return true;
}

static char *count_text(uint64_t n, const char *of)
{
	return g_strdup_printf("%" PRIu64 " %s%s", n, of, n == 1 ? "" : "s");
}

static char *sectors_text(uint64_t sectors)
{
	g_autofree char *count = count_text(sectors, "sector"), *bytes = NULL;

	if (sectors > UINT64_MAX / 512)
		return g_steal_pointer(&count);
	bytes = text_size(sectors * 512);
	return g_strdup_printf("%s (%s)", bytes, count);
}

char *blk_field_text(const struct blk_field *field, uint64_t value)
{
	switch (field->unit) {
	case BLK_UNIT_BYTES:
		return text_size(value);
	case BLK_UNIT_SECTORS:
		return sectors_text(value);
	case BLK_UNIT_BLOCKS:
		return count_text(value, "block");
	case BLK_UNIT_COUNT:
		return g_strdup_printf("%" PRIu64, value);
	case BLK_UNIT_EXPONENT:
		return g_strdup_printf("2^%" PRIu64 " blocks", value);
	case BLK_UNIT_CACHE:
		return g_strdup(value ? "writeback" : "writethrough");
	case BLK_UNIT_BOOL:
		return g_strdup(value ? "yes" : "no");
	}
	return g_strdup_printf("%" PRIu64, value);
}

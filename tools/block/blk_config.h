/* SPDX-License-Identifier: Apache-2.0 */
/* The block device's configuration space (virtio 1.2 §5.2.4), field by field. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum blk_unit {
	BLK_UNIT_BYTES,
	BLK_UNIT_SECTORS, /* of 512 bytes */
	BLK_UNIT_BLOCKS, /* of block_size */
	BLK_UNIT_COUNT,
	BLK_UNIT_EXPONENT, /* so many logical blocks: 2 to the power of it */
	BLK_UNIT_CACHE, /* writeback or writethrough */
	BLK_UNIT_BOOL,
};

struct blk_field {
	const char *key; /* the specification's name */
	const char *label;
	uint16_t offset;
	uint8_t size; /* bytes: 1, 2, 4 or 8 */
	int8_t feature; /* the bit without which it has no meaning; -1: none */
	enum blk_unit unit;
};

/* In the order of the specification. */
extern const struct blk_field blk_fields[];
extern const size_t blk_n_fields;

/* Its value, if these features give it a meaning and config has so many bytes. */
bool blk_field_value(const struct blk_field *field, const uint8_t *config, size_t size,
	uint64_t features, uint64_t *value);
/* With its unit: "64 MiB (131072 sectors)". The caller frees. */
char *blk_field_text(const struct blk_field *field, uint64_t value);

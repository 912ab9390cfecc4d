/* SPDX-License-Identifier: Apache-2.0 */
/* How every driver of a block device begins: what the device says, and agreement on features. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost-user/front/vu_front.h"

#define BLK_SECTOR 512u

struct blk_device {
	uint64_t features; /* offered, and wanted by the driver */
	uint64_t capacity; /* bytes */
	uint32_t block_size;
	uint32_t size_max, seg_max; /* of a request; 0: the device says nothing */
	bool read_only, flush;
};

/*
 * Refuses what is no block device, and a back-end that does not tell its type unless features and
 * configuration space look like a block device's. Says on stderr what is assumed: name and dashes
 * are for that (vu_properties_assumed()).
 */
bool blk_device_check(
	const struct vu_front *f, const char *name, const char *dashes, GError **error);
/* Reads the configuration. ring_features: what the driver can do beside reading and writing. */
bool blk_device_read(
	struct vu_front *f, uint64_t ring_features, struct blk_device *d, GError **error);
/* Checks that offset is on a block's start, and length bytes from there are on the device. */
bool blk_device_check_extent(
	const struct blk_device *d, uint64_t offset, uint64_t length, GError **error);
/*
 * Cuts requests of at most wanted bytes into segments as device and queue take them. The request
 * size becomes a multiple of the block size.
 */
bool blk_device_fit(const struct blk_device *d, unsigned queue_size, uint32_t wanted,
	uint32_t *segment_size, uint32_t *request_size, GError **error);
/* Sets status and features up to FEATURES_OK (virtio 1.2 §3.1.1); DRIVER_OK is added to *status. */
bool blk_device_negotiate(struct vu_front *f, uint64_t features, uint8_t *status, GError **error);

/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of virtiod-blk (blk_request.c) and the device around them (blk.c). */
#pragma once

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "daemon/devices/blk_file.h"
#include "ring/vq.h"

#define BLK_SECTOR 512u
#define BLK_MAX_QUEUES 64

/* Limits for one request, as the configuration space shows them. */
#define BLK_MAX_DISCARD_SECTORS (1u << 21)
#define BLK_MAX_DISCARD_SEGMENTS 32
/* Less, because it may come to real writing, during which the queue's owner does nothing else. */
#define BLK_MAX_ZERO_SECTORS (1u << 17)
#define BLK_MAX_ZERO_SEGMENTS 1

struct blk {
	struct blk_file file;
	uint64_t sectors; /* capacity */
	uint32_t block_size;
	char serial[VIRTIO_BLK_ID_BYTES]; /* padded with NUL, which may be missing */
	struct log_limit limit[BLK_MAX_QUEUES]; /* by queue */
};

/*
 * Serves what is available in the queue. writeback: completed writes may wait for a flush;
 * otherwise they are stable.
 */
void blk_serve(struct blk *b, struct vq *q, bool writeback);

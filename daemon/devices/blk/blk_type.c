/* SPDX-License-Identifier: Apache-2.0 */
/* Types of requests, for statistics. */
#include "daemon/devices/blk/blk_request.h"

enum { OTHER, READ, WRITE, FLUSH, DISCARD, WRITE_ZEROES, GET_ID };

/* Header and status. */
#define OVERHEAD (sizeof(struct virtio_blk_outhdr) + sizeof(uint8_t))

const struct vq_type blk_request_types[] = {
	[OTHER] = { "other", OVERHEAD },
	[READ] = { "read", OVERHEAD },
	[WRITE] = { "write", OVERHEAD },
	[FLUSH] = { "flush", OVERHEAD },
	[DISCARD] = { "discard", OVERHEAD },
	[WRITE_ZEROES] = { "write-zeroes", OVERHEAD },
	[GET_ID] = { "get-id", OVERHEAD },
	{ NULL },
};

unsigned blk_request_type(uint32_t type)
{
	static const uint8_t types[] = {
		[VIRTIO_BLK_T_IN] = READ,
		[VIRTIO_BLK_T_OUT] = WRITE,
		[VIRTIO_BLK_T_FLUSH] = FLUSH,
		[VIRTIO_BLK_T_GET_ID] = GET_ID,
		[VIRTIO_BLK_T_DISCARD] = DISCARD,
		[VIRTIO_BLK_T_WRITE_ZEROES] = WRITE_ZEROES,
	};

	return type < G_N_ELEMENTS(types) ? types[type] : OTHER;
}

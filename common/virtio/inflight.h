/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-flight area (vhost-user.rst, "Inflight I/O tracking"): memory that outlives a back-end and
 * tells which requests it had taken and not completed. The back-end makes it, the front-end keeps
 * it and hands it to the next back-end. Values are in the host's byte order.
 *
 * The area is divided into parts of one size, one for each virtqueue. The size follows from the
 * area's, not from the queues': parts may be larger than the front-end asked for, which helps where
 * it sets up larger virtqueues than it announced (QEMU does for some devices).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The layout of a part that this describes; 0 in its place: nothing is in it yet. */
#define VIRTIO_INFLIGHT_VERSION 1
/* Parts are multiples of a cache line: queues of different threads share none. */
#define VIRTIO_INFLIGHT_ALIGN 64u

struct virtio_inflight_split_entry { /* of the request with this head */
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next; /* the one that was completed before it */
	uint64_t counter;
};

struct virtio_inflight_split {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head; /* the one completed last */
	uint16_t used_idx; /* the vring's, once what it publishes is not in flight any more */
	struct virtio_inflight_split_entry entry[];
};

/* A copy of a descriptor: those in the vring are overwritten by completed ones. */
struct virtio_inflight_packed_entry {
	uint8_t inflight; /* of the first of a list, as are last, num and counter */
	uint8_t padding;
	uint16_t next; /* of the list, or of the free ones */
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

/* Where used descriptors go; replaced as a whole, so that no half of it is ever seen. */
union virtio_inflight_used {
	struct {
		uint16_t idx, old_idx;
		uint8_t wrap, old_wrap;
	};
	uint64_t all;
};

struct virtio_inflight_packed {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t free_head, old_free_head; /* what is old holds until all of a step is done */
	union virtio_inflight_used used;
	uint8_t padding[8];
	struct virtio_inflight_packed_entry entry[];
};

_Static_assert(sizeof(struct virtio_inflight_split_entry) == 16, "as in vhost-user.rst");
_Static_assert(sizeof(struct virtio_inflight_split) == 16, "as in vhost-user.rst");
_Static_assert(sizeof(struct virtio_inflight_packed_entry) == 32, "as in vhost-user.rst");
_Static_assert(sizeof(struct virtio_inflight_packed) == 32, "as in vhost-user.rst");
_Static_assert(offsetof(struct virtio_inflight_split, version) ==
		offsetof(struct virtio_inflight_packed, version),
	"found before the layout is known");

/* Returns the bytes that a virtqueue's part must have. */
static inline uint64_t virtio_inflight_bytes(uint32_t size, bool packed)
{
	uint64_t bytes = packed ? sizeof(struct virtio_inflight_packed) +
			(uint64_t)size * sizeof(struct virtio_inflight_packed_entry)
				: sizeof(struct virtio_inflight_split) +
			(uint64_t)size * sizeof(struct virtio_inflight_split_entry);

	return (bytes + VIRTIO_INFLIGHT_ALIGN - 1) / VIRTIO_INFLIGHT_ALIGN * VIRTIO_INFLIGHT_ALIGN;
}

/* Returns the bytes of each part of an area; that of queue i begins at i times this. */
static inline uint64_t virtio_inflight_part(uint64_t area_bytes, uint32_t queues)
{
	return queues ? area_bytes / queues / VIRTIO_INFLIGHT_ALIGN * VIRTIO_INFLIGHT_ALIGN : 0;
}

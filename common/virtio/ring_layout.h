/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a virtqueue that both sides must agree on (virtio 1.2 §2.7, §2.8): sizes and alignments
 * of its three areas, and the base of a packed one as SET_VRING_BASE has it. Free-standing: a bare
 * guest includes it, too.
 *
 *			split			packed
 *	descriptor	descriptor table	descriptor ring
 *	driver		available ring		event suppression
 *	device		used ring		event suppression
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The largest size of a virtqueue, in descriptors. A split one's is a power of two. */
#define VIRTIO_MAX_QUEUE_SIZE 32768u

/* Bytes of one element: a descriptor of either format, a head, a completed request. */
#define VIRTIO_DESC_BYTES 16u
#define VIRTIO_AVAIL_ELEM_BYTES 2u
#define VIRTIO_USED_ELEM_BYTES 8u
/* Flags and index in front of the available and the used ring; the event index behind them. */
#define VIRTIO_RING_HEADER_BYTES 4u
#define VIRTIO_RING_EVENT_BYTES 2u
/* A packed virtqueue's event suppression area. */
#define VIRTIO_PACKED_EVENT_BYTES 4u

/* What the addresses of the areas are multiples of. */
#define VIRTIO_DESC_ALIGN 16u
#define VIRTIO_SPLIT_DRIVER_ALIGN 2u
#define VIRTIO_SPLIT_DEVICE_ALIGN 4u
#define VIRTIO_PACKED_EVENT_ALIGN 4u

/* Bytes of the three areas of a virtqueue. */
struct virtio_ring_bytes {
	uint64_t desc, driver, device;
};

/*
 * Returns the size of each area. event_idx: VIRTIO_RING_F_EVENT_IDX, without which nothing is read
 * or written behind a split virtqueue's elements; packed ones ignore it.
 */
static inline struct virtio_ring_bytes virtio_ring_bytes(uint32_t size, bool packed, bool event_idx)
{
	struct virtio_ring_bytes bytes = {
		(uint64_t)VIRTIO_DESC_BYTES * size,
		VIRTIO_PACKED_EVENT_BYTES,
		VIRTIO_PACKED_EVENT_BYTES,
	};
	uint32_t event = event_idx ? VIRTIO_RING_EVENT_BYTES : 0;

	if (!packed) {
		bytes.driver =
			VIRTIO_RING_HEADER_BYTES + (uint64_t)VIRTIO_AVAIL_ELEM_BYTES * size + event;
		bytes.device =
			VIRTIO_RING_HEADER_BYTES + (uint64_t)VIRTIO_USED_ELEM_BYTES * size + event;
	}
	return bytes;
}

/* Returns whether a virtqueue may have this size. */
static inline bool virtio_queue_size_is_valid(uint32_t size, bool packed)
{
	return size && size <= VIRTIO_MAX_QUEUE_SIZE && (packed || !(size & (size - 1)));
}

/*
 * A position of a packed virtqueue: the index of a descriptor, and in bit 15 the wrap counter of
 * that turn, as in the event suppression areas.
 */
#define VIRTIO_PACKED_WRAP 0x8000u

/*
 * The base of a packed virtqueue (vhost-user.rst, "Vring state description"): the position to fetch
 * from in the low half, the position to complete at in the high half. Both counters begin at 1. A
 * split one's base is an available index, 0 at first.
 */
#define VIRTIO_PACKED_INITIAL_BASE 0x80008000u

static inline uint32_t virtio_packed_base(uint16_t avail, uint16_t used)
{
	return (uint32_t)used << 16 | avail;
}

static inline uint16_t virtio_packed_base_avail(uint32_t base)
{
	return base & 0xffff;
}

static inline uint16_t virtio_packed_base_used(uint32_t base)
{
	return base >> 16;
}

/* Returns the base of a virtqueue that no driver has used yet. */
static inline uint32_t virtio_initial_base(bool packed)
{
	return packed ? VIRTIO_PACKED_INITIAL_BASE : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The in-flight area: how much of it a queue takes (vhost-user.rst, "Inflight I/O tracking"). */
#include "ring/vq_inflight.h"

#include "base/util.h"

/* Both layouts, as all who write such areas have them: a header, then an entry a descriptor. */
#define SPLIT_HEADER 16
#define SPLIT_ENTRY 16
#define PACKED_HEADER 32
#define PACKED_ENTRY 32

size_t vq_inflight_size(uint16_t size, bool packed)
{
	size_t n = size;

	return align_up(
		packed ? PACKED_HEADER + PACKED_ENTRY * n : SPLIT_HEADER + SPLIT_ENTRY * n, 64);
}

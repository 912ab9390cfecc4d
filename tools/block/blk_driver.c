/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_driver.h. */
#include "tools/block/blk_driver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "tools/virtioctl.h"

unsigned blk_wire_buffers(
	uint64_t wire, uint64_t data, uint32_t len, uint32_t segment_size, struct driver_buf *bufs)
{
	unsigned n = 0;

	bufs[n++] = (struct driver_buf){ wire, sizeof(struct virtio_blk_outhdr) };
	for (uint32_t at = 0; at < len; at += segment_size)
		bufs[n++] = (struct driver_buf){ data + at, MIN(segment_size, len - at) };
	bufs[n++] = (struct driver_buf){ wire + offsetof(struct blk_wire, status), 1 };
	return n;
}

const char *blk_type_name(uint32_t type)
{
	return type == VIRTIO_BLK_T_IN ? "read" : type == VIRTIO_BLK_T_OUT ? "write" : "flush";
}

const char *blk_status_name(uint8_t status)
{
	return status == VIRTIO_BLK_S_IOERR	? "I/O error"
		: status == VIRTIO_BLK_S_UNSUPP ? "unsupported"
						: NULL;
}

char *blk_reap_error(const struct driver_ring *r, int err)
{
	const struct driver_excess *excess = driver_ring_excess(r);

	if (err != -EMSGSIZE)
		return g_strdup("the back-end returned a request that it did not have");
	return g_strdup_printf("the back-end reported a used length of %" PRIu32
			       " for a request of which it may write %" PRIu64 " bytes",
		excess->len, excess->writable);
}

void blk_warn_excess(const char *name, const struct driver_excess *excess)
{
	if (excess->times)
		fprintf(stderr,
			"virtioctl: %s: the back-end reports used lengths that are too large "
			"(%" PRIu32 " where it may write %" PRIu64
			" bytes): cut (--strict makes it an error)\n",
			name, excess->len, excess->writable);
}

bool blk_choose_feature(
	uint64_t *features, unsigned bit, enum choice choice, const char *option, GError **error)
{
	uint64_t mask = UINT64_C(1) << bit;

	if (choice == CHOICE_ON && !(*features & mask))
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"%s=on: the back-end does not offer that", option);
	if (choice == CHOICE_OFF)
		*features &= ~mask;
	return true;
}

bool blk_driver_begin(struct vu_front *f, uint64_t features, const struct driver_mem *mem,
	uint8_t *status, GError **error)
{
	struct mem_region_desc desc;
	int fd;

	if (!blk_device_negotiate(f, features, status, error))
		return false;
	driver_mem_describe(mem, &desc, &fd);
	return vu_front_set_memory(f, &desc, &fd, 1, error);
}

bool blk_driver_start_queue(struct vu_front *f, unsigned i, struct driver_ring *ring, unsigned size,
	int kick, int call, GError **error)
{
	struct vu_ring_setup setup = {
		.size = size,
		.base = driver_ring_initial_base(ring),
		.kick = kick,
		.call = call,
		.err = -1,
	};

	driver_ring_addresses(ring, &setup.desc, &setup.avail, &setup.used);
	return vu_front_setup_ring(f, i, &setup, error) && vu_front_enable_ring(f, i, true, error);
}

void blk_driver_end(struct vu_front *f, unsigned first, unsigned n)
{
	bool stopped = n > 0 && vu_front_is_alive(f);

	for (unsigned i = 0; stopped && i < n; i++) {
		uint32_t base;

		stopped = vu_front_stop_ring(f, first + i, &base, NULL);
	}
	if (stopped)
		vu_front_reset(f, NULL);
}

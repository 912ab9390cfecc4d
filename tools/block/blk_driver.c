/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_driver.h. */
#include "tools/block/blk_driver.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "tools/virtioctl.h"

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

bool blk_driver_start_queue(
	struct vu_front *f, unsigned i, const struct blkio_queue *q, int call, GError **error)
{
	struct vu_ring_setup setup = {
		.size = q->layout.size,
		.base = driver_ring_resume_base(q->ring),
		.kick = q->kick,
		.call = call,
		.err = -1,
	};

	driver_ring_addresses(q->ring, &setup.desc, &setup.avail, &setup.used);
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

static void on_config_change(void *opaque)
{
	bool *changed = opaque;

	*changed = true;
}

/*
 * Serves the channel: a device that needs a reset announces a change of its configuration
 * (virtio 1.2 §2.1.2).
 */
bool blk_driver_serve(struct vu_front *f, GError **error)
{
	static const struct vu_front_events events = { .config_changed = on_config_change };
	bool changed = false;
	uint8_t status = 0;

	if (!vu_front_backend_event(f, &events, &changed))
		return error_set(
			error, CTL_ERROR, CTL_ERROR_FAILED, "the back-end has closed its channel");
	if (changed && !vu_front_get_status(f, &status, error))
		return false;
	return !(status & VIRTIO_CONFIG_S_NEEDS_RESET) ||
		error_set(error, CTL_ERROR, CTL_ERROR_FAILED, "the device needs a reset");
}

bool blk_warn_excess(const char *name, const struct blkio_queue *q)
{
	const struct driver_excess *excess = driver_ring_excess(q->ring);

	if (excess->times)
		fprintf(stderr,
			"virtioctl: %s: the back-end reports used lengths that are too large "
			"(%" PRIu32 " where it may write %" PRIu64
			" bytes): cut (--strict makes it an error)\n",
			name, excess->len, excess->writable);
	return excess->times;
}

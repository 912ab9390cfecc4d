/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that does not use its device looks like one that hangs: after a while one line says how
 * far it has come, and what its kernel needs.
 */
#include "vmm/vmm_impl.h"

#include <inttypes.h>
#include <linux/virtio_config.h>

/* Returns what the guest has not done, under the lock; NULL: its driver runs. */
static const char *missing(const struct vmm_dev *d)
{
	uint8_t status = virtio_mmio_status(d->mmio);

	if (status & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED))
		return NULL; /* FAILED has its own line */
	if (status & VIRTIO_CONFIG_S_DRIVER)
		return "has a driver for the device, which does not get as far as DRIVER_OK";
	return d->counters.accesses ? "has looked at the device, but has no driver for it"
				    : "has not looked at the device";
}

void vmm_check_idle(struct vmm_dev *d)
{
	const char *what;

	if (vmm_next_idle(d) != 0)
		return;
	d->idle_at = 0;
	pthread_mutex_lock(&d->lock);
	what = d->state->slot == VMM_SLOT_DEVICE && !d->used ? missing(d) : NULL;
	pthread_mutex_unlock(&d->lock);
	if (what)
		log_warning(d->name,
			"for %u s the guest %s (type %" PRIu32 ", at 0x%" PRIx64 ")%s%s",
			d->idle_ms / 1000, what, d->properties.probe.device_id, d->base,
			d->needs ? "; " : "", d->needs ? d->needs : "");
}

int vmm_next_idle(const struct vmm_dev *d)
{
	int64_t left = d->idle_at - g_get_monotonic_time();

	if (!d->idle_at)
		return -1;
	return left > 0 ? (int)((left + 999) / 1000) : 0;
}

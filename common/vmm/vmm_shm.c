/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory regions: the hypervisor reserves guest addresses for those of the first back-end,
 * which the SHM registers show to the driver from then on; what a back-end maps goes through to the
 * hypervisor. Reset and the loss of the back-end unmap everything (vu_front_shm.c).
 */
#include "vmm/vmm_impl.h"

#include <errno.h>
#include <inttypes.h>

void vmm_reserve_shm(struct vmm_dev *d)
{
	for (unsigned id = 0; id < VU_MAX_SHMEM_REGIONS; id++) {
		struct virtio_mmio_shm region = {
			.id = id,
			.len = vu_front_shm_size(d->front, id),
		};
		g_autoptr(GError) error = NULL;

		if (!region.len)
			continue;
		if (d->ops->shm_reserve(d->opaque, d, region.id, region.len, &region.base, &error))
			g_array_append_val(d->shm, region);
		else
			log_warning(d->name,
				"the driver finds no shared memory region %u (%" PRIu64
				" bytes): %s",
				id, region.len, error->message);
	}
}

static bool has_region(const struct vmm_dev *d, uint8_t id)
{
	for (unsigned i = 0; i < d->shm->len; i++)
		if (g_array_index(d->shm, struct virtio_mmio_shm, i).id == id)
			return true;
	return false;
}

bool vmm_shm_fits(const struct vmm_dev *d, const struct vu_front *f, GError **error)
{
	for (unsigned i = 0; i < d->shm->len; i++) {
		const struct virtio_mmio_shm *region =
			&g_array_index(d->shm, struct virtio_mmio_shm, i);
		uint64_t now = vu_front_shm_size(f, region->id);

		if (now == region->len)
			continue;
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_PROPERTIES,
			"%" PRIu64 " bytes of shared memory region %u instead of %" PRIu64, now,
			region->id, region->len);
		return false;
	}
	return true;
}

static int map(void *opaque, const struct vu_front_mapping *m)
{
	struct vmm_dev *d = opaque;

	return has_region(d, m->id) ? d->ops->shm_map(d->opaque, d, m) : EOPNOTSUPP;
}

static void unmap(void *opaque, uint8_t id, uint64_t at, uint64_t len)
{
	struct vmm_dev *d = opaque;

	if (has_region(d, id))
		d->ops->shm_unmap(d->opaque, d, id, at, len);
}

const struct vu_front_shm_ops vmm_shm_ops = { .map = map, .unmap = unmap };

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's memory, as it is sent to the back-end. The hypervisor's table may depend on which
 * queues run: where a guest grants its rings, a region comes and goes with each.
 */
#include "vmm/vmm_impl.h"

#include <string.h>
#include <linux/virtio_config.h>

bool vmm_memory_is_set(const struct vmm_dev *d)
{
	return d->table_told && d->memory_sent == d->desired.memory;
}

/* Puts the queues that are to run in ready. */
static unsigned ready_queues(const struct vmm_dev *d, struct virtio_mmio_queue *ready)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->properties.probe.max_queues; i++)
		if (vmm_status_has(d, VIRTIO_CONFIG_S_DRIVER_OK) && d->desired.queue[i].q.ready)
			ready[n++] = d->desired.queue[i].q;
	return n;
}

static bool queue_is(const struct virtio_mmio_queue *a, const struct virtio_mmio_queue *b)
{
	return a->size == b->size && a->desc == b->desc && a->driver == b->driver &&
		a->device == b->device;
}

/* Is the table one for these queues? */
static bool is_for(const struct vmm_dev *d, const struct virtio_mmio_queue *ready, unsigned n)
{
	for (unsigned i = 0; n == d->n_table_ready && i < n; i++)
		if (!queue_is(&ready[i], &d->table_ready[i]))
			return false;
	return n == d->n_table_ready;
}

/* Asks the hypervisor anew; true: the table is the one that was. */
static bool ask(struct vmm_dev *d, const struct virtio_mmio_queue *ready, unsigned n_ready)
{
	const struct mem_region_desc *table = NULL;
	bool packed = d->desired.features & VU_BIT(VIRTIO_F_RING_PACKED);
	unsigned n = d->ops->memory(d->opaque, d, ready, n_ready, packed, &table, &d->table_fds);
	bool same = n == d->n_table && (!n || !memcmp(table, d->table, n * sizeof(*table)));

	memcpy(d->table_ready, ready, n_ready * sizeof(*ready));
	d->n_table_ready = n_ready;
	if (!same) {
		g_free(d->table);
		d->table = g_memdup2(table, n * sizeof(*table));
		d->n_table = n;
	}
	return same;
}

bool vmm_set_memory(struct vmm_dev *d, GError **error)
{
	struct virtio_mmio_queue ready[VIRTIO_MAX_QUEUES];
	unsigned n_ready = ready_queues(d, ready);
	bool fresh = vmm_memory_is_set(d) && d->invalidates_sent == d->desired.invalidates;

	/*
	 * Not before there is a driver; then whenever it changes. A predecessor has sent a table.
	 */
	if (!d->memory_sent && !d->compare && !vmm_status_has(d, VIRTIO_CONFIG_S_FEATURES_OK))
		return true;
	if (fresh && is_for(d, ready, n_ready))
		return true;
	if (ask(d, ready, n_ready) && fresh)
		return true;
	d->table_told = false;
	if (vu_front_set_memory(d->front, d->table, d->table_fds, d->n_table, error)) {
		d->table_told = true;
		d->memory_sent = d->desired.memory;
		d->invalidates_sent = d->desired.invalidates;
		return true;
	}
	if (!vmm_survived(d, error))
		return false;
	vmm_needs_reset(d, "the back-end did not take the guest's memory");
	return true;
}

const struct mem_region_desc *vmm_to_user(
	const struct vmm_dev *d, uint64_t addr, uint64_t len, uint64_t *user)
{
	for (unsigned i = 0; i < d->n_table; i++) {
		const struct mem_region_desc *r = &d->table[i];
		uint64_t offset = addr - r->guest_addr;

		if (addr < r->guest_addr || offset >= r->size || len > r->size - offset)
			continue;
		*user = r->user_addr + offset;
		return r;
	}
	return NULL;
}

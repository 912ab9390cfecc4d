/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass: the back-end becomes what the guest wants (struct vmm_want). Each step compares the
 * wish with what this connection has been told, so a pass on a new connection does everything and
 * one without news nothing. The order: reset, rings that go, configuration, memory, features, rings
 * that come, status, first kick.
 *
 * A step fails only with the connection. What the back-end refuses is logged, and if the guest
 * cannot go on without it, Status gets NEEDS_RESET.
 */
#include "vmm/vmm_impl.h"

#include <inttypes.h>
#include <string.h>
#include <linux/virtio_config.h>

bool vmm_survived(struct vmm_dev *d, GError **error)
{
	if (!vu_front_is_alive(d->front))
		return false;
	log_limited(&d->limit, LOG_LEVEL_WARNING, d->name, "%s", (*error)->message);
	g_clear_error(error);
	return true;
}

static bool wants(const struct vmm_dev *d, uint8_t status)
{
	return d->want.status & status;
}

static bool reset(struct vmm_dev *d, GError **error)
{
	if (d->resets_done == d->want.resets)
		return true;
	if (!vmm_stop_rings(d, error))
		return false;
	d->resets_done = d->want.resets;
	d->features_sent = false;
	d->status_sent = 0;
	return vu_front_reset(d->front, error) || vmm_survived(d, error);
}

static bool write_config(struct vmm_dev *d, GError **error)
{
	const GArray *writes = d->want.config_writes;

	for (unsigned i = 0; writes && i < writes->len; i++) {
		const struct vmm_config_write *w =
			&g_array_index(writes, struct vmm_config_write, i);

		if (!vu_front_set_config(d->front, w->offset, &w->bytes, w->size, error) &&
			!vmm_survived(d, error))
			return false;
	}
	return true;
}

static bool memory_is_set(const struct vmm_dev *d)
{
	return d->memory_sent == d->want.memory;
}

static bool set_memory(struct vmm_dev *d, GError **error)
{
	const struct mem_region_desc *desc;
	const int *fds;
	unsigned n;

	/* Not before there is a driver; then whenever it changes. */
	if (memory_is_set(d) || (!d->memory_sent && !wants(d, VIRTIO_CONFIG_S_FEATURES_OK)))
		return true;
	n = d->ops->memory(d->opaque, d, NULL, 0, &desc, &fds);
	if (vu_front_set_memory(d->front, desc, fds, n, error)) {
		d->memory_sent = d->want.memory;
		return true;
	}
	if (!vmm_survived(d, error))
		return false;
	vmm_needs_reset(d, "the back-end did not take the guest's memory");
	return true;
}

/* The driver is told at FEATURES_OK; one that went on already, that it must start again. */
static void refuse_features(struct vmm_dev *d)
{
	const char *what = "the back-end did not accept the driver's features";

	if (wants(d, VIRTIO_CONFIG_S_DRIVER_OK)) {
		vmm_needs_reset(d, "%s 0x%" PRIx64, what, d->want.features);
		return;
	}
	log_limited(&d->limit, LOG_LEVEL_WARNING, d->name, "%s 0x%" PRIx64, what, d->want.features);
	pthread_mutex_lock(&d->lock);
	if (d->resets == d->want.resets)
		virtio_mmio_refuse_features(d->mmio);
	pthread_mutex_unlock(&d->lock);
}

static bool set_features(struct vmm_dev *d, GError **error)
{
	const struct vu_facts *facts = vu_front_facts(d->front);
	uint8_t status = d->want.status & ~VIRTIO_CONFIG_S_DRIVER_OK;

	if (d->features_sent || !wants(d, VIRTIO_CONFIG_S_FEATURES_OK))
		return true;
	if (d->want.features & ~facts->probe.features) {
		refuse_features(d);
		return true;
	}
	if (!vu_front_set_features(d->front, d->want.features, error) ||
		!vu_front_set_status(d->front, status, error)) {
		if (!vmm_survived(d, error))
			return false;
		refuse_features(d);
		return true;
	}
	d->status_sent = status;
	if (facts->protocol_acked & VU_BIT(VU_F_STATUS)) {
		if (!vu_front_get_status(d->front, &status, error))
			return vmm_survived(d, error);
		if (!(status & VIRTIO_CONFIG_S_FEATURES_OK)) {
			refuse_features(d);
			return true;
		}
	}
	d->features_sent = true;
	return true;
}

static bool set_status(struct vmm_dev *d, GError **error)
{
	if (d->status_sent == d->want.status)
		return true;
	d->status_sent = d->want.status;
	if (vu_front_set_status(d->front, d->want.status, error))
		return true;
	if (!vmm_survived(d, error))
		return false;
	vmm_needs_reset(d, "the back-end did not take status 0x%x", d->want.status);
	return true;
}

static bool read_config(struct vmm_dev *d, GError **error)
{
	uint32_t size = d->facts.probe.config_size;
	g_autofree uint8_t *now = g_malloc0(size);
	uint8_t status = 0;
	bool have;

	if (d->config_read_at == d->want.config && !d->want.config_event)
		return true;
	have = size && vu_front_get_config(d->front, 0, now, size, error);
	if (size && !have && !vmm_survived(d, error))
		return false;
	if (d->want.config_event && !vu_front_get_status(d->front, &status, error) &&
		!vmm_survived(d, error))
		return false;
	pthread_mutex_lock(&d->lock);
	if (have)
		memcpy(d->config, now, size);
	/* What the guest wrote since then is newer. */
	for (unsigned i = 0; d->config_writes && i < d->config_writes->len; i++) {
		const struct vmm_config_write *w =
			&g_array_index(d->config_writes, struct vmm_config_write, i);

		memcpy(d->config + w->offset, &w->bytes, w->size);
	}
	d->config_read_at = d->want.config;
	virtio_mmio_config_touched(d->mmio);
	if (d->want.config_event) {
		d->counters.config_interrupts++;
		virtio_mmio_config_changed(d->mmio);
	}
	pthread_mutex_unlock(&d->lock);
	if (status & VIRTIO_CONFIG_S_NEEDS_RESET)
		vmm_needs_reset(d, "the back-end says that the device needs a reset");
	return true;
}

bool vmm_converge(struct vmm_dev *d, GError **error)
{
	if (!reset(d, error) || !vmm_stop_unwanted_rings(d, error) || !write_config(d, error) ||
		!set_memory(d, error) || !set_features(d, error))
		return false;
	if (d->features_sent && memory_is_set(d)) {
		if (!vmm_start_rings(d, error) || !set_status(d, error))
			return false;
		vmm_first_kicks(d);
	}
	return read_config(d, error);
}

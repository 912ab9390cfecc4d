/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass: brings the back-end to the desired state (struct vmm_desired). Each step compares it
 * with what this connection has been sent, so a pass on a new connection does everything and one
 * without a change does nothing. The order: reset, rings that go, configuration, memory, features,
 * rings that come, status, first kick.
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

static bool reset(struct vmm_dev *d, GError **error)
{
	struct vmm_state *s = d->state;

	if (s->resets_done == d->desired.resets)
		return true;
	if (!vmm_stop_rings(d, error))
		return false;
	s->features_sent = 0;
	s->status_sent = 0;
	vmm_area_untold(d);
	if (!vu_front_reset(d->front, error) && !vmm_survived(d, error))
		return false;
	s->resets_done = d->desired.resets;
	return true;
}

static bool write_config(struct vmm_dev *d, GError **error)
{
	const GArray *writes = d->desired.config_writes;

	for (unsigned i = 0; writes && i < writes->len; i++) {
		const struct vmm_config_write *w =
			&g_array_index(writes, struct vmm_config_write, i);

		if (!vu_front_set_config(d->front, w->offset, &w->bytes, w->size, error) &&
			!vmm_survived(d, error))
			return false;
	}
	return true;
}

/* Takes FEATURES_OK back; a driver that has gone on already must reset the device. */
static void refuse_features(struct vmm_dev *d)
{
	const char *what = "the back-end did not accept the driver's features";

	if (vmm_status_has(d, VIRTIO_CONFIG_S_DRIVER_OK)) {
		vmm_needs_reset(d, "%s 0x%" PRIx64, what, d->desired.features);
		return;
	}
	log_limited(
		&d->limit, LOG_LEVEL_WARNING, d->name, "%s 0x%" PRIx64, what, d->desired.features);
	pthread_mutex_lock(&d->lock);
	if (d->state->resets == d->desired.resets)
		virtio_mmio_refuse_features(d->mmio);
	pthread_mutex_unlock(&d->lock);
}

static bool set_features(struct vmm_dev *d, GError **error)
{
	const struct vu_properties *properties = vu_front_properties(d->front);
	uint8_t status = d->desired.status & ~VIRTIO_CONFIG_S_DRIVER_OK;

	if (d->state->features_sent || !vmm_status_has(d, VIRTIO_CONFIG_S_FEATURES_OK))
		return true;
	if (d->desired.features & ~properties->probe.features) {
		refuse_features(d);
		return true;
	}
	if (!vu_front_set_features(d->front, d->desired.features, error) ||
		!vu_front_set_status(d->front, status, error)) {
		if (!vmm_survived(d, error))
			return false;
		refuse_features(d);
		return true;
	}
	d->state->status_sent = status;
	if (properties->protocol_acked & VU_BIT(VU_F_STATUS)) {
		if (!vu_front_get_status(d->front, &status, error))
			return vmm_survived(d, error);
		if (!(status & VIRTIO_CONFIG_S_FEATURES_OK)) {
			refuse_features(d);
			return true;
		}
	}
	d->state->features_sent = 1;
	return true;
}

static bool set_status(struct vmm_dev *d, GError **error)
{
	bool ok;

	if (d->state->status_sent == d->desired.status)
		return true;
	ok = vu_front_set_status(d->front, d->desired.status, error);
	if (!ok && !vmm_survived(d, error))
		return false;
	/* After it: one that was perhaps not sent is sent again. */
	d->state->status_sent = d->desired.status;
	if (!ok)
		vmm_needs_reset(d, "the back-end did not take status 0x%x", d->desired.status);
	return true;
}

/* Makes what the back-end has the copy; event: notifies the driver. */
static void update_config(struct vmm_dev *d, const uint8_t *now, uint32_t size, bool event)
{
	struct vmm_state *s = d->state;

	d->config_read_at = d->desired.config;
	/* Before the copy: a successor that finds another one there notifies the driver again. */
	virtio_mmio_config_touched(d->mmio);
	if (event) {
		d->counters.config_interrupts++;
		virtio_mmio_config_changed(d->mmio);
	}
	vmm_order();
	memcpy(s->config, now, size);
	/* What the guest wrote since then is newer. */
	for (unsigned i = 0; d->config_writes && i < d->config_writes->len; i++) {
		const struct vmm_config_write *w =
			&g_array_index(d->config_writes, struct vmm_config_write, i);

		memcpy(s->config + w->offset, &w->bytes, w->size);
	}
}

static bool read_config(struct vmm_dev *d, GError **error)
{
	uint32_t size = d->properties.probe.config_size;
	g_autofree uint8_t *now = g_malloc0(MAX(size, 1)); /* not NULL */
	bool event = d->desired.config_event;
	uint8_t status = 0;
	bool have;

	if (d->config_read_at == d->desired.config && !event && !d->compare)
		return true;
	have = size && vu_front_get_config(d->front, 0, now, size, error);
	if (size && !have && !vmm_survived(d, error))
		return false;
	if ((event || d->compare) && !vu_front_get_status(d->front, &status, error) &&
		!vmm_survived(d, error))
		return false;
	pthread_mutex_lock(&d->lock);
	if (d->compare && have)
		event |= memcmp(d->state->config, now, size) != 0;
	update_config(d, now, have ? size : 0, event);
	pthread_mutex_unlock(&d->lock);
	d->compare = false;
	if (status & VIRTIO_CONFIG_S_NEEDS_RESET)
		vmm_needs_reset(d, "the back-end says that the device needs a reset");
	return true;
}

/*
 * Gives up a back-end that is slow with each of many queues: the driver goes on as if it were
 * away. What was to stop has stopped.
 */
static void on_late(void *opaque)
{
	struct vmm_dev *d = opaque;
	GArray *done = vmm_done_new();

	log_limited(&d->limit, LOG_LEVEL_WARNING, d->name,
		"the back-end is slow: the driver does not wait for it any longer");
	pthread_mutex_lock(&d->lock);
	vmm_take_writes_done(d, d->desired.seq, done);
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
}

static bool set_up(struct vmm_dev *d, GError **error)
{
	if (!write_config(d, error) || !vmm_set_memory(d, error) || !set_features(d, error))
		return false;
	if (!d->state->features_sent || !vmm_memory_is_set(d))
		return true;
	vu_front_on_late(d->front, on_late, d);
	if (!vmm_hand_over_area(d, error) || !vmm_start_rings(d, error) || !set_status(d, error))
		return false;
	vu_front_on_late(d->front, NULL, NULL);
	vmm_first_kicks(d);
	return true;
}

bool vmm_converge(struct vmm_dev *d, GError **error)
{
	return reset(d, error) && vmm_stop_unwanted_rings(d, error) && set_up(d, error) &&
		read_config(d, error);
}

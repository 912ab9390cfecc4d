/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From no back-end to one. The first makes the slot what it is; one that comes back after a loss
 * must fit, and gets the whole state again; the one that a predecessor was connected to is stopped
 * where it is, and then gets what may have changed.
 */
#include "vmm/vmm_impl.h"

#include <inttypes.h>
#include <string.h>
#include <linux/virtio_config.h>

#include "base/util.h"

/* The longest wait for a first answer. */
#define MOST_TIMES_DEADLINE 4

bool vmm_can_dial_again(const struct vmm_dev *d)
{
	return d->socket_path || d->ops->dial;
}

/* Makes the slot what the first back-end is. False: given up meanwhile. */
static bool fill_slot(struct vmm_dev *d, const struct vu_properties *properties)
{
	uint32_t room = MIN(d->window - VIRTIO_MMIO_CONFIG_SPACE, VIRTIO_MAX_CONFIG);
	struct virtio_probe probe = properties->probe;
	GArray *done = vmm_done_new();
	bool given_up;

	vmm_reserve_shm(d);
	if (probe.config_size > room) {
		log_warning(d->name,
			"%" PRIu32 " bytes of configuration, the window has room for %" PRIu32,
			probe.config_size, room);
		probe.config_size = room;
	}
	if (d->access_platform)
		probe.features |= VU_BIT(VIRTIO_F_ACCESS_PLATFORM);

	pthread_mutex_lock(&d->lock);
	vmm_state_set_properties(d, properties);
	given_up = d->state->slot != VMM_SLOT_PROBING;
	if (!given_up) {
		virtio_mmio_set_device(d->mmio, &probe, d->queue_size_max);
		virtio_mmio_set_shm(d->mmio, (const void *)d->shm->data, d->shm->len);
		vmm_order();
		d->state->slot = VMM_SLOT_DEVICE;
		vmm_order();
		d->state->has_front = 1;
		d->config_drops++;
		d->connected = true;
		d->idle_at = g_get_monotonic_time() + d->idle_ms * G_TIME_SPAN_MILLISECOND;
		vmm_changed(d);
		vmm_replay(d, done);
		pthread_cond_broadcast(&d->cond);
	}
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
	return !given_up;
}

/* Queues the guest's writes to the configuration once more; under the lock. */
static void rewrite_config(struct vmm_dev *d)
{
	uint32_t size = d->properties.probe.config_size;

	g_clear_pointer(&d->config_writes, g_array_unref);
	for (uint32_t i = 0; i < size; i++) {
		struct vmm_config_write w = { .offset = i };

		while (i < size && w.size < sizeof(w.bytes) && d->state->config_written[i]) {
			((uint8_t *)&w.bytes)[w.size++] = d->state->config[i];
			i++;
		}
		if (!w.size)
			continue;
		if (!d->config_writes)
			d->config_writes = g_array_new(FALSE, FALSE, sizeof(w));
		g_array_append_val(d->config_writes, w);
		i--;
	}
}

/* Tells whether a back-end that came back is the same for the guest. */
static bool fits(struct vmm_dev *d, const struct vu_front *f, GError **error)
{
	const struct virtio_probe *now = &vu_front_properties(f)->probe;
	const struct virtio_probe *was = &d->properties.probe;
	uint64_t features = was->features;

	pthread_mutex_lock(&d->lock);
	if (virtio_mmio_status(d->mmio) & VIRTIO_CONFIG_S_FEATURES_OK)
		features = virtio_mmio_driver_features(d->mmio) & ~VU_BIT(VIRTIO_F_ACCESS_PLATFORM);
	pthread_mutex_unlock(&d->lock);
	if (now->device_id != was->device_id)
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_PROPERTIES,
			"device id %" PRIu32 " instead of %" PRIu32, now->device_id,
			was->device_id);
	else if (now->config_size != was->config_size)
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_PROPERTIES,
			"%" PRIu32 " bytes of configuration instead of %" PRIu32, now->config_size,
			was->config_size);
	else if (now->max_queues < was->max_queues)
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_PROPERTIES,
			"%" PRIu32 " queues instead of %" PRIu32, now->max_queues, was->max_queues);
	else if (features & ~now->features)
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_PROPERTIES,
			"features 0x%" PRIx64 " are missing", features & ~now->features);
	else if (vmm_shm_fits(d, f, error))
		return true;
	g_prefix_error(error, "the back-end came back as another device: ");
	return false;
}

/* Repeats the guest's writes for a new back-end; under the lock. */
static void restore_config(struct vmm_dev *d)
{
	rewrite_config(d);
	/* It may have changed while there was no connection. */
	d->config_event = true;
}

/* Notes the connection, under the lock. */
static void connected(struct vmm_dev *d)
{
	d->config_drops++;
	d->connected = true;
	vmm_changed(d);
}

static void take_back(struct vmm_dev *d)
{
	GArray *done = vmm_done_new();

	pthread_mutex_lock(&d->lock);
	/* Resets of the time in between need not be repeated. */
	d->state->resets_done = d->state->resets;
	vmm_order();
	d->state->has_front = 1;
	restore_config(d);
	d->counters.reconnects++;
	connected(d);
	vmm_settle(d, done);
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
	log_limited(&d->limit, LOG_LEVEL_INFO, d->name, "the back-end is back");
}

/* Connects. kept: in: ask for the predecessor's connection; out: it is that. */
static struct vu_front *connect_front(struct vmm_dev *d, bool *kept, GError **error)
{
	struct vu_front_sockets sockets = { -1, -1, -1 };
	struct vu_front_options options = d->options;
	bool fresh = !*kept || !d->ops->dial;

	options.speaks_probe = d->properties.device_id == VU_SOURCE_PROBE;
	options.first_answer_ms = d->first_answer_ms;
	if (fresh)
		vmm_state_forget_front(d);
	*kept = false;
	if (!d->ops->dial)
		return d->socket_path ? vu_front_connect(d->socket_path, &options, error)
				      : vu_front_new(fd_steal(&d->fd), d->name, &options, error);
	if (!d->ops->dial(d->opaque, d, fresh, &options, &sockets, kept, error))
		return NULL;
	*kept &= !fresh;
	if (*kept)
		return vu_front_adopt(&sockets, d->name, &options, error);
	vmm_state_forget_front(d);
	return vu_front_new_on(&sockets, d->name, &options, error);
}

/* Goes on with the predecessor's connection. False: of no use. */
static bool go_on(struct vmm_dev *d, struct vu_front *f, GError **error)
{
	if (!fits(d, f, error))
		return false;
	d->front = f;
	if (!vmm_take_rings(d, error)) {
		d->front = NULL;
		return false;
	}
	pthread_mutex_lock(&d->lock);
	d->compare = d->adopted = true;
	/* The predecessor died over its own first pass. */
	if (!d->state->settled)
		restore_config(d);
	connected(d);
	pthread_mutex_unlock(&d->lock);
	log_info(d->name, "goes on where the predecessor was");
	return true;
}

/*
 * Refuses a first back-end without an identity: there is nothing to show to the guest. Says
 * which numbers are assumed.
 */
static bool has_identity(const struct vmm_dev *d, const struct vu_front *f, GError **error)
{
	const struct vu_properties *properties = vu_front_properties(f);
	g_autofree char *assumed = vu_properties_assumed(properties, "");

	if (properties->device_id == VU_SOURCE_NONE) {
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_PROPERTIES,
			"the back-end does not tell what device it is (PROBE): device-id=TYPE must "
			"say it, and queues=N and config-size=BYTES what else it does not tell");
		return false;
	}
	if (assumed)
		log_info(d->name, "assumed, as the back-end does not tell: %s", assumed);
	return true;
}

static void dial_failed(struct vmm_dev *d, const GError *error)
{
	bool final = !d->vring &&
		(!vmm_can_dial_again(d) ||
			g_error_matches(error, VU_FRONT_ERROR, VU_FRONT_ERROR_PROPERTIES));
	const char *why = error->message;
	GArray *done = vmm_done_new();

	/* A socket of ours has our name. */
	if (g_str_has_prefix(why, d->name) && g_str_has_prefix(why + strlen(d->name), ": "))
		why += strlen(d->name) + strlen(": ");
	/* A final problem is reported by vmm_dev_wait() or vmm_dev_give_up(). */
	if (vmm_note_problem(d, why, final) && !final && !vmm_is_ending(d))
		log_warning(d->name, "%s; trying again", why);
	pthread_mutex_lock(&d->lock);
	vmm_settle(d, done);
	vmm_take_done(d, UINT64_MAX, done);
	pthread_mutex_unlock(&d->lock);
	vmm_complete(d, done);
}

/* Dials what the predecessor left; true: d->front is it. */
static bool dial_kept(struct vmm_dev *d, struct vu_front **fresh, GError **error)
{
	g_autoptr(vu_front) f = NULL;
	g_autoptr(GError) why = NULL;
	bool kept = true;

	d->kept = false;
	f = connect_front(d, &kept, &why);
	if (!kept) {
		*fresh = g_steal_pointer(&f);
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	if (f && go_on(d, f, &why)) {
		g_steal_pointer(&f);
		return true;
	}
	log_warning(d->name, "cannot go on where the predecessor was: %s", why->message);
	g_clear_pointer(&f, vu_front_free);
	kept = false;
	*fresh = connect_front(d, &kept, error);
	return false;
}

/*
 * Doubles, after a dial that took as long as its deadline, that of the next one: on a host so busy
 * that a program starts for seconds, the same deadline would be missed again and again.
 */
static void set_patience(struct vmm_dev *d, bool connected, int64_t took)
{
	unsigned usual = d->options.deadline_ms ? d->options.deadline_ms : VU_FRONT_DEADLINE_MS;
	unsigned ms = MAX(d->first_answer_ms, usual);

	if (connected)
		ms = usual;
	else if (took >= ms * G_TIME_SPAN_MILLISECOND)
		ms = MIN(2 * ms, MOST_TIMES_DEADLINE * usual);
	d->first_answer_ms = ms;
}

void vmm_dial(struct vmm_dev *d)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(vu_front) f = NULL;
	bool kept = false, first = !d->vring;
	int64_t start = g_get_monotonic_time(), now;

	/* A guest that resets from here on is not notified of what is found here. */
	vmm_snapshot(d);
	if (!d->kept)
		f = connect_front(d, &kept, &error);
	else if (dial_kept(d, &f, &error))
		return;
	now = g_get_monotonic_time();
	d->retry_at = now + d->retry_ms * G_TIME_SPAN_MILLISECOND;
	set_patience(d, f, now - start);
	if (!f) {
		dial_failed(d, error);
		return;
	}
	if (first ? !has_identity(d, f, &error) : !fits(d, f, &error)) {
		dial_failed(d, error);
		if (!first)
			vmm_set_needs_reset(d);
		return;
	}
	vmm_note_problem(d, NULL, false);
	d->front = g_steal_pointer(&f);
	if (!first)
		take_back(d);
	else if (!fill_slot(d, vu_front_properties(d->front)))
		vmm_hang_up(d);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a connected socket to the properties about a device.
 *
 * A back-end with PROBE tells them all. Bit 18 means something else upstream (SHARED_OBJECT), and
 * what such a peer does with PROBE's messages ranges from a reply of the wrong size to closing the
 * connection. So it is probed only if it offers STATUS, too, which PROBE demands; GET_DEVICE_ID
 * goes first and alone; and a peer that answers anything implausible is asked no more. Many
 * back-ends exit when their front-end leaves: all of that happens on the real connection, which is
 * given up for a new one only when it is spoilt.
 *
 * Without PROBE the user says what the device is, and the size of its configuration space is the
 * largest that GET_CONFIG answers. Some refuse a size that is too large, some hang up.
 */
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "base/log.h"
#include "base/sock.h"
#include "vhost-user/front/vu_front_impl.h"

/* For an answer to PROBE; more if the first answer came late. */
#define PROBE_TIMEOUT_MS 1000
#define PROBE_TIMES_FIRST 10
#define PROBE_MAX_DEVICE_ID 63
#define PATIENCE_MS 1000
#define PATIENCE_STEP_MS 10
#define GUESS_MAX_CONFIG 256
#define BASELINE_MEM_SLOTS 8

#define IMPLEMENTED                                                            \
	(VU_BIT(VU_F_MQ) | VU_BIT(VU_F_REPLY_ACK) | VU_BIT(VU_F_BACKEND_REQ) | \
		VU_BIT(VU_F_CONFIG) | VU_BIT(VU_F_RESET_DEVICE) |              \
		VU_BIT(VU_F_CONFIGURE_MEM_SLOTS) | VU_BIT(VU_F_STATUS))

/* The regions, fds on the channel by which they are mapped, and the channel. */
#define SHARED_MEMORY (VU_BIT(VU_F_SHMEM) | VU_BIT(VU_F_BACKEND_SEND_FD) | VU_BIT(VU_F_BACKEND_REQ))

/* Virtio 1.2 §2.2: bits 24 to 49 belong to queues and transport. */
#define TRANSPORT_FEATURES ((VU_BIT(50) - 1) & ~(VU_BIT(24) - 1))
/* Of those, the ones that concern none but the driver and the device. */
#define HARMLESS_FEATURES                                                        \
	(VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VU_BIT(VIRTIO_RING_F_EVENT_IDX) | \
		VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_F_RING_PACKED) |      \
		VU_BIT(VIRTIO_F_IN_ORDER))

/* Returns an error of ours without the name that it begins with. */
static const char *reason(const struct vu_front *f, const GError *error)
{
	return error->message + strlen(f->name) + strlen(": ");
}

static bool may_be_packed(const struct vu_front *f)
{
	bool untracked = f->options.inflight && !vu_front_acked(f, VU_F_INFLIGHT_SHMFD);

	return f->options.packed == CHOICE_ON || (f->options.packed == CHOICE_AUTO && !untracked);
}

static bool choose_guest_features(struct vu_front *f, GError **error)
{
	uint64_t withheld = VU_BIT(VHOST_F_LOG_ALL) | VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	uint64_t transport = f->options.transport_features;

	if (!transport)
		transport = HARMLESS_FEATURES;
	if (!may_be_packed(f))
		withheld |= VU_BIT(VIRTIO_F_RING_PACKED);
	f->properties.probe.features =
		f->properties.features & ~withheld & (transport | ~TRANSPORT_FEATURES);
	return f->options.packed != CHOICE_ON ||
		(f->properties.probe.features & VU_BIT(VIRTIO_F_RING_PACKED)) ||
		vu_front_fail(f, error, VU_FRONT_ERROR_PROPERTIES,
			"the back-end does not offer packed rings");
}

static bool wants_probe(const struct vu_front *f, uint64_t offered)
{
	if (!f->probing || !(offered & VU_BIT(VU_F_PROBE)))
		return false;
	return f->options.probe == VU_PROBE_FORCE || (offered & VU_BIT(VU_F_STATUS));
}

/* Tells whether it can. XEN_MMAP is acked on demand: memory regions look different with it. */
static bool can_do_memory(struct vu_front *f, GError **error)
{
	return !f->options.xen_memory ||
		(f->properties.protocol_features & VU_BIT(VU_F_XEN_MMAP)) ||
		vu_front_fail(f, error, VU_FRONT_ERROR_PROPERTIES,
			"the back-end does not support memory of Xen guests (XEN_MMAP; "
			"virtiod: --xen=on)");
}

static bool exchange_features(struct vu_front *f, GError **error)
{
	struct vu_properties *properties = &f->properties;
	gint64 start = g_get_monotonic_time();
	uint64_t acked;

	if (!vu_front_get_u64(f, VU_GET_FEATURES, &properties->features, error))
		return false;
	f->first_ms = (g_get_monotonic_time() - start) / G_TIME_SPAN_MILLISECOND;
	if (!(properties->features & VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		return can_do_memory(f, error);
	if (!vu_front_get_u64(f, VU_GET_PROTOCOL_FEATURES, &properties->protocol_features, error) ||
		!can_do_memory(f, error))
		return false;
	acked = properties->protocol_features & IMPLEMENTED;
	if (wants_probe(f, properties->protocol_features))
		acked |= VU_BIT(VU_F_PROBE);
	if (f->options.inflight)
		acked |= properties->protocol_features & VU_BIT(VU_F_INFLIGHT_SHMFD);
	if (f->options.xen_memory)
		acked |= VU_BIT(VU_F_XEN_MMAP);
	if (f->options.shm && !f->options.state &&
		!(SHARED_MEMORY & ~properties->protocol_features))
		acked |= SHARED_MEMORY;
	properties->protocol_acked = acked;
	vu_msg_set_u64(vu_front_request(f, VU_SET_PROTOCOL_FEATURES), acked);
	return vu_front_send(f, error);
}

/* Asks one property by PROBE. A reply that is none leaves the connection alive. */
static bool probe_property(struct vu_front *f, uint32_t request, uint32_t *value, GError **error)
{
	struct vu_shape shape = *vu_probe_shape(request, 0, 0, 0, false);
	unsigned patience = MAX(PROBE_TIMEOUT_MS, PROBE_TIMES_FIRST * f->first_ms);
	g_autoptr(GError) why = NULL;
	bool ok;

	vu_front_request(f, request);
	if (!vu_front_send(f, error) ||
		!vu_front_receive(f, shape.name, MIN(patience, f->options.deadline_ms), error))
		return false;
	/* Some may send the u64 that other numbers have; any size between is nonsense. */
	shape.reply_max = sizeof(uint64_t);
	ok = vu_msg_check_reply(&f->msg, request, &shape, &why);
	vu_msg_clear(&f->msg);
	if (!ok)
		return vu_front_fail(f, error, VU_FRONT_ERROR_REFUSED, "%s", why->message);
	if (f->msg.header.size == sizeof(uint32_t))
		*value = f->msg.payload.u32;
	else if (f->msg.header.size == sizeof(uint64_t) && f->msg.payload.u64 <= UINT32_MAX)
		*value = f->msg.payload.u64;
	else
		return vu_front_fail(f, error, VU_FRONT_ERROR_REFUSED,
			"%s: no u32 in the %" PRIu32 " bytes of reply", shape.name,
			f->msg.header.size);
	return true;
}

static bool check_plausible(struct vu_front *f, const char *what, uint32_t value, uint32_t min,
	uint32_t max, GError **error)
{
	return (value >= min && value <= max) ||
		vu_front_fail(f, error, VU_FRONT_ERROR_REFUSED, "a %s of %" PRIu32 " cannot be",
			what, value);
}

static bool probe_properties(struct vu_front *f, GError **error)
{
	struct vu_properties *properties = &f->properties;
	struct virtio_probe *p = &properties->probe;
	uint32_t max_config = vu_front_acked(f, VU_F_CONFIG) ? VIRTIO_MAX_CONFIG : 0;

	if (!probe_property(f, VU_GET_DEVICE_ID, &p->device_id, error) ||
		!check_plausible(f, "device id", p->device_id, 1, PROBE_MAX_DEVICE_ID, error) ||
		!probe_property(f, VU_GET_CONFIG_SIZE, &p->config_size, error) ||
		!check_plausible(f, "config size", p->config_size, 0, max_config, error) ||
		!probe_property(f, VU_GET_MIN_VQ, &p->min_queues, error))
		return false;
	properties->device_id = properties->config_size = properties->min_queues = VU_SOURCE_PROBE;
	return true;
}

static bool learn_queues(struct vu_front *f, GError **error)
{
	struct vu_properties *properties = &f->properties;
	uint64_t n = 0;

	if (!vu_front_acked(f, VU_F_MQ))
		return true;
	if (!vu_front_get_u64(f, VU_GET_QUEUE_NUM, &n, error))
		return false;
	if (n == 0)
		return vu_front_fail(f, error, VU_FRONT_ERROR_PROTOCOL,
			"GET_QUEUE_NUM says that there are none");
	properties->probe.max_queues = MIN(n, VIRTIO_MAX_QUEUES);
	properties->max_queues = VU_SOURCE_MESSAGE;
	return true;
}

static void warn_of_probe(struct vu_front *f, const char *why)
{
	bool *warned = f->options.probe_warned;

	if (!warned || !*warned)
		log_warning(f->name, "offers PROBE but does not speak it: %s", why);
	if (warned)
		*warned = true;
}

/* Asks both ways to learn of queues, and whether they agree. */
static bool probe(struct vu_front *f, GError **error)
{
	struct vu_properties *properties = &f->properties;
	const struct virtio_probe *p = &properties->probe;
	g_autoptr(GError) why = NULL;
	bool probed = !vu_front_acked(f, VU_F_PROBE) || probe_properties(f, &why);

	if (f->fd >= 0 && !learn_queues(f, error))
		return false;
	if (probed && properties->min_queues == VU_SOURCE_PROBE)
		probed = check_plausible(f, "least number of queues", p->min_queues, 1,
			properties->max_queues ? p->max_queues : VIRTIO_MAX_QUEUES, &why);
	if (probed)
		return true;
	if (f->options.speaks_probe) {
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	warn_of_probe(f, reason(f, why));
	f->probing = false;
	properties->device_id = properties->config_size = properties->min_queues = VU_SOURCE_NONE;
	properties->probe.device_id = 0;
	if (f->fd >= 0 && !f->path)
		return true;
	f->redial = true;
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

/* Assumes what PROBE and GET_QUEUE_NUM left open. */
static void assume_queues(struct vu_front *f)
{
	struct vu_properties *properties = &f->properties;

	if (properties->min_queues == VU_SOURCE_NONE) {
		properties->probe.min_queues = 1;
		properties->min_queues = VU_SOURCE_ASSUMED;
		/* For some types some peers count pairs: the user knows better. */
		if (f->options.queues) {
			properties->probe.max_queues = MIN(f->options.queues, VIRTIO_MAX_QUEUES);
			properties->max_queues = VU_SOURCE_USER;
		}
	}
	if (properties->max_queues == VU_SOURCE_NONE) {
		properties->probe.max_queues = properties->probe.min_queues;
		properties->max_queues = VU_SOURCE_ASSUMED;
	}
}

static bool take_user_properties(struct vu_front *f, GError **error)
{
	struct vu_properties *properties = &f->properties;
	const struct vu_front_options *o = &f->options;

	if (properties->device_id == VU_SOURCE_PROBE) {
		if (o->device_id && o->device_id != properties->probe.device_id)
			return vu_front_fail(f, error, VU_FRONT_ERROR_PROPERTIES,
				"the back-end is virtio device %" PRIu32 ", not %" PRIu32,
				properties->probe.device_id, o->device_id);
		return true;
	}
	if (o->device_id) {
		properties->probe.device_id = o->device_id;
		properties->device_id = VU_SOURCE_USER;
	}
	if (o->config_size > VU_MAX_CONFIG)
		return vu_front_fail(f, error, VU_FRONT_ERROR_PROPERTIES,
			"a configuration space of %" PRId32 " bytes is larger than %u",
			o->config_size, VU_MAX_CONFIG);
	if (o->config_size >= 0) {
		properties->probe.config_size = o->config_size;
		properties->config_size = VU_SOURCE_USER;
	}
	return true;
}

/* Finds the largest size that GET_CONFIG answers, by halves. */
static bool guess_config_size(struct vu_front *f, GError **error)
{
	while (f->config_answered + 1 < f->config_refused) {
		uint32_t n = f->config_refused > GUESS_MAX_CONFIG
			? GUESS_MAX_CONFIG
			: (f->config_answered + f->config_refused) / 2;
		g_autoptr(GError) why = NULL;

		if (vu_front_ask_config(f, n, &why)) {
			f->config_answered = n;
			continue;
		}
		f->config_refused = n;
		if (f->fd >= 0)
			continue;
		f->redial = true;
		return vu_front_fail(f, error, VU_FRONT_ERROR_PROPERTIES,
			"%s; the size of the configuration space must be told", reason(f, why));
	}
	f->properties.probe.config_size = f->config_answered;
	f->properties.config_size = VU_SOURCE_ASSUMED;
	return true;
}

static bool learn_config_size(struct vu_front *f, GError **error)
{
	if (f->properties.config_size != VU_SOURCE_NONE)
		return true;
	if (vu_front_acked(f, VU_F_CONFIG))
		return guess_config_size(f, error);
	f->properties.probe.config_size = 0;
	f->properties.config_size = VU_SOURCE_MESSAGE;
	return true;
}

static bool become_owner(struct vu_front *f, GError **error)
{
	vu_front_request(f, VU_SET_OWNER);
	return vu_front_send(f, error);
}

static bool open_channel(struct vu_front *f, GError **error)
{
	g_autoptr(GError) why = NULL;

	if (!vu_front_acked(f, VU_F_BACKEND_REQ)) {
		vu_front_channel_close(f); /* one that was given */
		return true;
	}
	if (vu_front_channel_open(f, &why))
		return true;
	if (g_error_matches(why, VU_FRONT_ERROR, VU_FRONT_ERROR_REFUSED)) {
		log_warning(f->name, "changes of configuration go unnoticed: %s", reason(f, why));
		vu_front_channel_close(f);
		return true;
	}
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

/* Negotiates on one connection. */
static bool negotiate_once(struct vu_front *f, GError **error)
{
	f->properties = (struct vu_properties){ .max_mem_slots = BASELINE_MEM_SLOTS };
	if (!exchange_features(f, error) || !choose_guest_features(f, error) || !probe(f, error))
		return false;
	assume_queues(f);
	if (vu_front_acked(f, VU_F_CONFIGURE_MEM_SLOTS) &&
		!vu_front_get_u64(f, VU_GET_MAX_MEM_SLOTS, &f->properties.max_mem_slots, error))
		return false;
	return vu_front_shm_learn(f, error) && become_owner(f, error) && open_channel(f, error) &&
		take_user_properties(f, error) && learn_config_size(f, error);
}

/* Tells whether to try again after an attempt that failed. Waits a moment if need be. */
static bool may_dial_again(struct vu_front *f, const GError *why)
{
	gint64 now = g_get_monotonic_time();

	if (!f->path)
		return false;
	if (f->redial) {
		f->redial = false;
		f->patience = now + PATIENCE_MS * 1000;
		return true;
	}
	/* It may not have noticed yet that we left. */
	if (!g_error_matches(why, VU_FRONT_ERROR, VU_FRONT_ERROR_BUSY) || now > f->patience)
		return false;
	g_usleep(PATIENCE_STEP_MS * 1000);
	return true;
}

bool vu_front_negotiate(struct vu_front *f, GError **error)
{
	f->probing = f->options.probe != VU_PROBE_OFF;
	f->config_refused = GUESS_MAX_CONFIG + 1;
	for (;;) {
		g_autoptr(GError) why = NULL, dial = NULL;
		int fd;

		if (negotiate_once(f, &why)) {
			vu_front_publish(f);
			return true;
		}
		if (!may_dial_again(f, why)) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		vu_front_close(f);
		fd = vu_front_dial(&f->options, f->path, &dial);
		if (fd < 0)
			return vu_front_fail(f, error, VU_FRONT_ERROR_GONE, "%s; then: %s",
				reason(f, why), dial->message);
		if (!vu_front_open(f, fd, error))
			return false;
	}
}

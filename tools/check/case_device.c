/* SPDX-License-Identifier: Apache-2.0 */
/* Messages about the device as a whole: PROBE, status, reset, configuration space, channel. */
#include <linux/virtio_config.h>

#include "tools/check/cases.h"
#include "tools/check/session.h"
#include "tools/check/valid.h"
#include "tools/check/wire.h"

#define MAX_DEVICE_ID 63

/*
 * Checks a u32, in a reply of its shape; arg: the least, and in the upper half the most that it
 * may be.
 */
static void run_probe(struct check *k)
{
	uint64_t least = k->c->arg & UINT32_MAX, most = k->c->arg >> 32, value;

	session_open(k, session_basic_features(k));
	value = wire_ask(k, (uint32_t)(uintptr_t)k->c->data, NULL, 0);
	if (!check_over(k) && (value < least || value > most))
		check_fail(k,
			"%" G_GUINT64_FORMAT " is not from %" G_GUINT64_FORMAT
			" to %" G_GUINT64_FORMAT,
			value, least, most);
}

static void run_probe_min_vq(struct check *k)
{
	uint64_t min, max;

	session_open(k, session_basic_features(k));
	min = wire_ask(k, VU_GET_MIN_VQ, NULL, 0);
	max = wire_ask(k, VU_GET_QUEUE_NUM, NULL, 0);
	if (!check_over(k) && min > max)
		check_fail(k, "GET_MIN_VQ: more than GET_QUEUE_NUM");
}

/* Checks "Offering CONFIG with a configuration size of 0 is a bug." */
static void run_probe_config(struct check *k)
{
	bool offered = k->peer.protocol & VU_BIT(VU_F_CONFIG);

	session_open(k, session_basic_features(k));
	check_equal(k, "CONFIG is offered", offered, wire_ask(k, VU_GET_CONFIG_SIZE, NULL, 0) > 0);
}

/* Asks though the bit need not have been accepted. */
static void run_probe_unaccepted(struct check *k)
{
	wire_connect(k);
	wire_ask(k, VU_GET_DEVICE_ID, NULL, 0);
}

static uint64_t get_status(struct check *k)
{
	return wire_ask(k, VU_GET_STATUS, NULL, 0) & 0xff;
}

#define ACKNOWLEDGED VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER (ACKNOWLEDGED | VIRTIO_CONFIG_S_DRIVER)
#define FEATURES_OK (DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define DRIVER_OK (FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)

static void run_status_initial(struct check *k)
{
	session_open(k, session_basic_features(k));
	check_equal(k, "the status at first", get_status(k), 0);
}

/* Sets states; data: the values that are set, one after the other, up to 0xff. */
static void run_status_order(struct check *k)
{
	session_open(k, session_basic_features(k));
	for (const uint8_t *s = k->c->data; *s != 0xff; s++) {
		wire_tell_u64(k, VU_SET_STATUS, *s);
		check_equal(k, "the status", get_status(k), *s);
	}
}

/* Resets a device, which can be used again. */
static void run_reset(struct check *k)
{
	for (unsigned i = 0; i < 3 && !check_over(k); i++) {
		data_run(k, session_start(k, session_basic_features(k), 16), 2);
		if (k->c->request == VU_SET_STATUS)
			wire_tell_u64(k, VU_SET_STATUS, 0);
		else
			wire_tell(k, VU_RESET_DEVICE, NULL, 0, NULL, 0);
		session_end(k);
	}
}

/* Reads len bytes at offset; false: the case has failed, or the device refuses. */
static bool read_config(struct check *k, uint32_t offset, uint32_t len, uint8_t *to)
{
	struct {
		struct vu_config config;
		uint8_t data[VU_MAX_CONFIG];
	} c = { .config = { .offset = offset, .size = len } };

	wire_ask(k, VU_GET_CONFIG, &c, sizeof(c.config) + len);
	if (check_over(k))
		return false;
	if (k->msg.header.size != sizeof(c.config) + len)
		return false;
	check_equal(k, "the offset in the reply", k->msg.payload.config.offset, offset);
	check_equal(k, "the size in the reply", k->msg.payload.config.size, len);
	memcpy(to, k->msg.payload.bytes + sizeof(c.config), len);
	return !check_over(k);
}

static uint32_t config_len(const struct check *k)
{
	return (uint32_t)MIN(k->peer.config_size, 256);
}

static void run_config_all(struct check *k)
{
	uint8_t bytes[VU_MAX_CONFIG];

	session_open(k, session_basic_features(k));
	check_that(k, read_config(k, 0, config_len(k), bytes),
		"the configuration space cannot be read as a whole");
}

static void run_config_stays(struct check *k)
{
	uint8_t first[VU_MAX_CONFIG] = { 0 }, second[VU_MAX_CONFIG] = { 0 };

	session_open(k, session_basic_features(k));
	read_config(k, 0, config_len(k), first);
	read_config(k, 0, config_len(k), second);
	check_that(k, memcmp(first, second, sizeof(first)) == 0, "the second reply differs");
}

/* Reads its bytes, four at a time, as a driver does. */
static void run_config_parts(struct check *k)
{
	uint8_t all[VU_MAX_CONFIG], part[4];

	session_open(k, session_basic_features(k));
	if (!read_config(k, 0, config_len(k), all))
		check_skip(k, "the configuration space cannot be read");
	for (uint32_t i = 0; i + 4 <= config_len(k) && !check_over(k); i += 4) {
		if (!read_config(k, i, 4, part))
			check_fail(k, "the part at offset %u cannot be read", i);
		else if (memcmp(all + i, part, 4) != 0)
			check_fail(k, "the part at offset %u differs from the whole", i);
	}
}

/* Tries both an offset and a size that cannot be: refused or not, there is a reply. */
static void run_config_range(struct check *k)
{
	const struct vu_config *range = k->c->data;
	struct {
		struct vu_config config;
		uint8_t data[256];
	} c = { .config = *range };

	session_open(k, session_basic_features(k));
	wire_send(k, VU_GET_CONFIG, 0, &c, sizeof(c.config) + MIN(range->size, 256), NULL, 0);
	framing_settle(k);
}

/*
 * Gives a channel. The device sends nothing while no vring runs; closing the channel disturbs
 * nobody.
 */
static void run_channel(struct check *k)
{
	struct valid v;

	valid_make(k, VU_SET_BACKEND_REQ_FD, &v);
	wire_tell(k, v.request, v.payload, v.size, v.fds, v.n_fds);
	valid_clear(&v);
	wire_barrier(k);
	if (!check_over(k) && sock_unread(k->channel, &(bool){ false }) > 0)
		check_fail(k, "a message on the channel while all vrings are stopped");
	if (k->c->arg)
		session_end(k);
}

#define RANGE(at, n)                        \
	&(const struct vu_config)           \
	{                                   \
		.offset = (at), .size = (n) \
	}
#define STATUSES(...)             \
	(const uint8_t[])         \
	{                         \
		__VA_ARGS__, 0xff \
	}
#define ID(request) .data = (const void *)(uintptr_t)(request)
#define LIMITS(least, most) .arg = (least) | (uint64_t)(most) << 32
/* Who means SHARED_OBJECT by PROBE's bit does not offer STATUS. */
#define PROBE .protocol = VU_BIT(VU_F_PROBE) | VU_BIT(VU_F_STATUS)
#define PROBE_SECTION "vhost-user PROBE (RFC v2): Messages"
#define STATUS "vhost-user: Front-end message types, VHOST_USER_SET_STATUS"
#define CONFIG "vhost-user: Front-end message types, VHOST_USER_GET_CONFIG"
#define SUSPENDED "vhost-user: Ring states, suspended device state"

const struct check_case check_device_messages[] = {
	{ "probe-device-id", PROBE_SECTION, run_probe, PROBE, ID(VU_GET_DEVICE_ID),
		LIMITS(1, MAX_DEVICE_ID) },
	{ "probe-config-size", PROBE_SECTION, run_probe, PROBE, ID(VU_GET_CONFIG_SIZE),
		LIMITS(0, VU_MAX_CONFIG) },
	{ "probe-min-vq", PROBE_SECTION, run_probe, PROBE, ID(VU_GET_MIN_VQ), LIMITS(1, 256) },
	{ "probe-min-vq-of-queue-num", PROBE_SECTION, run_probe_min_vq, PROBE,
		.request = VU_GET_QUEUE_NUM },
	{ "probe-config-offered", "vhost-user PROBE (RFC v2): Standalone back-ends",
		run_probe_config, PROBE },
	{ "probe-unaccepted", "vhost-user PROBE (RFC v2): Legal when", run_probe_unaccepted,
		PROBE },
	{ "status-initial", "virtio 1.2 §2.1.2 Device Requirements: Device Status Field",
		run_status_initial, .request = VU_GET_STATUS },
	{ "status-driver-order", STATUS, run_status_order, .request = VU_SET_STATUS,
		.data = STATUSES(ACKNOWLEDGED, DRIVER, FEATURES_OK) },
	{ "status-at-once", STATUS, run_status_order, .request = VU_SET_STATUS,
		.data = STATUSES(VIRTIO_CONFIG_S_FEATURES_OK, FEATURES_OK) },
	{ "status-reset", STATUS, run_status_order, .request = VU_SET_STATUS,
		.data = STATUSES(DRIVER, 0, ACKNOWLEDGED, FEATURES_OK, 0) },
	{ "status-reset-and-again", STATUS, run_reset, .request = VU_SET_STATUS,
		.needs = CHECK_DATA },
	{ "reset-device-and-again", "vhost-user: Front-end message types, VHOST_USER_RESET_DEVICE",
		run_reset, .request = VU_RESET_DEVICE, .needs = CHECK_DATA },
	{ "config-whole", CONFIG, run_config_all, .request = VU_GET_CONFIG, .needs = CHECK_CONFIG },
	{ "config-stays", CONFIG, run_config_stays, .request = VU_GET_CONFIG,
		.needs = CHECK_CONFIG },
	{ "config-parts", CONFIG, run_config_parts, .request = VU_GET_CONFIG,
		.needs = CHECK_CONFIG },
	{ "config-past-end", CONFIG, run_config_range, .request = VU_GET_CONFIG,
		.needs = CHECK_HOSTILE, .data = RANGE(4096, 4) },
	{ "config-offset-max", CONFIG, run_config_range, .request = VU_GET_CONFIG,
		.needs = CHECK_HOSTILE, .data = RANGE(UINT32_MAX, 4) },
	{ "config-size-0", CONFIG, run_config_range, .request = VU_GET_CONFIG,
		.needs = CHECK_HOSTILE, .data = RANGE(0, 0) },
	{ "config-size-max", CONFIG, run_config_range, .request = VU_GET_CONFIG,
		.needs = CHECK_HOSTILE, .data = RANGE(0, UINT32_MAX) },
	{ "channel-suspended", SUSPENDED, run_channel, .request = VU_SET_BACKEND_REQ_FD },
	{ "channel-closed", "vhost-user: Back-end communication", run_channel,
		.request = VU_SET_BACKEND_REQ_FD, .needs = CHECK_HOSTILE, .arg = 1 },
	{ NULL },
};

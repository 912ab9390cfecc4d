/* SPDX-License-Identifier: Apache-2.0 */
/* Features, protocol features, the number of queues; connections one after the other. */
#include <linux/virtio_config.h>

#include "tools/check/cases.h"
#include "tools/check/session.h"
#include "tools/check/wire.h"

#define RECONNECTS 20

/* Checks that the same answer comes each time it is asked, on one connection and on the next. */
static void stays(struct check *k, uint32_t request)
{
	uint64_t first, second;

	session_open(k, session_basic_features(k));
	first = wire_ask(k, request, NULL, 0);
	second = wire_ask(k, request, NULL, 0);
	check_equal(k, "the second reply", second, first);
	wire_close(k);
	session_open(k, session_basic_features(k));
	second = wire_ask(k, request, NULL, 0);
	check_equal(k, "the reply on the next connection", second, first);
}

static void run_stays(struct check *k)
{
	stays(k, k->c->request);
}

static void run_version_1(struct check *k)
{
	wire_connect(k);
	check_that(k, wire_ask(k, VU_GET_FEATURES, NULL, 0) & VU_BIT(VIRTIO_F_VERSION_1),
		"VIRTIO_F_VERSION_1 is not offered");
}

/* Asks early: requests 15 and 16 are legal before SET_FEATURES. */
static void run_protocol_first(struct check *k)
{
	uint64_t protocol;

	wire_connect(k);
	protocol = wire_ask(k, VU_GET_PROTOCOL_FEATURES, NULL, 0);
	wire_send(k, VU_SET_PROTOCOL_FEATURES, 0, &protocol, sizeof(protocol), NULL, 0);
	wire_barrier(k);
}

/* Accepts a subset; arg: the features that are accepted, of those that are offered. */
static void run_subset(struct check *k)
{
	session_open(k, k->peer.features & k->c->arg);
	wire_barrier(k);
	wire_tell_u64(k, VU_SET_FEATURES, session_basic_features(k));
	wire_barrier(k);
}

static void run_protocol_none(struct check *k)
{
	uint64_t none = 0;

	wire_connect(k);
	wire_send(k, VU_SET_PROTOCOL_FEATURES, 0, &none, sizeof(none), NULL, 0);
	wire_send(k, VU_SET_OWNER, 0, NULL, 0, NULL, 0);
	wire_barrier(k);
}

static void run_offer_after(struct check *k)
{
	uint64_t before;

	wire_connect(k);
	before = wire_ask(k, VU_GET_FEATURES, NULL, 0);
	wire_close(k);
	session_open(k, session_basic_features(k));
	check_equal(k, "GET_FEATURES after SET_FEATURES", wire_ask(k, VU_GET_FEATURES, NULL, 0),
		before);
}

static void run_queue_num(struct check *k)
{
	uint64_t n;

	session_open(k, session_basic_features(k));
	n = wire_ask(k, VU_GET_QUEUE_NUM, NULL, 0);
	if (!check_over(k) && n == 0)
		check_fail(k, "GET_QUEUE_NUM: no queue");
}

/* Checks that each of the queues can be described and is stopped. */
static void run_every_queue(struct check *k)
{
	session_open(k, session_basic_features(k));
	for (unsigned i = 0; i < k->peer.queues && !check_over(k); i++) {
		struct vu_vring_state s = { .index = i };

		wire_tell_state(k, VU_SET_VRING_NUM, i, 16);
		wire_tell_state(k, VU_SET_VRING_BASE, i, 0);
		wire_ask(k, VU_GET_VRING_BASE, &s, sizeof(s));
		if (!check_over(k))
			check_equal(k, "the index in the reply", k->msg.payload.state.index, i);
	}
}

static void run_max_slots(struct check *k)
{
	session_open(k, session_basic_features(k));
	check_that(k, wire_ask(k, VU_GET_MAX_MEM_SLOTS, NULL, 0) > 0 || check_over(k),
		"GET_MAX_MEM_SLOTS: no slot");
}

static void run_reconnect(struct check *k)
{
	for (unsigned i = 0; i < RECONNECTS && !check_over(k); i++) {
		session_open(k, session_basic_features(k));
		session_memory(k);
		session_end(k);
	}
}

/* Checks that a second connection, of whatever fate, does not disturb the first one. */
static void run_second_connection(struct check *k)
{
	int first;
	struct vu_reader reader;

	session_open(k, session_basic_features(k));
	first = k->sock;
	reader = k->reader;
	k->sock = check_over(k) ? -1 : sock_connect_now(k->options->socket, NULL);
	if (k->sock >= 0) {
		wire_note(k, "> a second connection");
		framing_settle(k);
		vu_msg_clear(&k->msg);
		close(k->sock);
	}
	k->sock = first;
	k->reader = reader;
	wire_note(k, "> on the first connection");
	wire_barrier(k);
}

#define FEATURES "vhost-user: Front-end message types, VHOST_USER_GET_FEATURES"
#define PROTOCOL "vhost-user: Front-end message types, VHOST_USER_GET_PROTOCOL_FEATURES"
#define ACCEPT "vhost-user: Front-end message types, VHOST_USER_SET_FEATURES"
#define NEGOTIATE "virtio 1.2 §2.2.2 Device Requirements: Feature Bits"
#define BASIC (VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES))

const struct check_case check_features[] = {
	{ "features-stay", FEATURES, run_stays, .request = VU_GET_FEATURES },
	{ "features-stay-when-accepted", FEATURES, run_offer_after },
	{ "features-version-1", "virtio 1.2 §6.2 Device Requirements: Reserved Feature Bits",
		run_version_1 },
	{ "features-all", ACCEPT, run_subset, .arg = ~VU_BIT(VHOST_F_LOG_ALL) & ~VU_BIT(33) },
	{ "features-basic", NEGOTIATE, run_subset, .arg = BASIC },
	{ "features-without-protocol", "vhost-user: Ring states", run_subset,
		.arg = VU_BIT(VIRTIO_F_VERSION_1) },
	{ "protocol-features-stay", PROTOCOL, run_stays, BASIC,
		.request = VU_GET_PROTOCOL_FEATURES },
	{ "protocol-features-first", PROTOCOL, run_protocol_first, BASIC },
	{ "protocol-features-none",
		"vhost-user: Front-end message types, VHOST_USER_SET_PROTOCOL_FEATURES",
		run_protocol_none, BASIC },
	{ "queue-num-positive", "vhost-user: Multiple queue support", run_queue_num,
		.request = VU_GET_QUEUE_NUM },
	{ "queue-num-stays", "vhost-user: Multiple queue support", run_stays,
		.request = VU_GET_QUEUE_NUM },
	{ "queue-every-one", "vhost-user: Multiple queue support", run_every_queue },
	{ "mem-slots-positive", "vhost-user: Front-end message types, VHOST_USER_GET_MAX_MEM_SLOTS",
		run_max_slots, .request = VU_GET_MAX_MEM_SLOTS },
	{ "mem-slots-stay", "vhost-user: Front-end message types, VHOST_USER_GET_MAX_MEM_SLOTS",
		run_stays, .request = VU_GET_MAX_MEM_SLOTS },
	{ "reconnect", "vhost-user: Communication", run_reconnect },
	{ "reconnect-second-connection", "vhost-user: Communication", run_second_connection },
	{ NULL },
};

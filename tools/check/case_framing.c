/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of messages: headers, order, and what no peer should send. */
#include "base/util.h"
#include "tools/check/cases.h"
#include "tools/check/session.h"
#include "tools/check/wire.h"

#define PIPELINED 16

static const struct vu_header get_features = { VU_GET_FEATURES, VU_VERSION, 0 };

static void run_request_number(struct check *k)
{
	wire_connect(k);
	wire_send(k, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	if (wire_receive(k))
		check_equal(k, "the reply's request", k->msg.header.request, VU_GET_FEATURES);
}

static void run_reply_flag(struct check *k)
{
	wire_connect(k);
	wire_send(k, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	if (wire_receive(k))
		check_equal(k, "bit 2 of the reply's flags", k->msg.header.flags & VU_FLAG_REPLY,
			VU_FLAG_REPLY);
}

static void run_reply_version(struct check *k)
{
	wire_connect(k);
	wire_send(k, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	if (wire_receive(k))
		check_equal(k, "the version in the reply's flags",
			k->msg.header.flags & VU_VERSION_MASK, VU_VERSION);
}

static void run_reply_size(struct check *k)
{
	wire_connect(k);
	wire_send(k, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	if (wire_receive(k))
		check_equal(k, "the reply's size", k->msg.header.size, sizeof(uint64_t));
}

/* Checks that requests that do not wait for each other are answered in order, each once. */
static void run_pipelined(struct check *k)
{
	struct vu_header two[PIPELINED];

	wire_connect(k);
	for (unsigned i = 0; i < PIPELINED; i++)
		two[i] = get_features;
	wire_bytes(k, two, sizeof(two));
	for (unsigned i = 0; i < PIPELINED; i++) {
		if (wire_receive(k))
			wire_check_reply(k, VU_GET_FEATURES, vu_shape(VU_GET_FEATURES));
	}
	wire_barrier(k);
}

static void run_alternating(struct check *k)
{
	wire_connect(k);
	for (unsigned i = 0; i < PIPELINED; i++) {
		wire_send(k, VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
		wire_send(k, VU_GET_PROTOCOL_FEATURES, 0, NULL, 0, NULL, 0);
	}
	for (unsigned i = 0; i < 2 * PIPELINED; i++) {
		uint32_t request = i % 2 ? VU_GET_PROTOCOL_FEATURES : VU_GET_FEATURES;

		if (wire_receive(k))
			wire_check_reply(k, request, vu_shape(request));
	}
	wire_barrier(k);
}

static void run_unsolicited(struct check *k)
{
	session_open(k, session_basic_features(k));
	session_memory(k);
	if (!check_over(k) && wire_next(k, wire_quiet_us(k)) != WIRE_NOTHING)
		check_fail(k, "the back-end sends or closes without being asked");
}

/* Waits until it has done whatever it does with what it got. */
void framing_settle(struct check *k)
{
	enum wire_next next;

	wire_bytes(k, &get_features, sizeof(get_features));
	do
		next = wire_next(k, wire_quiet_us(k));
	while (next == WIRE_MESSAGE && k->msg.header.request != VU_GET_FEATURES);
	/* What cannot be parsed as a reply is answered to what was no message. */
	g_clear_pointer(&k->failure, g_free);
}

/* Sends the first arg bytes of a header, then the end. */
static void run_cut_header(struct check *k)
{
	wire_connect(k);
	wire_bytes(k, &get_features, k->c->arg);
	wire_close(k);
}

/* Sends a header that promises more payload than comes. */
static void run_cut_payload(struct check *k)
{
	const struct vu_header h = { VU_SET_FEATURES, VU_VERSION, sizeof(uint64_t) };

	wire_connect(k);
	wire_bytes(k, &h, sizeof(h));
	wire_bytes(k, "\0\0\0\0", k->c->arg);
	wire_close(k);
}

/* Sends GET_FEATURES with other values in its header. */
static void run_header(struct check *k)
{
	wire_connect(k);
	wire_bytes(k, k->c->data, sizeof(struct vu_header));
	framing_settle(k);
}

/* Sends a message byte by byte; a peer may insist on whole messages. */
static void run_trickle(struct check *k)
{
	struct {
		struct vu_header h;
		uint64_t value;
	} __attribute__((packed))
	m = { { VU_SET_FEATURES, VU_VERSION, sizeof(uint64_t) }, session_basic_features(k) };
	const uint8_t *bytes = (const uint8_t *)&m;

	wire_connect(k);
	for (size_t i = 0; i < sizeof(m); i++)
		wire_bytes(k, bytes + i, 1);
	framing_settle(k);
}

#define HEADER(...)               \
	&(const struct vu_header) \
	{                         \
		__VA_ARGS__       \
	}
#define HOSTILE .needs = CHECK_HOSTILE
#define HEADER_SECTION "vhost-user: Header"

const struct check_case check_framing[] = {
	{ "framing-request-number", HEADER_SECTION, run_request_number },
	{ "framing-reply-flag", HEADER_SECTION, run_reply_flag },
	{ "framing-reply-version", HEADER_SECTION, run_reply_version },
	{ "framing-reply-size", HEADER_SECTION, run_reply_size },
	{ "framing-pipelined", "vhost-user: Communication", run_pipelined },
	{ "framing-alternating", "vhost-user: Communication", run_alternating,
		.features = VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES) },
	{ "framing-unsolicited", "vhost-user: Communication", run_unsolicited },
	{ "framing-cut-after-0", HEADER_SECTION, run_cut_header, HOSTILE },
	{ "framing-cut-after-1", HEADER_SECTION, run_cut_header, HOSTILE, .arg = 1 },
	{ "framing-cut-after-11", HEADER_SECTION, run_cut_header, HOSTILE, .arg = 11 },
	{ "framing-cut-before-payload", HEADER_SECTION, run_cut_payload, HOSTILE },
	{ "framing-cut-in-payload", HEADER_SECTION, run_cut_payload, HOSTILE, .arg = 4 },
	{ "framing-trickle", HEADER_SECTION, run_trickle, HOSTILE },
	{ "framing-request-0", HEADER_SECTION, run_header, HOSTILE,
		.data = HEADER(0, VU_VERSION, 0) },
	{ "framing-request-unknown", HEADER_SECTION, run_header, HOSTILE,
		.data = HEADER(200, VU_VERSION, 0) },
	{ "framing-request-max", HEADER_SECTION, run_header, HOSTILE,
		.data = HEADER(UINT32_MAX, VU_VERSION, 0) },
	{ "framing-version-0", HEADER_SECTION, run_header, HOSTILE,
		.data = HEADER(VU_GET_FEATURES, 0, 0) },
	{ "framing-version-3", HEADER_SECTION, run_header, HOSTILE,
		.data = HEADER(VU_GET_FEATURES, 3, 0) },
	{ "framing-is-reply", HEADER_SECTION, run_header, HOSTILE,
		.data = HEADER(VU_GET_FEATURES, VU_VERSION | VU_FLAG_REPLY, 0) },
	{ "framing-flags-max", HEADER_SECTION, run_header, HOSTILE,
		.data = HEADER(VU_GET_FEATURES, 0xfffffff1, 0) },
	{ "framing-size-max", HEADER_SECTION, run_header, HOSTILE,
		.data = HEADER(VU_GET_FEATURES, VU_VERSION, UINT32_MAX) },
	{ "framing-size-1M", HEADER_SECTION, run_header, HOSTILE,
		.data = HEADER(VU_SET_MEM_TABLE, VU_VERSION, 1 << 20) },
	{ "framing-size-negative", HEADER_SECTION, run_header, HOSTILE,
		.data = HEADER(VU_SET_FEATURES, VU_VERSION, 0x80000008) },
	{ NULL },
};

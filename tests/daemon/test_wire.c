/* SPDX-License-Identifier: Apache-2.0 */
/* Device-specific messages: each is offered for its verb, reaches it, and may be refused. */
#include "tests/daemon/wire_agent.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define MODE_ONE (&(const struct agent_mode)AGENT_ONE)

/* What is offered for which verbs. */
static void test_offered(void **state)
{
	const struct virtio_device_wire rows[] = {
		{ 0 },
		{ .announce = wire_all.announce },
		{ .mtu = wire_all.mtu },
		{ .display = wire_all.display },
		{ .session_open = wire_all.session_open },
		{ .session_open = wire_all.session_open, .session_close = wire_all.session_close },
		{ .save = wire_all.save },
		{ .load = wire_all.load },
		{ .save = wire_all.save, .load = wire_all.load },
	};
	const uint64_t more[] = { 0, VU_BIT(VU_F_RARP), VU_BIT(VU_F_MTU), 0, 0,
		VU_BIT(VU_F_CRYPTO_SESSION), 0, 0, VU_BIT(VU_F_DEVICE_STATE) };
	struct peer *p = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		wire_begin(p, MODE_ONE, &rows[i]);
		assert_int_equal(peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0),
			ALL_PROTOCOL_FEATURES | more[i]);
		wire_end(p);
	}
}

/* Bit 18 is for shared objects alone: PROBE's messages are refused. */
static void test_object_without_probe(void **state)
{
	const struct virtio_device_wire object = { .object = wire_all.object };
	struct peer *p = *state;

	peer_options.probe = false;
	for (unsigned with = 0; with < 2; with++) {
		wire_begin(p, MODE_ONE, with ? &object : NULL);
		assert_int_equal(!!(peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0) &
					 VU_BIT(VU_F_SHARED_OBJECT)),
			with);
		peer_send(p, VU_GET_DEVICE_ID, 0, NULL, 0, NULL, 0);
		assert_true(peer_is_closed(p));
		assert_logged("is not offered");
		wire_end(p);
		peer_connect(p);
	}
}

static void announce(struct peer *p)
{
	const uint8_t mac[8] = { 1, 2, 3, 4, 5, 6, 0, 0 };

	assert_int_equal(peer_ack(p, VU_SEND_RARP, mac, 8, NULL, 0), 0);
	assert_memory_equal(wire_seen.mac, mac, 6);
	assert_int_equal(wire_seen.calls, 1);
}

static void mtu(struct peer *p)
{
	assert_int_equal(peer_ack_u64(p, VU_NET_SET_MTU, 9000), 0);
	assert_int_equal(wire_seen.mtu, 9000);
	assert_int_equal(peer_ack_u64(p, VU_NET_SET_MTU, 65536), EINVAL);
	assert_int_equal(peer_ack_u64(p, VU_NET_SET_MTU, UINT64_MAX), EINVAL);
	assert_int_equal(wire_seen.calls, 1);
}

static void display(struct peer *p)
{
	struct stat ours, theirs;
	autofd screen = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* No socket, and one that would hide the front-end's end. */
	assert_int_equal(peer_ack(p, VU_GPU_SET_SOCKET, NULL, 0, &p->memfd, 1), EINVAL);
	assert_int_equal(peer_ack(p, VU_GPU_SET_SOCKET, NULL, 0, &p->sock, 1), EINVAL);
	assert_int_equal(peer_ack(p, VU_GPU_SET_SOCKET, NULL, 0, &screen, 1), 0);
	assert_true(fstat(screen, &ours) == 0 && fstat(wire_seen.display, &theirs) == 0);
	assert_int_equal(ours.st_ino, theirs.st_ino);
}

static void sessions(struct peer *p)
{
	uint8_t sent[1000], due[1000];

	for (unsigned i = 0; i < sizeof(sent); i++) {
		sent[i] = i;
		due[i] = i + 1;
	}
	peer_ask(p, VU_CREATE_CRYPTO_SESSION, sent, sizeof(sent));
	assert_int_equal(p->msg.header.size, sizeof(sent));
	assert_memory_equal(p->msg.payload.bytes, due, sizeof(due));
	assert_int_equal(peer_ack_u64(p, VU_CLOSE_CRYPTO_SESSION, 77), 0);
	assert_int_equal(wire_seen.closed, 77);
}

static void object(struct peer *p)
{
	const uint8_t uuid[16] = "an object's uuid";

	peer_ask(p, VU_GET_SHARED_OBJECT, uuid, sizeof(uuid));
	assert_memory_equal(wire_seen.uuid, uuid, sizeof(uuid));
	wire_seen.object = memfd_create("object", MFD_CLOEXEC);
	peer_send(p, VU_GET_SHARED_OBJECT, 0, uuid, sizeof(uuid), NULL, 0);
	assert_true(peer_receive(p));
	assert_int_equal(p->msg.n_fds, 1);
	assert_int_equal(wire_seen.object, -1);
}

static void test_verbs(void **state)
{
	void (*const verbs[])(struct peer * p) = { announce, mtu, display, sessions, object };

	for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++)
		wire_in_modes(state, verbs[i]);
}

/* Sends them while queues run. */
static void running(struct peer *p)
{
	agent_start(p);
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, WIRE_FEATURES), 0);
	announce(p);
	display(p);
	sessions(p);
	driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	assert_int_equal(driver_used(p, 0), 1);
}

static void test_running(void **state)
{
	wire_in_modes(state, running);
}

/* Checks that a refusal is an acknowledgement, or the end of the connection; no fd is left. */
static void refused(struct peer *p)
{
	autofd screen = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	for (unsigned i = 0; i < 2; i++) {
		wire_seen.refuses = i == 0;
		wire_seen.silent = i == 1;
		log_clear();
		assert_int_equal(peer_ack_u64(p, VU_SEND_RARP, 1), i ? EIO : EINVAL);
		assert_logged(i ? "SEND_RARP: the device refuses" : "SEND_RARP: the agent refuses");
		assert_int_equal(peer_ack_u64(p, VU_NET_SET_MTU, 1500), i ? EIO : EINVAL);
		assert_int_equal(
			peer_ack(p, VU_GPU_SET_SOCKET, NULL, 0, &screen, 1), i ? EIO : EINVAL);
	}
	peer_send(p, VU_CREATE_CRYPTO_SESSION, 0, NULL, 16, NULL, 0);
	assert_true(peer_is_closed(p));
	assert_int_equal(wire_seen.lefts, 1);
}

static void test_refused(void **state)
{
	wire_in_modes(state, refused);
}

/* Payloads and fds that are not the message's. */
static void hostile(struct peer *p)
{
	const struct {
		uint32_t request;
		unsigned size, n_fds;
	} rows[] = {
		{ VU_SEND_RARP, 6, 0 },
		{ VU_SEND_RARP, 8, 1 },
		{ VU_NET_SET_MTU, 4, 0 },
		{ VU_NET_SET_MTU, 8, 2 },
		{ VU_GPU_SET_SOCKET, 0, 0 },
		{ VU_GPU_SET_SOCKET, 0, 2 },
		{ VU_GPU_SET_SOCKET, 8, 1 },
		{ VU_CLOSE_CRYPTO_SESSION, 0, 0 },
		{ VU_CLOSE_CRYPTO_SESSION, 16, 1 },
	};
	const int fds[] = { p->memfd, p->memfd };

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
		assert_int_not_equal(
			peer_ack(p, rows[i].request, NULL, rows[i].size, fds, rows[i].n_fds), 0);
	assert_int_equal(wire_seen.calls, 0);
	peer_send(p, VU_CREATE_CRYPTO_SESSION, 0, NULL, 15, NULL, 0);
	assert_true(peer_is_closed(p));
	assert_int_equal(wire_seen.calls, 0);
}

static void test_hostile(void **state)
{
	wire_in_modes(state, hostile);
}

/* Checks that left() is for front-ends that have sent something, and not for a pause. */
static void left(struct peer *p)
{
	agent_start(p);
	for (unsigned i = 0; i < AGENT_QUEUES; i++)
		peer_get_base(p, i);
	assert_int_equal(peer_ack_u64(p, VU_SET_STATUS, 0), 0);
	assert_int_equal(wire_seen.lefts, 0);
	peer_disconnect(p);
	assert_int_equal(wire_seen.lefts, 1);
	assert_int_equal(backend_state(p->backend), BACKEND_IDLE);
	peer_connect(p);
	peer_disconnect(p);
	assert_int_equal(wire_seen.lefts, 1);
	peer_connect(p);
	agent_start(p);
	peer_disconnect(p);
	assert_int_equal(wire_seen.lefts, 2);
}

static void test_left(void **state)
{
	wire_in_modes(state, left);
}

/* Leaves while the device works for the front-end: the reply's fd is closed. */
static void left_in_verb(struct peer *p)
{
	const uint8_t uuid[16] = { 0 };

	wire_seen.object = memfd_create("object", MFD_CLOEXEC);
	peer_send(p, VU_GET_SHARED_OBJECT, 0, uuid, sizeof(uuid), NULL, 0);
	fd_close(&p->sock);
	peer_run();
	assert_int_equal(wire_seen.object, -1);
	assert_int_equal(wire_seen.lefts, 1);
}

static void test_left_in_verb(void **state)
{
	wire_in_modes(state, left_in_verb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_offered),
		TEST_WITH(peer, test_object_without_probe),
		TEST_WITH(peer, test_verbs),
		TEST_WITH(peer, test_running),
		TEST_WITH(peer, test_refused),
		TEST_WITH(peer, test_hostile),
		TEST_WITH(peer, test_left),
		TEST_WITH(peer, test_left_in_verb),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}

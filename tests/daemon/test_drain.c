/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that the host takes its time for: what stops a ring waits for them, and nothing else
 * does. And rings that break.
 */
#include "tests/daemon/peer.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#define LOAD 3

/* Starts both rings; ring 0 has requests in flight that end when the test says so. */
static void start_with_load(struct peer *p)
{
	peer_start(p);
	toy.mode = TOY_HOLD;
	for (int i = 0; i < LOAD; i++)
		driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	toy.mode = TOY_ECHO;
	assert_int_equal(toy.held, LOAD);
}

static void release(void)
{
	eventfd_write(toy.release[0], 1);
	peer_run();
	eventfd_take(toy.release[0]);
	assert_int_equal(toy.held, 0);
}

struct stop {
	uint32_t request;
	uint32_t size;
	union {
		uint64_t u64;
		struct vu_vring_state state;
	} payload;
	bool all; /* stops ring 1, too */
	bool restarts; /* ring 0 runs on afterwards */
};

static const struct stop stops[] = {
	{ VU_GET_VRING_BASE, 8, { .state = { 0, 0 } } },
	{ VU_SET_VRING_ENABLE, 8, { .state = { 0, 0 } } },
	{ VU_SET_VRING_NUM, 8, { .state = { 0, RING_SIZE } }, .restarts = true },
	{ VU_SET_VRING_BASE, 8, { .state = { 0, LOAD } }, .restarts = true },
	{ VU_SET_VRING_KICK, 8, { .u64 = 0 }, .restarts = true },
	{ VU_SET_MEM_TABLE, 8, { .u64 = 0 }, .all = true },
	{ VU_SET_STATUS, 8, { .u64 = 0 }, .all = true },
	{ VU_RESET_DEVICE, 0, .all = true },
	{ VU_SET_FEATURES, 8, { .u64 = DRIVER_FEATURES | VU_BIT(TOY_FEATURE) }, .all = true,
		.restarts = true },
};

static void drain_with(struct peer *p, const struct stop *s)
{
	bool has_fd = s->request == VU_SET_VRING_KICK;

	start_with_load(p);
	eventfd_take(p->call[0]);
	peer_send(p, s->request, VU_FLAG_NEED_REPLY, &s->payload, s->size, &p->kick[0], has_fd);
	assert_false(peer_receive(p));
	assert_int_equal(driver_used(p, 0), 0);
	assert_int_equal(backend_state(p->backend), BACKEND_SERVING);
	/* Nothing new is taken from a ring that drains; the other is its own affair. */
	driver_submit(p, 0);
	driver_kick(p, 0);
	driver_submit(p, 1);
	driver_kick(p, 1);
	peer_run();
	assert_int_equal(driver_used(p, 0), 0);
	assert_int_equal(driver_used(p, 1), !s->all);
	assert_false(peer_receive(p));

	release();
	assert_true(peer_receive(p));
	assert_int_equal(p->msg.header.request, s->request);
	assert_int_equal(eventfd_take(p->call[0]) > 0, true);
	if (s->request == VU_GET_VRING_BASE)
		assert_int_equal(p->msg.payload.state.num, LOAD);
	else
		assert_int_equal(p->msg.payload.u64, 0);
	assert_int_equal(driver_used(p, 0), LOAD + s->restarts);
	if (s->restarts)
		driver_round_trip(p, 0);
	if (!s->all)
		driver_round_trip(p, 1);
}

static void test_drains(void **state)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(stops); i++) {
		peer_setup(state);
		drain_with(*state, &stops[i]);
		peer_teardown(state);
	}
}

/* These have nothing to wait for. */
static void test_needs_no_drain(void **state)
{
	struct peer *p = *state;
	int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	start_with_load(p);
	peer_ask(p, VU_GET_FEATURES, NULL, 0);
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, DRIVER_FEATURES), 0);
	assert_int_equal(peer_ack_u64(p, VU_SET_STATUS, 15), 0);
	assert_int_equal(peer_ack_state(p, VU_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(peer_get_base(p, 1), 0);
	/* A call fd set while the ring runs is the one that is signalled from there on. */
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_CALL, 0, call), 0);
	assert_int_equal(eventfd_take(call), 0);
	assert_int_equal(toy.held, LOAD);
	release();
	assert_int_equal(eventfd_take(p->call[0]), 0);
	assert_int_equal(eventfd_take(call), 1);
	/* The last call may have been missed: once more. */
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_CALL, 0, p->call[0]), 0);
	assert_int_equal(eventfd_take(p->call[0]), 1);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_CALL, 0, -1), 0);
	assert_int_equal(eventfd_take(p->call[0]), 0);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_CALL, 0, p->call[0]), 0);
	assert_int_equal(eventfd_take(p->call[0]), 1);
	close(call);
}

/*
 * A previous back-end may have died between the last request's publication and its call: so a start
 * calls, whatever it finds. That one may go to an fd that is about to be replaced, too.
 */
static void test_call_after_takeover(void **state)
{
	struct peer *p = *state;
	autofd call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	peer_start(p);
	driver_round_trip(p, 0);
	assert_int_equal(peer_get_base(p, 0), 1);
	peer_setup_ring(p, 0, 1);
	peer_run();
	assert_int_equal(eventfd_take(p->call[0]), 1);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_CALL, 0, call), 0);
	assert_int_equal(eventfd_take(call), 1);
}

static void test_disconnect_under_load(void **state)
{
	struct peer *p = *state;

	start_with_load(p);
	peer_disconnect(p);
	assert_int_equal(backend_state(p->backend), BACKEND_CLOSING);
	assert_int_equal(p->closed, 0);
	release();
	assert_int_equal(p->closed, 1);
	assert_int_equal(driver_used(p, 0), LOAD);
	/* The next one, a new driver: the device starts afresh. */
	peer_connect(p);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		driver_reset(p, i);
	assert_int_equal(toy.resets, 0);
	peer_start(p);
	assert_int_equal(toy.resets, 1);
	driver_round_trip(p, 0);
}

/* The connection ends, or is ended by us, while a request waits for a ring. */
static void test_disconnect_while_draining(void **state)
{
	struct peer *p = *state;
	struct vu_vring_state s = { 0, 0 };

	for (int ours = 0; ours < 2; ours++) {
		start_with_load(p);
		peer_send(p, VU_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0);
		assert_false(peer_receive(p));
		if (ours)
			backend_disconnect(p->backend);
		else
			fd_close(&p->sock);
		peer_run();
		release();
		assert_int_equal(p->closed, ours + 1);
		fd_close(&p->sock);
		for (unsigned i = 0; i < TOY_QUEUES; i++)
			driver_reset(p, i);
		peer_connect(p);
	}
}

static void test_break(void **state)
{
	struct peer *p = *state;
	int pair[2];

	peer_start(p);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(peer_ack(p, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	p->channel = pair[0];
	toy.mode = TOY_BREAK;
	driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	toy.mode = TOY_ECHO;
	assert_logged("queue 0: broken: the toy does not like it");
	assert_int_equal(driver_used(p, 0), 0);
	assert_int_equal(eventfd_take(p->err[0]), 1);
	assert_int_equal(peer_ask(p, VU_GET_STATUS, NULL, 0), VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(recv(p->channel, &p->msg.header, sizeof(p->msg.header), MSG_DONTWAIT), 12);
	assert_int_equal(p->msg.header.request, VU_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(p->msg.header.flags, VU_VERSION);
	assert_int_equal(p->msg.header.size, 0);

	/* Dead, whatever else changes; the other ring is not. */
	driver_kick(p, 0);
	peer_enable(p, 0, false);
	peer_enable(p, 0, true);
	peer_share_memory(p);
	driver_round_trip(p, 1);
	assert_int_equal(driver_used(p, 0), 0);
	/* Queue 0 once, queue 1 anew after the change of memory. */
	assert_int_equal(toy.starts, 3);
	/* The front-end takes it back, and starts it again. */
	peer_get_base(p, 0);
	driver_reset(p, 0);
	peer_setup_ring(p, 0, 0);
	driver_round_trip(p, 0);
	assert_int_equal(peer_ack_u64(p, VU_SET_STATUS, 0), 0);
	assert_int_equal(peer_ask(p, VU_GET_STATUS, NULL, 0), 0);
}

static void test_break_under_load(void **state)
{
	struct peer *p = *state;

	start_with_load(p);
	toy.mode = TOY_BREAK;
	driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	assert_int_equal(eventfd_take(p->err[0]), 1);
	release();
	assert_int_equal(driver_used(p, 0), 0);
	assert_int_equal(eventfd_take(p->err[0]), 0);
	toy.mode = TOY_ECHO;
	assert_int_equal(peer_ack_u64(p, VU_SET_STATUS, 15), 0);
	assert_int_equal(peer_ask(p, VU_GET_STATUS, NULL, 0), 15 | VIRTIO_CONFIG_S_NEEDS_RESET);
	peer_check_served(p);
	assert_int_equal(peer_ask(p, VU_GET_STATUS, NULL, 0), 0);
}

/* SET_VRING_KICK without an fd: the ring is polled. */
static void test_polled(void **state)
{
	struct peer *p = *state;

	peer_start(p);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_KICK, 0, -1), 0);
	driver_submit(p, 0);
	peer_run();
	assert_int_equal(driver_used(p, 0), 1);
	assert_int_equal(peer_get_base(p, 0), 1);
}

/* A kick's fd that ends: a pipe's other end was closed. */
static void test_odd_kick(void **state)
{
	struct peer *p = *state;
	int fds[2];

	peer_start(p);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_KICK, 1, fds[0]), 0);
	close(fds[0]);
	close(fds[1]);
	peer_run();
	assert_logged("queue 1: broken: the kick fd is no eventfd, or broken");
	peer_check_served(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drains),
		TEST_WITH(peer, test_needs_no_drain),
		TEST_WITH(peer, test_call_after_takeover),
		TEST_WITH(peer, test_disconnect_under_load),
		TEST_WITH(peer, test_disconnect_while_draining),
		TEST_WITH(peer, test_break),
		TEST_WITH(peer, test_break_under_load),
		TEST_WITH(peer, test_polled),
		TEST_WITH(peer, test_odd_kick),
	};

	return cmocka_run_group_tests_name("drain", tests, NULL, NULL);
}

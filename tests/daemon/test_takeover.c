/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A front-end whose process is replaced while the guest runs: the new one has the same sockets,
 * does not know how far the old one came, and sends again what it is not sure of.
 */
#include "tests/daemon/peer.h"

#include <sys/socket.h>

/* Makes a new channel, and returns our end of it. */
static int new_channel(struct peer *p)
{
	int pair[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(peer_ack(p, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	return pair[0];
}

/* Returns the next message on the channel: 1, it is CONFIG_CHANGE_MSG; 0: the end; -1: none. */
static int hear(int channel)
{
	struct vu_header header;
	ssize_t n;

	peer_run();
	n = recv(channel, &header, sizeof(header), MSG_DONTWAIT);
	if (n == sizeof(header))
		assert_int_equal(header.request, VU_BACKEND_CONFIG_CHANGE_MSG);
	return n == sizeof(header) ? 1 : n;
}

static void test_said_again(void **state)
{
	struct peer *p = *state;
	uint64_t offered = peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0);

	peer_start(p);
	p->channel = new_channel(p);
	for (unsigned i = 0; i < 3; i++) {
		int old = p->channel;

		driver_round_trip(p, 0);
		assert_int_equal(peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0), offered);
		peer_negotiate(p);
		p->channel = new_channel(p);
		assert_int_equal(hear(old), 0);
		close(old);
		assert_int_equal(hear(p->channel), -1);
		driver_round_trip(p, 1);
	}
	/* None of it concerns the rings, or the device. */
	assert_int_equal(toy.starts, TOY_QUEUES);
	assert_int_equal(toy.stops, 0);
	assert_int_equal(toy.resets, 0);
	assert_false(log_has("refused"));
}

/* The fence: what the old process asked for is answered before what the new one asks. */
static void test_fence(void **state)
{
	struct {
		struct vu_mem_table table;
		struct vu_region region;
	} payload = { { 1, 0 }, { MEM_GPA, MEM_SIZE, MEM_UVA, 0 } };
	struct peer *p = *state;
	uint64_t offered = peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0);

	peer_start(p);
	toy.mode = TOY_HOLD;
	driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	peer_send(p, VU_SET_MEM_TABLE, VU_FLAG_NEED_REPLY, &payload, sizeof(payload), &p->memfd, 1);
	peer_send(p, VU_GET_PROTOCOL_FEATURES, 0, NULL, 0, NULL, 0);
	assert_false(peer_receive(p));
	eventfd_write(toy.release[0], 1);
	assert_true(peer_receive(p));
	assert_int_equal(p->msg.header.request, VU_SET_MEM_TABLE);
	assert_int_equal(p->msg.payload.u64, 0);
	assert_true(peer_receive(p));
	assert_int_equal(p->msg.header.request, VU_GET_PROTOCOL_FEATURES);
	assert_int_equal(p->msg.payload.u64, offered);
	toy.mode = TOY_ECHO;
	driver_round_trip(p, 0);
}

/* What the old process may have been told, and took with it, is told again, once. */
static void test_lost_change(void **state)
{
	struct peer *p = *state;

	peer_start(p);
	p->channel = new_channel(p);
	for (unsigned i = 0; i < 2; i++) {
		toy_config_change();
		peer_run();
		/* The new channel comes before the old one's end is seen, or after. */
		if (i == 0) {
			int old = p->channel;

			p->channel = new_channel(p);
			close(old);
		} else {
			fd_close(&p->channel);
			peer_run();
			p->channel = new_channel(p);
		}
		assert_int_equal(hear(p->channel), 1);
		assert_int_equal(hear(p->channel), -1);
	}
}

static void test_base_again(void **state)
{
	struct peer *p = *state;

	/* Of vrings that no message has named. */
	assert_int_equal(peer_get_base(p, 0), 0);
	assert_int_equal(peer_get_base(p, 0), 0);
	peer_start(p);
	for (unsigned i = 0; i < 3; i++)
		driver_round_trip(p, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(peer_get_base(p, 0), 3);
	assert_int_equal(peer_get_base(p, 1), 0);
	assert_int_equal(peer_get_base(p, 1), 0);
	peer_setup_ring(p, 0, 3);
	driver_round_trip(p, 0);
	assert_int_equal(toy.resets, 0);
}

/* The new process has the driver's kicks come another way. */
static void test_new_fds(void **state)
{
	struct peer *p = *state;

	peer_start(p);
	for (unsigned i = 0; i < 3; i++) {
		driver_round_trip(p, 0);
		close(p->kick[0]);
		close(p->call[0]);
		p->kick[0] = eventfd(0, EFD_CLOEXEC);
		p->call[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		/* A kick that the old one swallowed; its worker may look all the same. */
		driver_submit(p, 0);
		assert_int_equal(peer_ack_fd(p, VU_SET_VRING_CALL, 0, p->call[0]), 0);
		/* As was the last call, perhaps. */
		assert_in_range(eventfd_take(p->call[0]), 1, 2);
		assert_int_equal(peer_ack_fd(p, VU_SET_VRING_KICK, 0, p->kick[0]), 0);
		assert_int_equal(driver_used(p, 0), 2 * i + 2);
		eventfd_take(p->call[0]);
	}
	assert_int_equal(toy.resets, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_said_again),
		TEST_WITH(peer, test_fence),
		TEST_WITH(peer, test_lost_change),
		TEST_WITH(peer, test_base_again),
		TEST_WITH(peer, test_new_fds),
	};

	return cmocka_run_group_tests_name("takeover", tests, NULL, NULL);
}

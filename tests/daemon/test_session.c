/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as front-ends really lead them, QEMU's order above all. */
#include "tests/daemon/peer.h"

#include <sys/socket.h>

static void test_ordinary(void **state)
{
	struct peer *p = *state;

	assert_int_equal(peer_ask(p, VU_GET_FEATURES, NULL, 0),
		DRIVER_FEATURES | VU_BIT(TOY_FEATURE) | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			VU_BIT(VIRTIO_RING_F_EVENT_IDX) | VU_BIT(VIRTIO_F_RING_PACKED) |
			VU_BIT(VIRTIO_F_RING_RESET) | VU_BIT(VHOST_F_LOG_ALL));
	assert_int_equal(peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0), ALL_PROTOCOL_FEATURES);
	peer_negotiate(p);
	assert_int_equal(peer_ask(p, VU_GET_QUEUE_NUM, NULL, 0), TOY_QUEUES);
	assert_int_equal(peer_ask(p, VU_GET_MAX_MEM_SLOTS, NULL, 0), 509);
	peer_share_memory(p);
	peer_setup_ring(p, 0, 0);
	assert_int_equal(toy.starts, 0);
	peer_enable(p, 0, true);
	assert_int_equal(toy.starts, 1);
	assert_int_equal(toy.driver_features, VU_BIT(VIRTIO_F_VERSION_1));
	for (int i = 0; i < 40; i++)
		driver_round_trip(p, 0);
	assert_int_equal(peer_get_base(p, 0), 40);
	assert_int_equal(toy.stops, 1);
	assert_int_equal(toy.resets, 0);
	/* A ring that never ran has the base it was given. */
	assert_int_equal(peer_ack_state(p, VU_SET_VRING_BASE, 1, 7), 0);
	assert_int_equal(peer_get_base(p, 1), 7);
}

/*
 * The steps of protocol.md's "what unmodified QEMU sends", without need_reply where QEMU has none.
 * Version 8.2 and later acknowledge bit 18, which to them is SHARED_OBJECT, and know 19.
 */
#define QEMU_7_2 UINT64_C(0x1ffff)
#define QEMU_8_2 UINT64_C(0xfffff)

static void tell_u64(struct peer *p, uint32_t request, uint64_t value)
{
	peer_tell(p, request, &value, sizeof(value));
}

static void tell_state(struct peer *p, uint32_t request, uint32_t index, uint32_t num)
{
	struct vu_vring_state s = { index, num };

	peer_tell(p, request, &s, sizeof(s));
}

static void tell_fd(struct peer *p, uint32_t request, uint64_t index, int fd)
{
	peer_send(p, request, 0, &index, sizeof(index), &fd, 1);
	assert_false(peer_receive(p));
}

static void qemu_realize(struct peer *p, uint64_t mask)
{
	const struct {
		struct vu_config header;
		uint8_t data[TOY_CONFIG_SIZE];
	} config = { { 0, TOY_CONFIG_SIZE, 0 }, { 0 } };
	int pair[2];
	uint64_t offered;

	peer_ask(p, VU_GET_FEATURES, NULL, 0);
	offered = peer_ask(p, VU_GET_PROTOCOL_FEATURES, NULL, 0);
	tell_u64(p, VU_SET_PROTOCOL_FEATURES, offered & mask);
	peer_ask(p, VU_GET_QUEUE_NUM, NULL, 0);
	peer_ask(p, VU_GET_MAX_MEM_SLOTS, NULL, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(peer_ack(p, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	p->channel = pair[0];
	peer_tell(p, VU_SET_OWNER, NULL, 0);
	peer_ask(p, VU_GET_FEATURES, NULL, 0);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		tell_fd(p, VU_SET_VRING_CALL, i, p->call[i]);
	peer_ask(p, VU_GET_CONFIG, &config, sizeof(config));
	assert_int_equal(p->msg.header.size, sizeof(config));
}

/* Sets features as QEMU does, from DRIVER_OK of a driver, or from `cont`. */
static void qemu_features(struct peer *p)
{
	uint64_t status;

	for (int twice = 0; twice < 2; twice++) {
		tell_u64(p, VU_SET_FEATURES, DRIVER_FEATURES);
		status = peer_ask(p, VU_GET_STATUS, NULL, 0);
		tell_u64(p, VU_SET_STATUS, status | VIRTIO_CONFIG_S_FEATURES_OK);
		tell_fd(p, VU_SET_VRING_CALL, 0, p->call[0]);
	}
	assert_int_equal(peer_ask(p, VU_GET_STATUS, NULL, 0), VIRTIO_CONFIG_S_FEATURES_OK);
}

/* Shares memory once a connection, with the first start: region by region, for there are slots. */
static void qemu_share_memory(struct peer *p)
{
	for (unsigned i = 0; i < 2; i++) {
		const uint64_t half = MEM_SIZE / 2;
		const struct {
			uint64_t padding;
			struct vu_region region;
		} add = { 0, { MEM_GPA + i * half, half, MEM_UVA + i * half, i * half } };

		assert_int_equal(peer_ack(p, VU_ADD_MEM_REG, &add, sizeof(add), &p->memfd, 1), 0);
	}
}

/* Starts rings, of which the driver uses queue 0 only. */
static void qemu_rings(struct peer *p, uint32_t base)
{
	const struct vu_vring_addr addr = {
		.desc = MEM_UVA,
		.avail = MEM_UVA + 0x1000,
		.used = MEM_UVA + 0x2000,
	};
	uint64_t status;

	tell_state(p, VU_SET_VRING_NUM, 0, RING_SIZE);
	tell_state(p, VU_SET_VRING_BASE, 0, base);
	peer_tell(p, VU_SET_VRING_ADDR, &addr, sizeof(addr));
	tell_fd(p, VU_SET_VRING_KICK, 0, p->kick[0]);
	/* Queue 1 was never set up. */
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		peer_enable(p, i, true);
	status = peer_ask(p, VU_GET_STATUS, NULL, 0);
	tell_u64(p, VU_SET_STATUS, status | 0xf);
	assert_int_equal(peer_ask(p, VU_GET_STATUS, NULL, 0), 0xf);
}

static void qemu_start(struct peer *p, uint32_t base)
{
	qemu_features(p);
	qemu_rings(p, base);
}

static uint32_t qemu_stop(struct peer *p)
{
	uint32_t base;

	for (unsigned i = 0; i < TOY_QUEUES; i++)
		peer_enable(p, i, false);
	base = peer_get_base(p, 0);
	peer_get_base(p, 1);
	tell_u64(p, VU_SET_STATUS, 0);
	return base;
}

static void qemu_session(struct peer *p, uint64_t mask)
{
	uint32_t base;

	qemu_realize(p, mask);
	qemu_features(p);
	qemu_share_memory(p);
	qemu_rings(p, 0);
	for (int i = 0; i < 20; i++)
		driver_round_trip(p, 0);

	/* `stop` and `cont`: nothing that the guest knows of is lost. */
	base = qemu_stop(p);
	assert_int_equal(base, 20);
	qemu_start(p, base);
	driver_round_trip(p, 0);
	assert_int_equal(toy.resets, 0);

	/* A reboot without RESET_DEVICE: the ring begins anew, and so does the device. */
	qemu_stop(p);
	driver_reset(p, 0);
	qemu_start(p, 0);
	assert_int_equal(toy.resets, 1);
	driver_round_trip(p, 0);

	/* A reboot with it: once is enough. */
	qemu_stop(p);
	peer_tell(p, VU_RESET_DEVICE, NULL, 0);
	assert_int_equal(toy.resets, 2);
	driver_reset(p, 0);
	qemu_start(p, 0);
	driver_round_trip(p, 0);
	assert_int_equal(toy.resets, 2);
	assert_false(log_has("refused"));
}

static void test_qemu_7_2(void **state)
{
	qemu_session(*state, QEMU_7_2);
}

static void test_qemu_8_2(void **state)
{
	struct peer *p = *state;

	qemu_session(p, QEMU_8_2);
	/* The back-end says nothing of shared objects on the channel. */
	assert_int_equal(recv(p->channel, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
}

/* A net front-end enables its queues before features and memory, and after the last stop again. */
static void test_early_enable(void **state)
{
	struct peer *p = *state;

	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, ALL_PROTOCOL_FEATURES), 0);
	for (int n = 0; n < 3; n++)
		peer_enable(p, n % TOY_QUEUES, true);
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, DRIVER_FEATURES), 0);
	peer_share_memory(p);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		peer_setup_ring(p, i, 0);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		driver_round_trip(p, i);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		assert_int_equal(peer_get_base(p, i), 1);
	peer_enable(p, 0, true);
	assert_int_equal(toy.starts, 2);
	peer_setup_ring(p, 0, 1);
	driver_round_trip(p, 0);
}

/* Without bit 30 there is no SET_VRING_ENABLE: a ring runs as soon as it is set up. */
static void test_without_enable(void **state)
{
	struct peer *p = *state;

	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, ALL_PROTOCOL_FEATURES), 0);
	peer_share_memory(p);
	peer_setup_ring(p, 0, 0);
	assert_int_equal(toy.starts, 0);
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, VU_BIT(VIRTIO_F_VERSION_1)), 0);
	assert_int_equal(toy.starts, 1);
	driver_round_trip(p, 0);
}

/* A ring's messages in another order than usual, base last; the kick comes before all. */
static void test_any_order(void **state)
{
	struct peer *p = *state;

	peer_negotiate(p);
	driver_submit(p, 0);
	driver_kick(p, 0);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_KICK, 0, p->kick[0]), 0);
	peer_enable(p, 0, true);
	assert_int_equal(peer_set_addr(p, 0, MEM_UVA), 0);
	assert_int_equal(peer_ack_state(p, VU_SET_VRING_NUM, 0, RING_SIZE), 0);
	assert_int_equal(toy.starts, 0);
	peer_share_memory(p);
	assert_int_equal(toy.starts, 1);
	assert_int_equal(peer_ack_fd(p, VU_SET_VRING_CALL, 0, p->call[0]), 0);
	assert_int_equal(driver_used(p, 0), 1);
	assert_int_equal(peer_ack_state(p, VU_SET_VRING_BASE, 0, 1), 0);
	driver_round_trip(p, 0);
}

/* What was made available before the ring was enabled is served without a kick. */
static void test_served_when_enabled(void **state)
{
	struct peer *p = *state;

	peer_negotiate(p);
	peer_share_memory(p);
	peer_setup_ring(p, 0, 0);
	driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	assert_int_equal(driver_used(p, 0), 0);
	eventfd_take(p->kick[0]);
	peer_enable(p, 0, true);
	assert_int_equal(driver_used(p, 0), 1);

	/* While disabled nothing is taken. */
	peer_enable(p, 0, false);
	driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	assert_int_equal(driver_used(p, 0), 1);
	peer_enable(p, 0, true);
	assert_int_equal(driver_used(p, 0), 2);
	driver_round_trip(p, 0);
}

/* After a reset, of either kind, the front-end has to begin from the beginning. */
static void test_reset_forgets(void **state)
{
	struct peer *p = *state;

	peer_start(p);
	assert_int_equal(peer_ack(p, VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		peer_setup_ring(p, i, 0);
	assert_int_equal(toy.starts, 2);
	peer_enable(p, 0, true);
	driver_round_trip(p, 0);

	assert_int_equal(peer_ack_u64(p, VU_SET_STATUS, 0), 0);
	peer_setup_ring(p, 0, 1);
	peer_enable(p, 0, true);
	assert_int_equal(toy.starts, 3);
	assert_int_equal(peer_ack_u64(p, VU_SET_FEATURES, DRIVER_FEATURES), 0);
	assert_int_equal(toy.starts, 4);
	driver_round_trip(p, 0);
}

/* Of one front-end nothing is left for the next. */
static void test_next_front_end(void **state)
{
	struct peer *p = *state;
	unsigned mappings = peer_mappings();

	peer_start(p);
	assert_int_equal(peer_mappings(), mappings + 1);
	driver_round_trip(p, 0);
	assert_int_equal(peer_ack_u64(p, VU_SET_STATUS, 15), 0);
	peer_disconnect(p);
	assert_int_equal(p->closed, 1);
	assert_int_equal(peer_mappings(), mappings);

	peer_connect(p);
	peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, ALL_PROTOCOL_FEATURES);
	assert_int_equal(peer_ask(p, VU_GET_STATUS, NULL, 0), 0);
	peer_share_memory(p);
	peer_enable(p, 0, true);
	assert_int_equal(peer_get_base(p, 0), 0);
	peer_setup_ring(p, 0, 1);
	assert_int_equal(toy.starts, 2);
	peer_negotiate(p);
	assert_int_equal(toy.starts, 3);
	assert_int_equal(toy.resets, 0);
	driver_round_trip(p, 0);
}

/* Base 0 of a ring that has been around: a resumed driver, not a new one. */
static void test_not_fresh(void **state)
{
	struct peer *p = *state;
	struct vring_used *used = (void *)(p->mem + 0x2000);

	peer_start(p);
	driver_round_trip(p, 0);
	peer_get_base(p, 0);
	peer_get_base(p, 1);
	used->idx = 65535;
	peer_setup_ring(p, 0, 0);
	assert_int_equal(toy.starts, 3);
	assert_int_equal(toy.resets, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_ordinary),
		TEST_WITH(peer, test_qemu_7_2),
		TEST_WITH(peer, test_qemu_8_2),
		TEST_WITH(peer, test_early_enable),
		TEST_WITH(peer, test_without_enable),
		TEST_WITH(peer, test_any_order),
		TEST_WITH(peer, test_served_when_enabled),
		TEST_WITH(peer, test_reset_forgets),
		TEST_WITH(peer, test_next_front_end),
		TEST_WITH(peer, test_not_fresh),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}

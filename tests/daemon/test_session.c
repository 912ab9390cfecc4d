/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as front-ends really lead them, QEMU's order above all. */
#include "tests/daemon/peer.h"

static void test_ordinary(void **state)
{
	struct peer *p = *state;

	assert_int_equal(peer_ask(p, VU_GET_FEATURES, NULL, 0),
		DRIVER_FEATURES | VU_BIT(TOY_FEATURE) | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			VU_BIT(VIRTIO_RING_F_EVENT_IDX) | VU_BIT(VIRTIO_F_RING_RESET));
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
	assert_int_equal(peer_get_base(p, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ordinary, peer_setup, peer_teardown),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}

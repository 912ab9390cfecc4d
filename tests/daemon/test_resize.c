/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that grows: when the guest is told, also by another process, and when it cannot be. */
#include "tests/daemon/peer.h"

#include <sys/socket.h>

#define UNTOLD "the guest cannot be told to read the configuration space"

/* Returns how many times the driver was told to read the configuration space. */
static unsigned told(struct peer *p)
{
	struct vu_header h;
	unsigned n = 0;

	peer_run();
	for (; recv(p->channel, &h, sizeof(h), MSG_DONTWAIT) == sizeof(h); n++)
		assert_int_equal(h.request, VU_BACKEND_CONFIG_CHANGE_MSG);
	return n;
}

/* Connects to another process's device in the middle of what the driver does. */
static void connect_again(struct peer *p, bool channel)
{
	peer_disconnect(p);
	fd_close(&p->channel);
	peer_make_backend(p, &toy_ops);
	peer_connect(p);
	log_clear();
	peer_negotiate(p);
	if (channel)
		peer_open_channel(p);
	peer_share_memory(p);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		peer_setup_ring(p, i, p->avail[i]);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		peer_enable(p, i, true);
}

static void test_resize_told_on_resume(void **state)
{
	struct peer *p = *state;

	peer_start(p);
	peer_open_channel(p);
	driver_round_trip(p, 1);
	/* It has read it when it started. */
	assert_int_equal(told(p), 0);
	connect_again(p, true);
	assert_int_equal(told(p), 1);
	driver_round_trip(p, 0);
	driver_round_trip(p, 1);
	/* A pause is no new process. */
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		peer_get_base(p, i);
		peer_setup_ring(p, i, p->avail[i]);
	}
	peer_share_memory(p);
	driver_round_trip(p, 0);
	assert_int_equal(told(p), 0);
	assert_false(log_has(UNTOLD));
	/* The channel may come later than the rings. */
	connect_again(p, false);
	peer_open_channel(p);
	assert_int_equal(told(p), 1);
}

static void test_resize_untold_on_resume(void **state)
{
	struct peer *p = *state;

	peer_start(p);
	driver_round_trip(p, 0);
	assert_false(log_has(UNTOLD));
	connect_again(p, false);
	assert_logged("no back-end channel: " UNTOLD);
}

static void test_resize_untold(void **state)
{
	struct peer *p = *state;

	peer_start(p);
	assert_false(log_has(UNTOLD));
	for (unsigned i = 0; i < 2; i++) {
		log_clear();
		backend_reload(p->backend);
		peer_run();
		assert_logged("no back-end channel: " UNTOLD);
	}
	log_clear();
	peer_open_channel(p);
	assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES,
				 ALL_PROTOCOL_FEATURES & ~VU_BIT(VU_F_CONFIG)),
		0);
	toy_config_change();
	assert_int_equal(told(p), 1);
	toy_config_change();
	peer_run();
	assert_logged("CONFIG was not negotiated: " UNTOLD);
}

/* The table that moves the rings is taken, so it is acknowledged: their addresses follow it. */
static void test_resize_memory_moves_rings(void **state)
{
	const uint64_t uva = 0x10000000;
	struct {
		struct vu_mem_table table;
		struct vu_region region;
	} moved = { { 1, 0 }, { MEM_GPA, MEM_SIZE, uva, 0 } }, bad = moved;
	struct peer *p = *state;

	peer_start(p);
	driver_round_trip(p, 0);
	assert_int_equal(peer_ack(p, VU_SET_MEM_TABLE, &moved, sizeof(moved), &p->memfd, 1), 0);
	assert_int_equal(toy.starts, toy.stops);
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		assert_logged(i ? "does not run: queue 1: descriptor table"
				: "does not run: queue 0: descriptor table");
		assert_int_equal(peer_set_addr(p, i, uva + ring_offset(i)), 0);
		driver_round_trip(p, i);
	}
	/* One that is refused leaves everything as it was. */
	bad.region.size = 2 * MEM_SIZE;
	assert_int_not_equal(peer_ack(p, VU_SET_MEM_TABLE, &bad, sizeof(bad), &p->memfd, 1), 0);
	driver_round_trip(p, 0);
	driver_round_trip(p, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_resize_told_on_resume),
		TEST_WITH(peer, test_resize_untold_on_resume),
		TEST_WITH(peer, test_resize_untold),
		TEST_WITH(peer, test_resize_memory_moves_rings),
	};

	return cmocka_run_group_tests_name("resize", tests, NULL, NULL);
}

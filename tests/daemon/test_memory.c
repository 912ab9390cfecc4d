/* SPDX-License-Identifier: Apache-2.0 */
/* Memory tables and ring parameters, good and bad, also while rings run. */
#include "tests/daemon/peer.h"

struct table {
	struct vu_mem_table header;
	struct vu_region region[2];
};

static uint64_t set_table(struct peer *p, struct vu_region first, struct vu_region second)
{
	struct table t = { { 2, 0 }, { first, second } };
	int fds[] = { p->memfd, p->memfd };

	return peer_ack(p, VU_SET_MEM_TABLE, &t, sizeof(t), fds, 2);
}

static uint64_t one_region(struct peer *p, uint32_t request, struct vu_region region)
{
	struct {
		uint64_t padding;
		struct vu_region region;
	} single = { 0, region };

	return peer_ack(p, request, &single, sizeof(single), &p->memfd, 1);
}

#define HALF (MEM_SIZE / 2)

static void test_bad_tables(void **state)
{
	const struct vu_region good = { MEM_GPA, HALF, MEM_UVA, 0 };
	const struct {
		struct vu_region region;
		const char *what;
	} bad[] = {
		{ { MEM_GPA + HALF - 1, HALF, MEM_UVA + HALF, HALF }, "overlaps in guest space" },
		{ { MEM_GPA + HALF, HALF, MEM_UVA + HALF - 1, HALF }, "overlaps in user space" },
		{ { MEM_GPA + HALF, 0, MEM_UVA + HALF, HALF }, "is empty" },
		{ { -4096ull, HALF, MEM_UVA + HALF, HALF }, "wraps in guest space" },
		{ { MEM_GPA + HALF, HALF, -4096ull, HALF }, "wraps in user space" },
		{ { MEM_GPA + HALF, HALF, MEM_UVA + HALF, HALF + 1 }, "exceeds the file" },
		{ { MEM_GPA + HALF, HALF, MEM_UVA + HALF, -4096ull }, "has an offset that wraps" },
		{ { MEM_GPA + HALF, 1ull << 62, MEM_UVA + HALF, 0 }, "exceeds everything" },
	};
	struct peer *p = *state;

	peer_start(p);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		log_clear();
		if (set_table(p, good, bad[i].region) == 0)
			fail_msg("a region that %s was taken", bad[i].what);
		assert_logged("refused: SET_MEM_TABLE: ");
		/* The table is as it was, and so are the rings. */
		driver_round_trip(p, 0);
		assert_int_equal(peer_get_base(p, 1), 0);
		peer_setup_ring(p, 1, 0);
	}
	assert_int_not_equal(one_region(p, VU_ADD_MEM_REG, good), 0);
	assert_int_not_equal(one_region(p, VU_REM_MEM_REG, good), 0);
	driver_round_trip(p, 1);
	peer_check_served(p);
}

static void test_no_fd_to_map(void **state)
{
	struct peer *p = *state;
	struct table t = { { 1, 0 }, { { MEM_GPA, HALF, MEM_UVA, 0 } } };

	peer_negotiate(p);
	assert_int_not_equal(peer_ack(p, VU_SET_MEM_TABLE, &t, 40, &p->kick[0], 1), 0);
	assert_logged("refused: SET_MEM_TABLE: ");
	peer_check_served(p);
}

static void test_sizes_and_bases(void **state)
{
	const uint32_t bad[] = { 0, 3, 65536, 32769, UINT32_MAX };
	struct peer *p = *state;

	peer_negotiate(p);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		log_clear();
		assert_int_not_equal(peer_ack_state(p, VU_SET_VRING_NUM, 1, bad[i]), 0);
		assert_logged("refused: SET_VRING_NUM: queue 1: ");
	}
	assert_int_equal(peer_ack_state(p, VU_SET_VRING_NUM, 1, 32768), 0);
	assert_int_equal(peer_ack_state(p, VU_SET_VRING_BASE, 1, 65535), 0);
	assert_int_not_equal(peer_ack_state(p, VU_SET_VRING_BASE, 1, 65536), 0);
	assert_logged("refused: SET_VRING_BASE: queue 1: 65536");
	assert_int_not_equal(peer_ack_state(p, VU_SET_VRING_ENABLE, 1, 2), 0);
	assert_logged("refused: SET_VRING_ENABLE: queue 1: 2");
	peer_check_served(p);
}

static void test_largest_ring(void **state)
{
	struct peer *p = *state;
	struct vu_vring_addr addr = {
		.desc = MEM_UVA,
		.avail = MEM_UVA + 0x80000,
		.used = MEM_UVA + 0xa0000,
	};

	peer_negotiate(p);
	peer_share_memory(p);
	peer_setup_ring(p, 0, 0);
	assert_int_equal(peer_ack(p, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	assert_int_equal(peer_ack_state(p, VU_SET_VRING_NUM, 0, 32768), 0);
	peer_enable(p, 0, true);
	assert_int_equal(toy.starts, 1);
}

/* Each part of a ring may end where its region ends, and not a step further. */
static void test_at_the_edge(void **state)
{
	const uint64_t end = MEM_UVA + MEM_SIZE;
	const struct vu_vring_addr good = {
		.desc = end - 16 * RING_SIZE,
		.avail = MEM_UVA,
		.used = MEM_UVA + 0x1000,
	};
	struct vu_vring_addr addr[] = { good, good, good, good, good };
	const char *names[] = { "descriptor table", "available ring", "used ring",
		"descriptor table", "descriptor table" };
	struct peer *p = *state;

	addr[0].desc += 16;
	addr[1].avail = end - (4 + 2 * RING_SIZE) + 2;
	addr[2].used = end - (4 + 8 * RING_SIZE) + 4;
	addr[3].desc = -16ull;
	addr[4].desc = 0;
	peer_negotiate(p);
	peer_share_memory(p);
	peer_setup_ring(p, 0, 0);
	assert_int_equal(peer_ack(p, VU_SET_VRING_ADDR, &good, sizeof(good), NULL, 0), 0);
	peer_enable(p, 0, true);
	assert_int_equal(toy.starts, 1);
	for (unsigned i = 0; i < G_N_ELEMENTS(addr); i++) {
		log_clear();
		assert_int_not_equal(
			peer_ack(p, VU_SET_VRING_ADDR, &addr[i], sizeof(good), NULL, 0), 0);
		assert_logged("refused: SET_VRING_ADDR: queue 0: ");
		assert_logged(names[i]);
		assert_int_equal(toy.starts, toy.stops);
		assert_int_equal(peer_ack(p, VU_SET_VRING_ADDR, &good, sizeof(good), NULL, 0), 0);
		assert_int_equal(toy.starts, toy.stops + 1);
	}
	assert_int_not_equal(peer_ack_state(p, VU_SET_VRING_BASE, 0, RING_SIZE + 1), 0);
	assert_logged("refused: SET_VRING_BASE: queue 0: base 17");
	peer_check_served(p);
}

/* The ring's addresses are looked up again in the new table. */
static void test_swap_under_load(void **state)
{
	const struct vu_region low = { MEM_GPA, HALF, MEM_UVA, 0 };
	const struct vu_region high = { MEM_GPA + HALF, HALF, MEM_UVA + HALF, HALF };
	const struct vu_region elsewhere = { MEM_GPA, HALF, 0x10000000, 0 };
	struct table t = { { 2, 0 }, { low, high } };
	struct peer *p = *state;
	int fds[] = { p->memfd, p->memfd };

	peer_start(p);
	driver_round_trip(p, 0);
	toy.mode = TOY_HOLD;
	for (int i = 0; i < 3; i++)
		driver_submit(p, 0);
	driver_kick(p, 0);
	peer_run();
	assert_int_equal(toy.held, 3);

	peer_send(p, VU_SET_MEM_TABLE, VU_FLAG_NEED_REPLY, &t, sizeof(t), fds, 2);
	assert_false(peer_receive(p));
	assert_int_equal(driver_used(p, 0), 1);
	eventfd_write(toy.release[0], 1);
	assert_true(peer_receive(p));
	assert_int_equal(p->msg.payload.u64, 0);
	assert_int_equal(driver_used(p, 0), 4);
	toy.mode = TOY_ECHO;
	driver_round_trip(p, 0);
	driver_round_trip(p, 1);

	/* A table without the rings: said so, and they run again when it has them. */
	assert_int_equal(set_table(p, elsewhere, high), 0);
	assert_logged("does not run: queue 0: descriptor table");
	assert_logged("does not run: queue 1: descriptor table");
	assert_int_equal(set_table(p, low, high), 0);
	driver_round_trip(p, 0);
	driver_round_trip(p, 1);
	assert_int_equal(toy.resets, 0);
}

static void test_region_by_region(void **state)
{
	const struct vu_region low = { MEM_GPA, HALF, MEM_UVA, 0 };
	const struct vu_region high = { MEM_GPA + HALF, HALF, MEM_UVA + HALF, HALF };
	struct peer *p = *state;

	peer_negotiate(p);
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		peer_setup_ring(p, i, 0);
		peer_enable(p, i, true);
	}
	/* The rings are not in this one, but may be in the next. */
	assert_int_equal(one_region(p, VU_ADD_MEM_REG, high), 0);
	assert_int_equal(toy.starts, 0);
	assert_int_equal(one_region(p, VU_ADD_MEM_REG, low), 0);
	assert_int_equal(toy.starts, 2);
	driver_round_trip(p, 0);
	assert_int_equal(one_region(p, VU_REM_MEM_REG, high), 0);
	driver_round_trip(p, 0);
	assert_int_equal(one_region(p, VU_REM_MEM_REG, low), 0);
	assert_int_equal(toy.starts, toy.stops);
	assert_int_not_equal(one_region(p, VU_REM_MEM_REG, low), 0);
	assert_logged("refused: REM_MEM_REG: ");
	assert_int_equal(one_region(p, VU_ADD_MEM_REG, low), 0);
	driver_round_trip(p, 0);
}

/* Takes the file away under a running ring, unused so far or not. */
static void truncate_after(struct peer *p, int requests)
{
	guest_mem_catch_sigbus(); /* cmocka takes the signal over for each test */
	peer_start(p);
	for (int i = 0; i < requests; i++)
		driver_round_trip(p, 0);
	assert_int_equal(ftruncate(p->memfd, 0), 0);
	driver_kick(p, 0);
	peer_run();
	assert_logged("queue 0: broken: the front-end has truncated guest memory");
	assert_int_equal(eventfd_take(p->err[0]), 1);
	assert_int_equal(peer_ask(p, VU_GET_STATUS, NULL, 0), VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(ftruncate(p->memfd, MEM_SIZE), 0);
	peer_check_served(p);
	for (unsigned i = 0; i < TOY_QUEUES; i++)
		driver_reset(p, i);
	peer_start(p);
	driver_round_trip(p, 0);
	driver_round_trip(p, 1);
}

static void test_truncated(void **state)
{
	truncate_after(*state, 1);
}

static void test_truncated_unused(void **state)
{
	truncate_after(*state, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(peer, test_bad_tables),
		TEST_WITH(peer, test_no_fd_to_map),
		TEST_WITH(peer, test_sizes_and_bases),
		TEST_WITH(peer, test_largest_ring),
		TEST_WITH(peer, test_at_the_edge),
		TEST_WITH(peer, test_swap_under_load),
		TEST_WITH(peer, test_region_by_region),
		TEST_WITH(peer, test_truncated),
		TEST_WITH(peer, test_truncated_unused),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}

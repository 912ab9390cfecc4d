/* SPDX-License-Identifier: Apache-2.0 */
/* The process of a guest's device dies at each hard moment: the next one gets it right. */
#include "worker.h"

/* At the driver's start: whatever the back-end knows, the rings begin at their beginning. */
static void test_setting_up(void **state)
{
	static const char *const at[] = { "SET_STATUS=0x0", "SET_FEATURES", "SET_STATUS=0xb",
		"SET_VRING_NUM/0", "SET_VRING_BASE/0", "SET_VRING_ADDR/0", "SET_VRING_KICK/0",
		"SET_VRING_BASE/2", "SET_VRING_ENABLE/0=1", "SET_VRING_ENABLE/2=1",
		"SET_STATUS=0xf", "GET_CONFIG" };
	struct worker *w = *state;

	worker_boot(w);
	for (unsigned i = 0; i < G_N_ELEMENTS(at); i++) {
		worker_wr(w, VIRTIO_MMIO_STATUS, 4, 0);
		/* The last driver's. */
		pthread_mutex_lock(&w->g->backend->lock);
		w->g->backend->ring[0].base = w->g->backend->ring[2].base = 77;
		pthread_mutex_unlock(&w->g->backend->lock);
		worker_die_at(w, at[i]);
		worker_driver_ok(w, FEATURES);
		worker_assert_died(w);
		worker_assert_registers(w);
		assert_int_equal(fake_ring(w->g->backend, 0).from, 0);
		assert_int_equal(fake_ring(w->g->backend, 2).from, 0);
		assert_true(w->g->backend->driver_features ==
			(FEATURES | VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES)));
		assert_int_equal(w->g->backend->status, S_ALL);
		WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[0].base > 0);
		WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[2].base > 0);
	}
	worker_assert_one_connection(w);
}

/* On the way back, so that a third goes on. */
static void test_again(void **state)
{
	static const char *const at[] = { "GET_PROTOCOL_FEATURES", "SET_VRING_ENABLE/0=0",
		"GET_VRING_BASE/0", "GET_VRING_BASE/2", "SET_MEM_TABLE", "SET_VRING_NUM/0",
		"SET_VRING_BASE/0", "SET_VRING_KICK/0", "SET_VRING_NUM/2", "SET_VRING_ENABLE/0=1" };
	struct worker *w = *state;

	worker_boot(w);
	for (unsigned i = 0; i < G_N_ELEMENTS(at); i++) {
		struct pollfd kick = { .fd = w->kick[0], .events = POLLIN };
		uint32_t base;

		worker_wr(w, VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0);
		worker_kill(w);
		WAIT_UNTIL_LOCKED(&w->g->backend->lock, poll(&kick, 1, 0) == 0);
		base = fake_ring(w->g->backend, 0).base;
		worker_die_at(w, at[i]);
		worker_start(w);
		worker_assert_registers(w);
		worker_assert_died(w);
		assert_int_equal(fake_ring(w->g->backend, 0).from, base);
		WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[0].base > base);
	}
	worker_assert_one_connection(w);
}

static void test_reset(void **state)
{
	static const char *const at[] = { "SET_VRING_ENABLE/0=0", "GET_VRING_BASE/0",
		"GET_VRING_BASE/2", "SET_STATUS=0x0", "RESET_DEVICE", "GET_CONFIG" };
	struct worker *w = *state;

	worker_boot(w);
	for (unsigned i = 0; i < G_N_ELEMENTS(at); i++) {
		g_autofree char *asked = NULL;

		worker_wr(w, 0x108, 1, 0x55);
		worker_die_at(w, at[i]);
		worker_wr(w, VIRTIO_MMIO_STATUS, 4, 0);
		worker_assert_died(w);
		asked = fake_trace(w->g->backend);
		assert_non_null(strstr(asked, "SET_STATUS=0x0 RESET_DEVICE "));
		assert_null(strstr(asked, "=1"));
		assert_false(fake_ring(w->g->backend, 0).enabled);
		assert_false(fake_ring(w->g->backend, 2).enabled);
		assert_int_equal(worker_rd(w, VIRTIO_MMIO_STATUS, 4), 0);
		assert_int_equal(worker_rd(w, VIRTIO_MMIO_INTERRUPT_STATUS, 4), 0);
		worker_driver_ok(w, FEATURES);
	}
	worker_assert_one_connection(w);
}

static void test_queue(void **state)
{
	static const uint32_t reg[] = { VIRTIO_MMIO_QUEUE_READY, VIRTIO_MMIO_QUEUE_RESET };
	struct worker *w = *state;

	worker_boot(w);
	for (unsigned i = 0; i < G_N_ELEMENTS(reg); i++) {
		worker_wr(w, VIRTIO_MMIO_QUEUE_SEL, 4, 2);
		worker_die_at(w, "GET_VRING_BASE/2");
		worker_wr(w, reg[i], 4, i);
		worker_assert_died(w);
		assert_int_equal(worker_rd(w, VIRTIO_MMIO_QUEUE_READY, 4), 0);
		assert_true(fake_ring(w->g->backend, 0).enabled);
		assert_false(fake_ring(w->g->backend, 2).enabled);
		assert_int_equal(fake_ring(w->g->backend, 0).from, 1 + i);
		WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[0].base == 2 + i);
		/* Another ring in the same place. */
		worker_die_at(w, "SET_VRING_KICK/2");
		worker_queue(w, 2, 8);
		worker_assert_died(w);
		assert_int_equal(fake_ring(w->g->backend, 2).num, 8);
		assert_int_equal(fake_ring(w->g->backend, 2).from, 0);
		worker_wr(w, VIRTIO_MMIO_QUEUE_SEL, 4, 0);
		worker_wr(w, VIRTIO_MMIO_QUEUE_READY, 4, 0);
		worker_queue(w, 0, 16);
		WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[0].base == 1);
		if (i == 0) {
			worker_kill(w);
			worker_start(w);
			WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[0].base == 2);
		}
	}
	worker_assert_one_connection(w);
}

static void test_config_write(void **state)
{
	struct worker *w = *state;

	worker_boot(w);
	for (unsigned i = 1; i < 4; i++) {
		g_autofree char *asked = NULL;

		worker_die_at(w, i & 1 ? "SET_CONFIG" : "GET_CONFIG");
		worker_wr(w, 0x100, 1, i);
		worker_assert_died(w);
		asked = fake_trace(w->g->backend);
		/* While rings are stopped a write would be a new driver's. */
		assert_non_null(strstr(strstr(asked, "ENABLE/2=1"), "SET_CONFIG"));
		assert_int_equal(worker_rd(w, 0x100, 1), i);
		assert_int_equal(worker_rd(w, 0x101, 1), 2 * i);
		assert_int_equal(fake_ring(w->g->backend, 0).from, i);
		WAIT_UNTIL_LOCKED(&w->g->backend->lock, w->g->backend->ring[0].base == i + 1);
	}
	worker_assert_one_connection(w);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		TEST_WITH(worker, test_setting_up),
		TEST_WITH(worker, test_again),
		TEST_WITH(worker, test_reset),
		TEST_WITH(worker, test_queue),
		TEST_WITH(worker, test_config_write),
	};

	worker_main(argc, argv);
	return cmocka_run_group_tests_name("vmm_deaths", tests, NULL, NULL);
}

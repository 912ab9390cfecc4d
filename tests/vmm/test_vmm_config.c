/* SPDX-License-Identifier: Apache-2.0 */
/* A guest device's configuration space: cached, written through, changed by the back-end. */
#include "guest.h"

static bool traced(struct guest *g, const char *request)
{
	g_autofree char *trace = fake_trace(g->backend);

	return strstr(trace, request) != NULL;
}

static void test_read(void **state)
{
	struct guest *g = *state;
	struct token t;

	guest_start(g);
	assert_int_equal(rd(g, 0x100, 1), 0x10);
	assert_int_equal(rd(g, 0x102, 2), 0x1312);
	assert_int_equal(rd(g, 0x104, 4), 0x17161514);
	assert_true(rd(g, 0x108, 8) == UINT64_C(0x1f1e1d1c1b1a1918));
	assert_int_equal(rd(g, 0x10e, 4), 0);
	/* All of it came at once: no access waits again. */
	g_free(fake_trace(g->backend));
	for (unsigned i = 0; i < FAKE_CONFIG; i++)
		assert_int_equal(guest_access(g, &t, 0x100 + i, 1, false, 0), VIRTIO_MMIO_DONE);
	assert_false(traced(g, "GET_CONFIG"));
}

static void test_write(void **state)
{
	struct guest *g = *state;
	uint32_t generation;

	guest_start(g);
	generation = rd32(g, VIRTIO_MMIO_CONFIG_GENERATION);
	for (unsigned i = 1; i < 50; i++) {
		/* Byte 1 follows byte 0, so the very next read must come from the back-end. */
		wr(g, 0x100, 1, i);
		assert_int_equal(rd(g, 0x101, 1), 2 * i);
	}
	assert_int_not_equal(rd32(g, VIRTIO_MMIO_CONFIG_GENERATION), generation);
	wr(g, 0x108, 4, 0xa4a3a2a1);
	assert_int_equal(g->backend->config[8], 0xa1);
	assert_int_equal(g->backend->config[11], 0xa4);
	assert_int_equal(g->backend->config[12], 0x1c);
	assert_int_equal(g->backend->config[7], 0x17);
}

static void change(struct guest *g, unsigned byte, uint8_t value)
{
	pthread_mutex_lock(&g->backend->lock);
	g->backend->config[byte] = value;
	pthread_mutex_unlock(&g->backend->lock);
	fake_config_changed(g->backend);
}

static void test_change(void **state)
{
	struct guest *g = *state;
	struct vmm_dev_counters counters;
	uint32_t generation;

	guest_start(g);
	guest_driver_ok(g);
	assert_int_equal(rd(g, 0x104, 1), 0x14);
	generation = rd32(g, VIRTIO_MMIO_CONFIG_GENERATION);
	change(g, 4, 0x99);
	WAIT_UNTIL_LOCKED(&g->lock, g->rises == 1);
	assert_int_equal(rd32(g, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(rd(g, 0x104, 1), 0x99);
	assert_int_not_equal(rd32(g, VIRTIO_MMIO_CONFIG_GENERATION), generation);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL);
	vmm_dev_counters(g->d, &counters);
	assert_int_equal(counters.config_interrupts, 1);
}

static void test_needs_reset(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	guest_driver_ok(g);
	pthread_mutex_lock(&g->backend->lock);
	g->backend->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	pthread_mutex_unlock(&g->backend->lock);
	fake_config_changed(g->backend);
	WAIT_UNTIL_LOCKED(&g->lock, g->rises >= 1);
	WAIT_UNTIL(rd32(g, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), S_ALL | VIRTIO_CONFIG_S_NEEDS_RESET);
	guest_driver_ok(g);
}

static void test_window(void **state)
{
	struct guest *g = *state;

	g->config.window = 0x108;
	guest_start(g);
	assert_int_equal(vmm_dev_window(g->d), 0x108);
	assert_int_equal(rd(g, 0x107, 1), 0x17);
	assert_int_equal(rd(g, 0x108, 1), 0);
	wr(g, 0x108, 1, 7);
	assert_int_equal(g->backend->config[8], 0x18);
}

static void test_no_config(void **state)
{
	struct guest *g = *state;

	fake_down(g->backend);
	g->backend->config_size = 0;
	fake_up(g->backend);
	guest_start(g);
	assert_int_equal(rd(g, 0x100, 1), 0);
	guest_driver_ok(g);
	fake_config_changed(g->backend);
	WAIT_UNTIL_LOCKED(&g->lock, g->rises == 1);
}

/* The guest's writes hold for a back-end that comes back; a reset forgets them. */
static void test_restored(void **state)
{
	struct guest *g = *state;
	uint8_t before;

	guest_start(g);
	guest_driver_ok(g);
	wr(g, 0x100, 1, 0x21);
	wr(g, 0x103, 2, 0x4544);
	fake_down(g->backend);
	/* While it is away, too. */
	wr(g, 0x106, 1, 0x55);
	assert_int_equal(rd(g, 0x106, 1), 0x55);
	for (unsigned i = 0; i < FAKE_CONFIG; i++)
		g->backend->config[i] = 0x80 + i;
	fake_up(g->backend);
	WAIT_UNTIL_LOCKED(&g->lock, g->rises >= 1);
	assert_int_equal(rd(g, 0x106, 1), 0x55);
	assert_int_equal(rd(g, 0x101, 1), 0x42);
	assert_int_equal(g->backend->config[0], 0x21);
	assert_int_equal(g->backend->config[2], 0x82);
	assert_int_equal(g->backend->config[3], 0x44);
	assert_int_equal(g->backend->config[4], 0x45);
	assert_int_equal(g->backend->config[5], 0x85);
	wr32(g, VIRTIO_MMIO_STATUS, 0);
	fake_down(g->backend);
	g_free(fake_trace(g->backend));
	before = g->backend->config[6] = 0x77;
	fake_up(g->backend);
	WAIT_UNTIL_LOCKED(&g->backend->lock, strstr(g->backend->trace->str, "GET_CONFIG "));
	assert_int_equal(rd(g, 0x106, 1), before);
	assert_false(traced(g, "SET_CONFIG"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST_WITH(guest, test_read),
		TEST_WITH(guest, test_write),
		TEST_WITH(guest, test_change),
		TEST_WITH(guest, test_needs_reset),
		TEST_WITH(guest, test_window),
		TEST_WITH(guest, test_no_config),
		TEST_WITH(guest, test_restored),
	};

	return cmocka_run_group_tests_name("vmm_config", tests, NULL, NULL);
}

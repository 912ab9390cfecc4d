/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that does not use its device, or a driver that makes mistakes: the log says so. */
#include "guest.h"

#define IDLE "for 0 s the guest "
#define NEEDS "; its kernel needs CONFIG_NONE"

static void test_waits_unsaid_not_looked_at(void **state)
{
	struct guest *g = *state;

	g->config.idle_ms = 1;
	g->config.needs = "its kernel needs CONFIG_NONE";
	guest_start(g);
	WAIT_UNTIL(test_logged(IDLE "has not looked at the device (type 42, at 0x2000000)" NEEDS));
	/* Once. */
	rd32(g, VIRTIO_MMIO_DEVICE_ID);
	wr32(g, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(test_log_lines(), 1);
}

/*
 * Accesses a register before there is a device: the guest waits, and the time begins with its
 * access. Returns what a read gives.
 */
static uint64_t access_first(struct guest *g, uint64_t offset, bool write, uint64_t value)
{
	struct token t;

	g->config.idle_ms = 1;
	fake_down(g->backend);
	guest_new_dev(g);
	guest_access(g, &t, offset, 4, write, value);
	fake_up(g->backend);
	return guest_wait(g, &t);
}

static void test_waits_unsaid_no_driver(void **state)
{
	assert_int_equal(access_first(*state, VIRTIO_MMIO_DEVICE_ID, false, 0), 42);
	WAIT_UNTIL(test_logged(IDLE "has looked at the device, but has no driver for it"));
}

static void test_waits_unsaid_driver(void **state)
{
	access_first(*state, VIRTIO_MMIO_STATUS, true, 3);
	WAIT_UNTIL(test_logged(IDLE "has a driver for the device, which does not get as far"));
}

/* A driver that ran and was removed is no news. */
static void test_used_device_is_not_named(void **state)
{
	static const struct {
		uint64_t off;
		uint32_t value;
	} writes[] = {
		{ VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1 },
		{ VIRTIO_MMIO_DRIVER_FEATURES, VU_BIT(VIRTIO_F_VERSION_1) >> 32 },
		{ VIRTIO_MMIO_STATUS, S_FEATURES },
		{ VIRTIO_MMIO_STATUS, S_ALL },
		{ VIRTIO_MMIO_STATUS, 0 },
	};
	struct guest *g = *state;
	struct token t[G_N_ELEMENTS(writes)];
	int64_t end;

	g->config.idle_ms = 1;
	fake_down(g->backend);
	guest_new_dev(g);
	for (unsigned i = 0; i < G_N_ELEMENTS(writes); i++)
		guest_access(g, &t[i], writes[i].off, 4, true, writes[i].value);
	fake_up(g->backend);
	for (unsigned i = 0; i < G_N_ELEMENTS(writes); i++)
		guest_wait(g, &t[i]);
	/* The control thread, which answers these writes, looks before each answer. */
	end = g_get_monotonic_time() + 2 * g->config.idle_ms * G_TIME_SPAN_MILLISECOND;
	while (g_get_monotonic_time() < end)
		wr32(g, VIRTIO_MMIO_STATUS, 0);
	wr32(g, VIRTIO_MMIO_STATUS, 0);
	assert_false(test_logged("the guest has"));
}

static void test_driver_mistakes_are_said(void **state)
{
	struct guest *g = *state;
	g_autofree char *log = NULL;

	guest_start(g);
	for (unsigned i = 0; i < 1000; i++) {
		wr32(g, VIRTIO_MMIO_STATUS, 0);
		wr32(g, VIRTIO_MMIO_STATUS, 0x83);
	}
	log = test_log();
	assert_non_null(
		strstr(log, "warning: dev0: the guest's driver has given up (status FAILED)"));
	/* Limited. */
	assert_in_range(test_log_lines(), 1, 100);
}

static void test_driver_without_access_platform(void **state)
{
	struct guest *g = *state;

	g->config.access_platform = true;
	g->config.needs = "its kernel needs CONFIG_NONE";
	guest_start(g);
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1));
	assert_int_equal(rd32(g, VIRTIO_MMIO_STATUS), 3);
	assert_true(test_logged("does not accept ACCESS_PLATFORM: FEATURES_OK is refused" NEEDS));
}

/* Addresses that are no grants. */
static void test_driver_that_does_not_grant(void **state)
{
	struct guest *g = *state;

	g->config.access_platform = true;
	g->config.needs = "its kernel needs CONFIG_NONE";
	g->n_regions = 0;
	guest_start(g);
	guest_features(g, VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	guest_queue(g, 0, 16);
	wr32(g, VIRTIO_MMIO_STATUS, S_ALL);
	WAIT_UNTIL(test_logged("not in guest memory"));
	assert_true(test_logged(NEEDS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(guest, test_waits_unsaid_not_looked_at),
		TEST_WITH(guest, test_waits_unsaid_no_driver),
		TEST_WITH(guest, test_waits_unsaid_driver),
		TEST_WITH(guest, test_used_device_is_not_named),
		TEST_WITH(guest, test_driver_mistakes_are_said),
		TEST_WITH(guest, test_driver_without_access_platform),
		TEST_WITH(guest, test_driver_that_does_not_grant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

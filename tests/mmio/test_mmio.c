/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio-mmio window: identity, features, status, interrupts. */
#include "owner.h"

static void test_identity(void **state)
{
	struct owner *o = *state;

	assert_int_equal(rd(o, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(rd(o, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(rd(o, VIRTIO_MMIO_DEVICE_ID), 42);
	assert_int_not_equal(rd(o, VIRTIO_MMIO_VENDOR_ID), 0);
	wr(o, VIRTIO_MMIO_DEVICE_ID, 7);
	assert_int_equal(rd(o, VIRTIO_MMIO_DEVICE_ID), 42);
}

static void test_empty_slot(void **state)
{
	struct owner *o = *state;
	uint64_t value = 5;

	virtio_mmio_set_device(o->m, NULL, 0);
	assert_int_equal(rd(o, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(rd(o, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(rd(o, VIRTIO_MMIO_DEVICE_ID), 0);
	wr(o, VIRTIO_MMIO_STATUS, 1);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), 0);
	wr(o, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	virtio_mmio_access(o->m, 0x100, 1, false, &value);
	assert_int_equal(value, 0);
	assert_null(virtio_mmio_queue(o->m, 0));
	assert_int_equal(o->calls, 0);
}

/* An owner's own empty slot looks like one here, by any access: a guest sees no change. */
static void test_read_empty(void **state)
{
	struct owner *o = *state;

	virtio_mmio_set_device(o->m, NULL, 0);
	for (unsigned size = 1; size <= 8; size *= 2) {
		for (uint64_t offset = 0; offset < 0x200; offset++) {
			uint64_t value = 5;

			/* How often a device has changed is nothing that drivers ask here. */
			if (offset == VIRTIO_MMIO_CONFIG_GENERATION)
				continue;
			virtio_mmio_access(o->m, offset, size, false, &value);
			assert_int_equal(virtio_mmio_read_empty(offset, size), value);
		}
	}
}

static void test_device_features(void **state)
{
	struct owner *o = *state;

	wr(o, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(rd(o, VIRTIO_MMIO_DEVICE_FEATURES), HI(probe.features));
	wr(o, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	assert_int_equal(rd(o, VIRTIO_MMIO_DEVICE_FEATURES), LO(probe.features));
	for (uint32_t bank = 2; bank; bank <<= 1) {
		wr(o, VIRTIO_MMIO_DEVICE_FEATURES_SEL, bank);
		assert_int_equal(rd(o, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	}
}

static void test_driver_features(void **state)
{
	struct owner *o = *state;

	write_features(o, VERSION_1 | 0x10);
	wr(o, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
	wr(o, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
	wr(o, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 3);
	wr(o, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
	assert_true(virtio_mmio_driver_features(o->m) == (VERSION_1 | 0x10));
	wr(o, VIRTIO_MMIO_STATUS, S_FEATURES);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), S_FEATURES);
	write_features(o, VERSION_1);
	assert_true(virtio_mmio_driver_features(o->m) == (VERSION_1 | 0x10));
	assert_int_equal(rd(o, VIRTIO_MMIO_DRIVER_FEATURES), 0);
}

static void test_features_refused(void **state)
{
	struct owner *o = *state;

	/* Not offered. */
	write_features(o, VERSION_1 | 0x2);
	wr(o, VIRTIO_MMIO_STATUS, S_FEATURES);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), 3);
	assert_int_equal(o->new_status, 3);
	/* No legacy. */
	write_features(o, 0x11);
	wr(o, VIRTIO_MMIO_STATUS, S_FEATURES);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), 3);
	/* The driver may try again. */
	write_features(o, VERSION_1);
	wr(o, VIRTIO_MMIO_STATUS, S_FEATURES);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), S_FEATURES);
	/* The owner's veto. */
	virtio_mmio_refuse_features(o->m);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), 3);
}

static void test_status(void **state)
{
	struct owner *o = *state;

	wr(o, VIRTIO_MMIO_STATUS, 1);
	assert_int_equal(o->old_status, 0);
	assert_int_equal(o->new_status, 1);
	wr(o, VIRTIO_MMIO_STATUS, 1);
	assert_int_equal(o->status_calls, 1);
	/* Bits are added, and only the driver's. */
	wr(o, VIRTIO_MMIO_STATUS, 2 | VIRTIO_CONFIG_S_NEEDS_RESET | 0x30 | 0x100);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), 3);
	/* DRIVER_OK without FEATURES_OK is none. */
	wr(o, VIRTIO_MMIO_STATUS, 3 | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), 3);
	/* Both at once. */
	write_features(o, VERSION_1);
	wr(o, VIRTIO_MMIO_STATUS, S_ALL);
	assert_int_equal(o->old_status, 3);
	assert_int_equal(o->new_status, S_ALL);
	wr(o, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), S_ALL | VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(o->new_status, S_ALL | VIRTIO_CONFIG_S_FAILED);
}

static void assert_mistake(struct owner *o, const char *words)
{
	if (!words) {
		assert_int_equal(o->mistakes, 0);
		return;
	}
	assert_int_equal(o->mistakes, 1);
	if (!strstr(o->mistake, words))
		fail_msg("\"%s\" is not in \"%s\"", words, o->mistake);
	o->mistakes = 0;
}

/* What is refused or ignored, and leaves a driver waiting, is said, once for each access. */
static void test_mistakes_are_said(void **state)
{
	static const struct {
		uint64_t features;
		uint32_t status, queue_size;
		const char *words;
	} cases[] = {
		{ VERSION_1 | 0x2, S_FEATURES, 0, "not offered: 0x2:" },
		{ VERSION_1 | 0x2, S_ALL, 0, "not offered: 0x2:" },
		{ 0x11, S_FEATURES, 0, "VERSION_1" },
		{ VERSION_1, 3 | VIRTIO_CONFIG_S_DRIVER_OK, 0, "DRIVER_OK without FEATURES_OK" },
		{ VERSION_1, 3 | VIRTIO_CONFIG_S_FAILED, 0, "FAILED" },
		{ VERSION_1, S_ALL | VIRTIO_CONFIG_S_FAILED, 0, "FAILED" },
		{ VERSION_1, S_FEATURES, 512,
			"queue 1 with QueueNum 512 (a power of two up to 256" },
		{ VERSION_1, S_FEATURES, 48, "QueueNum 48" },
		{ VERSION_1, S_FEATURES, 0, "QueueNum 0" },
		{ VERSION_1, S_ALL, 256, NULL },
		{ VERSION_1 | PACKED, S_ALL, 48, NULL },
	};
	struct owner *o = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		bool queue = cases[i].status == S_FEATURES || !cases[i].words;

		wr(o, VIRTIO_MMIO_STATUS, 0);
		wr(o, VIRTIO_MMIO_STATUS, 3);
		write_features(o, cases[i].features);
		wr(o, VIRTIO_MMIO_STATUS, cases[i].status);
		if (queue && rd(o, VIRTIO_MMIO_STATUS) == cases[i].status)
			setup_queue(o, 1, cases[i].queue_size);
		assert_mistake(o, cases[i].words);
		/* The same status again is no news. */
		wr(o, VIRTIO_MMIO_STATUS, rd(o, VIRTIO_MMIO_STATUS));
		assert_mistake(o, NULL);
	}
}

static void test_reset(void **state)
{
	struct owner *o = *state;

	setup_queue(o, 0, 16);
	driver_ok(o, VERSION_1);
	virtio_mmio_used(o->m);
	virtio_mmio_config_changed(o->m);
	o->answer = VIRTIO_MMIO_LATER;
	assert_int_equal(wr(o, VIRTIO_MMIO_STATUS, 0), VIRTIO_MMIO_LATER);
	assert_int_equal(o->old_status, S_ALL);
	assert_int_equal(o->new_status, 0);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_int_equal(o->falls, 1);
	assert_true(virtio_mmio_driver_features(o->m) == 0);
	assert_false(virtio_mmio_queue(o->m, 0)->ready);
	assert_int_equal(virtio_mmio_queue(o->m, 0)->size, 0);
	/* A reset is always told: the owner may have something left to stop. */
	wr(o, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(o->old_status, 0);
}

static void test_interrupt(void **state)
{
	struct owner *o = *state;

	/* Not before DRIVER_OK. */
	virtio_mmio_used(o->m);
	virtio_mmio_config_changed(o->m);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	driver_ok(o, VERSION_1);
	virtio_mmio_used(o->m);
	virtio_mmio_used(o->m);
	assert_int_equal(o->rises, 1);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	/* A second kind is said again, so is what is left after an ACK. */
	virtio_mmio_config_changed(o->m);
	assert_int_equal(o->rises, 2);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	wr(o, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(o->rises, 3);
	assert_int_equal(o->falls, 0);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	wr(o, VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX);
	assert_int_equal(o->falls, 1);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	wr(o, VIRTIO_MMIO_INTERRUPT_ACK, 3);
	assert_int_equal(o->falls, 1);
	assert_int_equal(o->rises, 3);
}

static void test_used_always(void **state)
{
	struct owner *o = *state;

	virtio_mmio_used_always(o->m, true);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	driver_ok(o, VERSION_1);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	wr(o, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	assert_int_equal(o->rises + o->falls, 0);
	virtio_mmio_config_changed(o->m);
	assert_int_equal(o->rises, 1);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	wr(o, VIRTIO_MMIO_INTERRUPT_ACK, 3);
	assert_int_equal(o->falls, 1);
	virtio_mmio_used_always(o->m, false);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void test_needs_reset(void **state)
{
	struct owner *o = *state;

	/* Without DRIVER_OK the driver reads it by itself. */
	virtio_mmio_needs_reset(o->m);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(o->rises, 0);
	/* It survives a driver that writes what it read before. */
	wr(o, VIRTIO_MMIO_STATUS, 1);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), VIRTIO_CONFIG_S_NEEDS_RESET | 1);
	wr(o, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), 0);
	driver_ok(o, VERSION_1);
	virtio_mmio_needs_reset(o->m);
	virtio_mmio_needs_reset(o->m);
	assert_int_equal(o->rises, 1);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
}

static void test_shm(void **state)
{
	struct owner *o = *state;
	struct virtio_mmio_shm shm[] = {
		{ .id = 0, .base = 0x1122334455667788, .len = 0x200000000 },
		{ .id = 7, .base = 0x4000, .len = 0x1000 },
	};

	virtio_mmio_set_shm(o->m, shm, 2);
	memset(shm, 0, sizeof(shm));
	assert_int_equal(rd(o, VIRTIO_MMIO_SHM_LEN_LOW), 0);
	assert_int_equal(rd(o, VIRTIO_MMIO_SHM_LEN_HIGH), 2);
	assert_int_equal(rd(o, VIRTIO_MMIO_SHM_BASE_LOW), 0x55667788);
	assert_int_equal(rd(o, VIRTIO_MMIO_SHM_BASE_HIGH), 0x11223344);
	wr(o, VIRTIO_MMIO_SHM_SEL, 7);
	assert_int_equal(rd(o, VIRTIO_MMIO_SHM_LEN_LOW), 0x1000);
	assert_int_equal(rd(o, VIRTIO_MMIO_SHM_BASE_HIGH), 0);
	for (uint32_t id = 1; id < 0x10000; id = id * 2 + 6) { /* 1, 8, 22 … never 7 + 256 n */
		wr(o, VIRTIO_MMIO_SHM_SEL, id);
		assert_int_equal(rd(o, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
		assert_int_equal(rd(o, VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
		assert_int_equal(rd(o, VIRTIO_MMIO_SHM_BASE_LOW), UINT32_MAX);
		assert_int_equal(rd(o, VIRTIO_MMIO_SHM_BASE_HIGH), UINT32_MAX);
	}
	wr(o, VIRTIO_MMIO_SHM_SEL, 256 + 7);
	assert_int_equal(rd(o, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
	virtio_mmio_set_shm(o->m, NULL, 0);
	wr(o, VIRTIO_MMIO_SHM_SEL, 7);
	assert_int_equal(rd(o, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
}

static void test_generation(void **state)
{
	struct owner *o = *state;
	uint32_t g = rd(o, VIRTIO_MMIO_CONFIG_GENERATION);

	assert_int_equal(rd(o, VIRTIO_MMIO_CONFIG_GENERATION), g);
	virtio_mmio_config_changed(o->m);
	assert_int_not_equal(rd(o, VIRTIO_MMIO_CONFIG_GENERATION), g);
	driver_ok(o, VERSION_1);
	g = rd(o, VIRTIO_MMIO_CONFIG_GENERATION);
	virtio_mmio_config_touched(o->m);
	assert_int_not_equal(rd(o, VIRTIO_MMIO_CONFIG_GENERATION), g);
	assert_int_equal(o->rises, 0);
}

/* Two lives of a device: the second finds what the first left. */
static void test_state(void **state)
{
	struct owner *o = *state;
	struct virtio_mmio_state *s = test_calloc(1, sizeof(*s));
	struct virtio_mmio *first = o->m;

	o->m = virtio_mmio_new(&owner_ops, o, s);
	assert_int_equal(rd(o, VIRTIO_MMIO_DEVICE_ID), 0);
	virtio_mmio_set_device(o->m, &probe, 128);
	setup_queue(o, 1, 16);
	driver_ok(o, VERSION_1 | RING_RESET);
	virtio_mmio_config_changed(o->m);
	virtio_mmio_used_always(o->m, true);
	virtio_mmio_free(o->m);

	o->rises = o->falls = 0;
	o->m = virtio_mmio_new(&owner_ops, o, s);
	assert_int_equal(rd(o, VIRTIO_MMIO_DEVICE_ID), 42);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), S_ALL);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_NUM_MAX), 128);
	assert_int_equal(rd(o, VIRTIO_MMIO_QUEUE_READY), 1); /* the selector, too */
	assert_int_equal(virtio_mmio_queue(o->m, 1)->size, 16);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	/* What was left out by death comes now, whatever it was. */
	virtio_mmio_resume(o->m);
	assert_true(o->rises == 1 && o->falls == 0);
	wr(o, VIRTIO_MMIO_INTERRUPT_ACK, 3);
	virtio_mmio_needs_reset(o->m);
	wr(o, VIRTIO_MMIO_INTERRUPT_ACK, 3);
	virtio_mmio_resume(o->m);
	assert_int_equal(rd(o, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	wr(o, VIRTIO_MMIO_STATUS, 0);
	o->rises = o->falls = 0;
	virtio_mmio_resume(o->m);
	assert_true(o->rises == 0 && o->falls == 1);
	virtio_mmio_free(o->m);
	test_free(s);
	o->m = first;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST_WITH(owner, test_identity),
		TEST_WITH(owner, test_empty_slot),
		TEST_WITH(owner, test_read_empty),
		TEST_WITH(owner, test_device_features),
		TEST_WITH(owner, test_driver_features),
		TEST_WITH(owner, test_features_refused),
		TEST_WITH(owner, test_status),
		TEST_WITH(owner, test_mistakes_are_said),
		TEST_WITH(owner, test_reset),
		TEST_WITH(owner, test_interrupt),
		TEST_WITH(owner, test_used_always),
		TEST_WITH(owner, test_needs_reset),
		TEST_WITH(owner, test_shm),
		TEST_WITH(owner, test_generation),
		TEST_WITH(owner, test_state),
	};

	return cmocka_run_group_tests_name("mmio", tests, NULL, NULL);
}

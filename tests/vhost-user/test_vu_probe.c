/* SPDX-License-Identifier: Apache-2.0 */
/* PROBE: who is asked, what is believed, and what its look-alikes do. */
#include "front_fixture.h"

static void test_probe_is_asked_of_standalone_ones_only(void **state)
{
	b->protocol &= ~VU_BIT(VU_F_STATUS);
	connect_pair();
	assert_int_equal(vu_front_properties(f)->device_id, VU_SOURCE_NONE);
	assert_int_equal(vu_front_properties(f)->probe.device_id, 0);
	finish();
	assert_int_equal(fake_count(b, VU_GET_DEVICE_ID), 0);
	assert_false(b->acked & VU_BIT(VU_F_PROBE));
}

static void test_probe_by_force(void **state)
{
	b->protocol &= ~VU_BIT(VU_F_STATUS);
	options.probe = VU_PROBE_FORCE;
	connect_pair();
	assert_int_equal(vu_front_properties(f)->probe.device_id, 42);
	finish();
}

static void test_probe_off(void **state)
{
	options.probe = VU_PROBE_OFF;
	options.device_id = 7;
	connect_pair();
	assert_int_equal(vu_front_properties(f)->probe.device_id, 7);
	assert_int_equal(vu_front_properties(f)->device_id, VU_SOURCE_USER);
	finish();
	assert_int_equal(fake_count(b, VU_GET_DEVICE_ID), 0);
	assert_false(b->acked & VU_BIT(VU_F_PROBE));
}

static void test_probe_replies_of_64_bits(void **state)
{
	b->quirk[VU_GET_DEVICE_ID] = b->quirk[VU_GET_CONFIG_SIZE] = FAKE_U64;
	connect_pair();
	assert_int_equal(vu_front_properties(f)->probe.device_id, 42);
	assert_int_equal(vu_front_properties(f)->probe.config_size, 60);
	finish();
}

static void test_not_what_the_user_said(void **state)
{
	options.device_id = 41;
	expect_failure(VU_FRONT_ERROR_PROPERTIES, "device 42, not 41");
}

/* Expects the fallback's properties, after a probe that went wrong. */
static void expect_no_probe(unsigned connections)
{
	const struct vu_properties *properties = vu_front_properties(f);

	assert_int_equal(properties->device_id, VU_SOURCE_NONE);
	assert_int_equal(properties->min_queues, VU_SOURCE_ASSUMED);
	assert_int_equal(properties->probe.min_queues, 1);
	assert_int_equal(properties->config_size, VU_SOURCE_ASSUMED);
	finish();
	assert_int_equal(b->connections, connections);
	assert_int_equal(fake_count(b, VU_GET_DEVICE_ID), 1);
	assert_int_equal(!!(b->acked & VU_BIT(VU_F_PROBE)), connections == 1);
}

static void test_shared_object_peer(void **state)
{
	b->quirk[VU_GET_DEVICE_ID] = FAKE_OWN_SIZE;
	connect_pair();
	expect_no_probe(1);
	assert_int_equal(fake_count(b, VU_GET_CONFIG_SIZE), 0);
	assert_int_equal(fake_count(b, VU_GET_MIN_VQ), 0);
}

static void test_shared_object_peer_dialled_again(void **state)
{
	b->quirk[VU_GET_DEVICE_ID] = FAKE_OWN_SIZE;
	connect_path();
	expect_no_probe(2);
}

static void test_peer_that_hangs_up_when_probed(void **state)
{
	b->quirk[VU_GET_CONFIG_SIZE] = FAKE_CLOSE;
	connect_path();
	expect_no_probe(2);
}

static void test_peer_that_is_slow_to_see_us_leave(void **state)
{
	b->quirk[VU_GET_DEVICE_ID] = FAKE_OWN_SIZE;
	b->busy_until = 3;
	connect_path();
	expect_no_probe(4);
}

static void test_peer_that_hangs_up_for_good(void **state)
{
	b->quirk[VU_GET_CONFIG_SIZE] = FAKE_CLOSE;
	expect_failure(VU_FRONT_ERROR_GONE, "closed the connection");
}

/* It ended meanwhile; its successor must not be taken for one without PROBE. */
static void test_peer_that_was_probed_before(void **state)
{
	g_autoptr(GError) error = NULL;

	options.speaks_probe = true;
	b->quirk[VU_GET_CONFIG_SIZE] = FAKE_CLOSE;
	fake_up(b);
	assert_null(vu_front_connect(path, &options, &error));
	expect_error(&error, VU_FRONT_ERROR_GONE, "closed the connection");
	assert_int_equal(b->connections, 1);
}

static void test_peer_that_ignores_probe(void **state)
{
	options.deadline_ms = 1000;
	b->quirk[VU_GET_DEVICE_ID] = FAKE_SILENT;
	connect_path();
	expect_no_probe(2);
}

/* On a host where the first answer took longer than PROBE may take elsewhere. */
static void test_peer_that_is_slow(void **state)
{
	b->quirk[VU_GET_FEATURES] = b->quirk[VU_GET_DEVICE_ID] = FAKE_LATE;
	b->late_ms = 1100;
	connect_path();
	assert_int_equal(vu_front_properties(f)->probe.device_id, 42);
	finish();
	assert_int_equal(b->connections, 1);
}

static void test_implausible(void **state)
{
	static const struct {
		uint32_t id, config, min;
		uint64_t lacks;
	} cases[] = { { 0, 60, 1, 0 }, { 64, 60, 1, 0 }, { 2, VIRTIO_MAX_CONFIG + 1, 1, 0 },
		{ 2, 60, 0, 0 }, { 2, 60, 5, 0 }, { 2, 60, 257, VU_BIT(VU_F_MQ) } };

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		fake_free(b);
		b = full_backend();
		b->device_id = cases[i].id;
		b->config_size = cases[i].config;
		b->min_queues = cases[i].min;
		b->protocol &= ~cases[i].lacks;
		b->quirk[VU_GET_CONFIG] = FAKE_REFUSE;
		connect_pair();
		expect_no_probe(1);
	}
}

static void test_config_size_zero_is_plausible(void **state)
{
	b->config_size = 0;
	b->protocol &= ~VU_BIT(VU_F_CONFIG);
	connect_pair();
	assert_int_equal(vu_front_properties(f)->config_size, VU_SOURCE_PROBE);
	assert_int_equal(vu_front_properties(f)->probe.config_size, 0);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(front, test_probe_is_asked_of_standalone_ones_only),
		TEST_WITH(front, test_probe_by_force),
		TEST_WITH(front, test_probe_off),
		TEST_WITH(front, test_probe_replies_of_64_bits),
		TEST_WITH(front, test_not_what_the_user_said),
		TEST_WITH(front, test_shared_object_peer),
		TEST_WITH(front, test_shared_object_peer_dialled_again),
		TEST_WITH(front, test_peer_that_hangs_up_when_probed),
		TEST_WITH(front, test_peer_that_is_slow_to_see_us_leave),
		TEST_WITH(front, test_peer_that_hangs_up_for_good),
		TEST_WITH(front, test_peer_that_was_probed_before),
		TEST_WITH(front, test_peer_that_ignores_probe),
		TEST_WITH(front, test_peer_that_is_slow),
		TEST_WITH(front, test_implausible),
		TEST_WITH(front, test_config_size_zero_is_plausible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

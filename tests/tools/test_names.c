/* SPDX-License-Identifier: Apache-2.0 */
/* Device and feature names, both ways. */
#include "tests/lib/test.h"

#include "tools/names.h"

static void test_device(void **state)
{
	assert_string_equal(names_device(1), "net");
	assert_string_equal(names_device(2), "block");
	assert_string_equal(names_device(4), "rng");
	assert_string_equal(names_device(41), "gpio");
	assert_string_equal(names_device(49), "usb");
	assert_null(names_device(0));
	assert_null(names_device(14));
	assert_null(names_device(63));
	assert_null(names_device(UINT32_MAX));
}

static void test_every_name_parses(void **state)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < 64; i++) {
		uint32_t id = 0;

		if (!names_device(i))
			continue;
		assert_true(names_device_id(names_device(i), &id));
		assert_int_equal(id, i);
		n++;
	}
	assert_true(n > 30);
}

static void test_no_names(void **state)
{
	static const char *const bad[] = { "", "2", "blk2", "Block", "block " };
	uint32_t id = 77;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_false(names_device_id(bad[i], &id));
	assert_int_equal(id, 77);
}

static void test_feature(void **state)
{
	assert_string_equal(names_feature(2, 1), "SIZE_MAX");
	assert_string_equal(names_feature(2, 0), "BARRIER");
	assert_string_equal(names_feature(2, 9), "FLUSH");
	assert_string_equal(names_feature(2, 17), "ZONED");
	assert_string_equal(names_feature(1, 15), "MRG_RXBUF");
	assert_string_equal(names_feature(1, 63), "SPEED_DUPLEX");
	assert_null(names_feature(2, 3));
	assert_null(names_feature(2, 63));
	assert_null(names_feature(4, 0));
	assert_null(names_feature(0, 0));
	assert_null(names_feature(UINT32_MAX, 0));
}

static void test_common_features(void **state)
{
	static const uint32_t devices[] = { 0, 1, 2, 4, 63, 1000 };

	for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
		assert_string_equal(names_feature(devices[i], 26), "LOG_ALL");
		assert_string_equal(names_feature(devices[i], 28), "INDIRECT_DESC");
		assert_string_equal(names_feature(devices[i], 29), "EVENT_IDX");
		assert_string_equal(names_feature(devices[i], 30), "PROTOCOL_FEATURES");
		assert_string_equal(names_feature(devices[i], 32), "VERSION_1");
		assert_string_equal(names_feature(devices[i], 40), "RING_RESET");
		assert_null(names_feature(devices[i], 25));
		assert_null(names_feature(devices[i], 45));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_every_name_parses),
		cmocka_unit_test(test_no_names),
		cmocka_unit_test(test_feature),
		cmocka_unit_test(test_common_features),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}

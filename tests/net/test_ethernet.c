/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and fields of frames. */
#include "tests/lib/test.h"

#include "net/ethernet.h"

static void test_mac(void **state)
{
	static const char *const wrong[] = { "", "52:54:00:12:34", "52:54:00:12:34:5",
		"52:54:00:12:34:567", "52:54:00:12:34:5g", "52:54-00:12:34:56", "52.54.00.12.34.56",
		"525400123456", " 2:54:00:12:34:56" };
	uint8_t mac[NET_MAC_SIZE] = { 0 };
	char text[NET_MAC_TEXT];

	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_false(net_mac_parse(wrong[i], mac));
	assert_true(net_mac_is_zero(mac));
	assert_true(net_mac_parse("52:54:00:aB:34:ff", mac));
	net_mac_print(mac, text);
	assert_string_equal(text, "52:54:00:ab:34:ff");
	assert_false(net_mac_is_zero(mac) || net_mac_is_group(mac) || net_mac_is_broadcast(mac));
	assert_true(net_mac_parse("ff-ff-ff-ff-ff-ff", mac));
	assert_true(net_mac_is_group(mac) && net_mac_is_broadcast(mac));
	assert_true(net_mac_parse("01:00:5e:00:00:01", mac));
	assert_true(net_mac_is_group(mac) && !net_mac_is_broadcast(mac));
}

static void test_vlan(void **state)
{
	uint8_t frame[NET_MIN_FRAME + NET_VLAN_TAG] = { [12] = 0x81, 0x00, 0xe1, 0x23 };

	assert_int_equal(net_frame_vlan(frame, sizeof(frame)), 0x123);
	assert_int_equal(net_frame_vlan(frame, NET_MIN_FRAME + 1), -1);
	frame[13] = 1;
	assert_int_equal(net_frame_vlan(frame, sizeof(frame)), -1);
}

static void test_announcement(void **state)
{
	static const uint8_t mac[] = { 0x52, 0x54, 0, 1, 2, 3 };
	static const uint8_t expected[NET_ANNOUNCEMENT] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x52, 0x54, 0, 1, 2, 3, 0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3, 0x52, 0x54, 0, 1, 2, 3,
		0, 0, 0, 0, 0x52, 0x54, 0, 1, 2, 3 };
	uint8_t frame[NET_ANNOUNCEMENT];

	assert_int_equal(net_announcement(mac, frame), NET_ANNOUNCEMENT);
	assert_memory_equal(frame, expected, sizeof(frame));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mac),
		cmocka_unit_test(test_vlan),
		cmocka_unit_test(test_announcement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The PL031 of arm64 guests: the host's time, and the identification that Linux's driver needs. */
#include "tests/lib/test.h"

#include <time.h>

#include "kvm-stub/machine/rtc.h"

static uint64_t reads(uint64_t offset)
{
	uint64_t value = UINT64_MAX;

	assert_true(rtc_access(NULL, offset, 4, false, &value, NULL));
	return value;
}

static void test_loader_guest_has_the_date(void **state)
{
	time_t before = time(NULL);
	uint64_t data = reads(0);

	assert_in_range(data, before, time(NULL));
}

static void test_identification(void **state)
{
	static const uint8_t part[] = { 0x31, 0x10, 0x04, 0x00 };
	static const uint8_t cell[] = { 0x0d, 0xf0, 0x05, 0xb1 };

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(reads(0xfe0 + 4 * i), part[i]);
		assert_int_equal(reads(0xff0 + 4 * i), cell[i]);
	}
	assert_int_equal(reads(0x0c), 1); /* counts */
	assert_int_equal(reads(0x18), 0); /* no interrupt */
	assert_int_equal(reads(0xfdc), 0);
}

static void test_writes(void **state)
{
	uint64_t value = 12345;

	assert_true(rtc_access(NULL, 0x08, 4, true, &value, NULL));
	assert_int_not_equal(reads(0), 12345);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loader_guest_has_the_date),
		cmocka_unit_test(test_identification),
		cmocka_unit_test(test_writes),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}

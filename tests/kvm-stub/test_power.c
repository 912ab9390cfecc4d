/* SPDX-License-Identifier: Apache-2.0 */
/* The registers that end a machine: the right value at the right place does, nothing else. */
#include "tests/lib/test.h"

#include "kvm-stub/layout.h"
#include "kvm-stub/machine/power.h"

#define NOT_YET 99

static int ended;

void vm_stop(struct vm *vm, enum vm_end reason)
{
	ended = reason;
}

struct power_test {
	struct test test;
	struct bus *bus;
	struct bus_wait *wait;
	struct power power;
};

static int setup(void **state)
{
	struct power_test *w = g_new0(struct power_test, 1);

	ended = NOT_YET;
	test_begin(&w->test);
	w->bus = bus_new();
	w->wait = bus_wait_new();
	*state = w;
	power_init(&w->power, w->bus, NULL);
	return 0;
}

static int teardown(void **state)
{
	struct power_test *w = *state;

	bus_wait_free(w->wait);
	bus_free(w->bus);
	test_end(&w->test);
	g_free(w);
	return 0;
}

#if defined(__x86_64__)
#define SPACE BUS_PORT
#define PANIC_AT PANIC_PORT
#define RESULT_AT RESULT_PORT
#else
#define SPACE BUS_MMIO
#define PANIC_AT PANIC_ADDR
#define RESULT_AT RESULT_ADDR
#endif

static int after_write(struct power_test *w, uint64_t addr, uint64_t value)
{
	ended = NOT_YET;
	assert_true(bus_access(w->bus, w->wait, SPACE, addr, 1, true, &value));
	return ended;
}

static uint64_t reads(struct power_test *w, uint64_t addr)
{
	uint64_t value = 0x55;

	ended = NOT_YET;
	assert_true(bus_access(w->bus, w->wait, SPACE, addr, 1, false, &value));
	assert_int_equal(ended, NOT_YET);
	return value;
}

#if defined(__x86_64__)
static void test_acpi(void **state)
{
	struct power_test *w = *state;

	assert_int_equal(after_write(w, 0x600, 0x34), VM_END_POWER_OFF);
	assert_int_equal(after_write(w, 0x600, 0x14), NOT_YET);
	assert_int_equal(after_write(w, 0x600, 0x30), NOT_YET);
	assert_int_equal(after_write(w, 0x601, 0x34), NOT_YET);
	assert_int_equal(after_write(w, 0x602, 1), VM_END_RESET);
	assert_int_equal(after_write(w, 0x602, 0), NOT_YET);
	assert_int_equal(reads(w, 0x600), 0);
	assert_int_equal(reads(w, 0x601), 0);
	assert_int_equal(reads(w, 0x602), 0);
}

/* Linux's reboot=k, which waits until bit 1 is clear, and reboot=p. */
static void test_loader_resets_of_a_pc(void **state)
{
	struct power_test *w = *state;

	assert_int_equal(reads(w, 0x64), 0);
	assert_int_equal(after_write(w, 0x64, 0xae), NOT_YET);
	assert_int_equal(after_write(w, 0x64, 0xfe), VM_END_RESET);
	assert_int_equal(reads(w, 0xcf9), 0);
	assert_int_equal(after_write(w, 0xcf9, 0x02), NOT_YET);
	assert_int_equal(after_write(w, 0xcf9, 0x06), VM_END_RESET);
}
#endif

static void test_panic(void **state)
{
	struct power_test *w = *state;

	assert_int_equal(reads(w, PANIC_AT), 1);
	assert_int_equal(after_write(w, PANIC_AT, 2), NOT_YET);
	assert_int_equal(after_write(w, PANIC_AT, 1), VM_END_CRASH);
}

static void test_result(void **state)
{
	struct power_test *w = *state;

	assert_int_equal(reads(w, RESULT_AT), 0);
	assert_int_equal(after_write(w, RESULT_AT, 0), NOT_YET);
	assert_false(w->power.failed);
	assert_int_equal(after_write(w, RESULT_AT, RESULT_FAILED), NOT_YET);
	assert_true(w->power.failed);
	assert_int_equal(after_write(w, RESULT_AT, 0), NOT_YET);
	assert_true(w->power.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if defined(__x86_64__)
		TEST(test_acpi),
		TEST(test_loader_resets_of_a_pc),
#endif
		TEST(test_panic),
		TEST(test_result),
	};

	return cmocka_run_group_tests_name("power", tests, NULL, NULL);
}

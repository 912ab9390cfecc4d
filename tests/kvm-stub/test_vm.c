/* SPDX-License-Identifier: Apache-2.0 */
/* The VM's life under the real KVM: start, accesses to ports and devices, every way to end. */
#include "vm_test.h"

#include "base/util.h"

GUEST(off, OFF);
GUEST(reset, "mov $0x602, %dx; mov $1, %al; out %al, %dx; 1: hlt; jmp 1b");
GUEST(fault, "ud2");
GUEST(busy, "mov $0x3f8, %dx; mov $'b', %al; out %al, %dx; 1: jmp 1b");
GUEST(halt, "mov $0x3f8, %dx; mov $'h', %al; out %al, %dx; 1: cli; hlt; jmp 1b");
/* A string instruction, and a read. */
GUEST(string,
	"push $0x0a676e69; push $0x72747320; mov %esp, %esi; mov $8, %ecx; mov $0x3f8, %dx\n"
	"cld; rep outsb; mov $0x3fd, %dx; in %dx, %al; mov $0x3f8, %dx; out %al, %dx\n" OFF);
/* ebx is the argument of PVH; what the toy reads is written back plus one, in three sizes. */
GUEST(mmio,
	"mov $0xd0000000, %edi; mov %ebx, 8(%edi)\n"
	"mov (%edi), %eax; inc %eax; mov %eax, 4(%edi)\n"
	"movw 2(%edi), %ax; movw %ax, 6(%edi)\n"
	"movb 1(%edi), %al; movb %al, 5(%edi)\n" OFF);

static void test_power_off(void **state)
{
	struct vm_test *w = *state;

	assert_false(vm_test_ended(w));
	START(w, off);
	test_wait_fd(vm_end_fd(w->vm), POLLIN);
	assert_int_equal(vm_test_finish(w), VM_END_POWER_OFF);
}

static void test_ports(void **state)
{
	struct vm_test *w = *state;

	START(w, string);
	assert_int_equal(vm_test_finish(w), VM_END_POWER_OFF);
	assert_string_equal(w->out, " string\n!");
	assert_int_equal(w->toy_accesses, 0);
}

static void test_mmio(void **state)
{
	static const uint8_t after[] = { 0xff, 0x42, 0x43, 0x44, 0x00, 0x42, 0x43, 0x44 };
	struct vm_test *w = *state;

	memcpy(w->toy, after, 4);
	START(w, mmio);
	assert_int_equal(vm_test_finish(w), VM_END_POWER_OFF);
	assert_memory_equal(w->toy, after, sizeof(after));
	assert_int_equal(shm_load32(w->toy + 8), 0x5a5a5a5a);
	assert_int_equal(w->toy_accesses, 7);
}

/* What was out when the machine ended is answered after it; the next boot does not notice. */
static void test_later(void **state)
{
	struct vm_test *w = *state;

	w->later = true;
	START(w, mmio);
	for (unsigned i = 0; i < 2; i++) {
		WAIT_UNTIL_LOCKED(&w->lock, w->token);
		if (i == 0)
			bus_access_complete(g_steal_pointer(&w->token), 0);
	}
	vm_stop(w->vm, VM_END_STOPPED);
	assert_int_equal(vm_test_finish(w), VM_END_STOPPED);
	assert_int_equal(w->toy_accesses, 2);
	w->later = false;
	START(w, mmio);
	bus_access_complete(w->token, 77);
	assert_int_equal(vm_test_finish(w), VM_END_POWER_OFF);
	assert_int_equal(shm_load32(w->toy + 4), 1);
}

static void test_stop(void **state)
{
	struct vm_test *w = *state;

	START(w, busy);
	vm_test_wait_output(w, 1);
	vm_stop(w->vm, VM_END_STOPPED);
	vm_stop(w->vm, VM_END_CRASH);
	assert_int_equal(vm_test_finish(w), VM_END_STOPPED);
	START(w, halt);
	vm_test_wait_output(w, 2);
	vm_stop(w->vm, VM_END_RESET);
	assert_int_equal(vm_test_finish(w), VM_END_RESET);
	/* At once, wherever the thread is. */
	for (unsigned i = 0; i < 20; i++) {
		START(w, busy);
		vm_stop(w->vm, VM_END_STOPPED);
		assert_int_equal(vm_test_finish(w), VM_END_STOPPED);
	}
	assert_memory_equal(w->out, "bh", 2);
}

static void test_crash(void **state)
{
	struct vm_test *w = *state;

	START(w, fault);
	assert_int_equal(vm_test_finish(w), VM_END_CRASH);
	assert_true(test_logged("vCPU 0: the guest has crashed"));
}

/* The main loop's signals are not delivered to a vCPU; what it does wrong itself is. */
static void test_signals(void **state)
{
	struct vm_test *w = *state;

	START(w, string);
	assert_int_equal(vm_test_finish(w), VM_END_POWER_OFF);
	assert_int_equal(sigismember(&w->mask, SIGTERM), 1);
	assert_int_equal(sigismember(&w->mask, SIGCHLD), 1);
	assert_int_equal(sigismember(&w->mask, SIGSEGV), 0);
	assert_int_equal(sigismember(&w->mask, SIGBUS), 0);
}

static void test_reset(void **state)
{
	struct vm_test *w = *state;

	START(w, reset);
	assert_int_equal(vm_test_finish(w), VM_END_RESET);
	assert_true(ram_clear(w->ram, NULL));
	START(w, string);
	assert_int_equal(vm_test_finish(w), VM_END_POWER_OFF);
	assert_string_equal(w->out, " string\n!");
}

static void test_too_many(void **state)
{
	struct vm_test *w = *state;
	const struct vm_config config = { .cpus = 100000, .ram = w->ram, .bus = w->bus };
	GError *error = NULL;

	assert_null(vm_new(&config, &error));
	assert_true(g_error_matches(error, VM_ERROR, VM_ERROR_FAILED));
	assert_error_has(&error, "100000");
}

static void test_loader_ram_limit(void **state)
{
	struct vm_test *w = *state;
	const struct ram huge = { .size = UINT64_C(1) << 62, .n_regions = 0 };
	const struct vm_config config = { .cpus = 1, .ram = &huge, .bus = w->bus };
	GError *error = NULL;

	assert_null(vm_new(&config, &error));
	assert_true(g_error_matches(error, VM_ERROR, VM_ERROR_FAILED));
	assert_error_has(&error, "4398046511104 MiB is too large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(one, test_power_off),
		TEST_WITH(one, test_ports),
		TEST_WITH(one, test_mmio),
		TEST_WITH(one, test_later),
		TEST_WITH(one, test_stop),
		TEST_WITH(one, test_crash),
		TEST_WITH(one, test_signals),
		TEST_WITH(one, test_reset),
		TEST_WITH(one, test_too_many),
		TEST_WITH(one, test_loader_ram_limit),
	};

	return VM_TEST_MAIN("vm", tests);
}

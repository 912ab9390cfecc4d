/* SPDX-License-Identifier: Apache-2.0 */
/* Under the real KVM: interrupts, what the kernel does by eventfds, and a second vCPU. */
#include "vm_test.h"

#include <sys/eventfd.h>

#include "base/util.h"

/* To 0x50: first what the eventfd is for, then something else. */
GUEST(notify,
	"mov $0xd0000000, %edi; movl $3, 0x50(%edi); movl $4, 0x50(%edi); movl $3, "
	"0x50(%edi)\n" OFF);
/*
 * The toy's interrupt, as vector 0x40, gives 'i' at the serial port; 'r' says that it is ready.
 * After the second the power goes off.
 */
GUEST(irq,
	"call 1f; 1: pop %eax; add $(handler - 1b), %eax\n" /* the gate */
	"movw %ax, 0x2200; shr $16, %eax; movw %ax, 0x2206\n"
	"movw $0x10, 0x2202; movw $0x8e00, 0x2204\n"
	"movw $0x7ff, 0x2300; movl $0x2000, 0x2302; lidtl 0x2300\n"
	"movl $0x1ff, 0xfee000f0\n" /* the local APIC on */
	"movl $(0x10 + 2 * 5), 0xfec00000; movl $0x40, 0xfec00010\n"
	"movl $(0x11 + 2 * 5), 0xfec00000; movl $0, 0xfec00010\n"
	"xor %ebp, %ebp; mov $0x3f8, %dx; mov $'r', %al; out %al, %dx\n"
	"2: cmp $2, %ebp; jae 3f; sti; 4: hlt; jmp 4b\n"
	"3: " OFF "handler: add $12, %esp; inc %ebp\n" /* no iret: not every KVM can emulate it */
	"mov $0x3f8, %dx; mov $'i', %al; movl $0, 0xfee000b0; out %al, %dx; jmp 2b");
/* INIT and SIPI for the vCPU 1, whose 16-bit code, put at 0x8000, says '1' and goes off. */
GUEST(smp,
	"movl $0x1ff, 0xfee000f0; movl $0x01000000, 0xfee00310; movl $0x4500, 0xfee00300\n"
	"mov $0x3f8, %dx; mov $'0', %al; out %al, %dx; mov $1000, %ecx; 1: loop 1b\n"
	"movl $0x01000000, 0xfee00310; movl $0x4608, 0xfee00300; 1: hlt; jmp 1b");
GUEST(second, ".code16\nmov $0x3f8, %dx; mov $'1', %al; out %al, %dx\n" OFF);
/* Who am I: APIC id, number of logical CPUs; x2APIC id and shift of the core level. */
GUEST(cpuid,
	"mov $1, %eax; cpuid; mov $0xd0000000, %edi; mov %ebx, (%edi)\n"
	"mov $0xb, %eax; mov $1, %ecx; cpuid; mov %eax, 4(%edi); mov %ebx, 8(%edi)\n" OFF);

/* Returns how often the eventfd was signalled since the last call. */
static uint64_t count(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* A kick of the registered value never comes to the bus; and it stays so after a reboot. */
static void test_ioeventfd(void **state)
{
	struct vm_test *w = *state;
	autofd fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (!vm_ioeventfd(w->vm, TOY_ADDR + 0x50, 3, fd, true))
		skip();
	assert_false(vm_ioeventfd(w->vm, TOY_ADDR + 0x50, 3, fd, true));
	for (unsigned i = 1; i <= 2; i++) {
		START(w, notify);
		assert_int_equal(vm_test_finish(w), VM_END_POWER_OFF);
		assert_int_equal(count(fd), 2);
		assert_int_equal(w->toy_accesses, i);
		assert_int_equal(w->toy[0x50], 4);
	}
	assert_true(vm_ioeventfd(w->vm, TOY_ADDR + 0x50, 3, fd, false));
	START(w, notify);
	assert_int_equal(vm_test_finish(w), VM_END_POWER_OFF);
	assert_int_equal(count(fd), 0);
	assert_int_equal(w->toy_accesses, 5);
}

static void test_pulse(void **state)
{
	struct vm_test *w = *state;

	START(w, irq);
	vm_test_wait_output(w, 1);
	vm_pulse_irq(w->vm, TOY_IRQ);
	vm_test_wait_output(w, 2);
	vm_set_irq(w->vm, TOY_IRQ, true);
	vm_set_irq(w->vm, TOY_IRQ, false);
	assert_int_equal(vm_test_finish(w), VM_END_POWER_OFF);
	assert_string_equal(w->out, "rii");
}

static void test_irqfd(void **state)
{
	static const uint64_t one = 1;
	struct vm_test *w = *state;
	autofd fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (!vm_irqfd(w->vm, TOY_IRQ, fd, true))
		skip();
	for (unsigned i = 0; i < 2; i++) {
		w->n_out = 0;
		START(w, irq);
		for (unsigned n = 1; n <= 2; n++) {
			vm_test_wait_output(w, n);
			assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
		}
		assert_int_equal(vm_test_finish(w), VM_END_POWER_OFF);
		assert_string_equal(w->out, "rii");
	}
	assert_true(vm_irqfd(w->vm, TOY_IRQ, fd, false));
}

static void test_second_vcpu(void **state)
{
	struct vm_test *w = *state;

	for (unsigned i = 0; i < 2; i++) {
		w->n_out = 0;
		vm_test_load(w, SMP_CODE_ADDR, guest_second, guest_second_end);
		START(w, smp);
		assert_int_equal(vm_test_finish(w), VM_END_POWER_OFF);
		assert_string_equal(w->out, "01");
	}
}

static void test_topology(void **state)
{
	struct vm_test *w = *state;

	START(w, cpuid);
	assert_int_equal(vm_test_finish(w), VM_END_POWER_OFF);
	assert_int_equal(w->toy[3], 0);
	assert_int_equal(w->toy[2], 2);
	assert_int_equal(shm_load32(w->toy + 4), 1);
	assert_int_equal(shm_load32(w->toy + 8), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(one, test_ioeventfd),
		TEST_WITH(one, test_pulse),
		TEST_WITH(one, test_irqfd),
		TEST_WITH(two, test_second_vcpu),
		TEST_WITH(two, test_topology),
	};

	return VM_TEST_MAIN("vm_irq", tests);
}

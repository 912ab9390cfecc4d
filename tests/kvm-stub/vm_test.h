/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixture of the tests of vm/vm.h under the real KVM: guests are a few instructions of 16- and
 * 32-bit x86 code. test_vm_main() skips where there is no /dev/kvm.
 */
#pragma once

#include <signal.h>

#include "kvm-stub/layout.h"
#include "kvm-stub/ram.h"
#include "kvm-stub/vm/vm.h"
#include "memory/shm.h"
#include "tests/lib/test.h"

#define CODE_ADDR 0x10000u
#define SMP_CODE_ADDR 0x8000u
#define TOY_ADDR VIRTIO_BASE
#define TOY_IRQ VIRTIO_FIRST_IRQ

/* Guest code, position-independent, from guest_NAME to guest_NAME_end. */
#define GUEST(name, code)                                                             \
	asm(".pushsection .rodata\nguest_" #name ":\n.code32\n" code "\nguest_" #name \
	    "_end:\n.code64\n.popsection\n");                                         \
	extern const char guest_##name[], guest_##name##_end[]
#define STR2(x) #x
#define STR(x) STR2(x)
#define OFF "mov $0x600, %dx; mov $0x34, %al; out %al, %dx; 1: hlt; jmp 1b\n"

struct vm_test {
	struct test test;
	struct ram *ram;
	struct bus *bus;
	struct vm *vm;
	char out[64]; /* what the guest wrote to the serial port */
	sigset_t mask; /* of the vCPU thread that wrote it */
	unsigned n_out;
	uint8_t toy[0x100]; /* a device that is plain memory */
	unsigned toy_accesses; /* read once the machine has ended */
	bool later; /* the toy keeps the token instead of answering */
	void *token;
	pthread_mutex_t lock; /* out, n_out, token */
};

/* One vCPU; two. */
int one_setup(void **state);
int two_setup(void **state);
int one_teardown(void **state);
int two_teardown(void **state);

/* Copies guest code to this address. */
void vm_test_load(struct vm_test *w, uint64_t addr, const char *code, const char *end);
/* Starts vCPU 0 at CODE_ADDR in flat 32-bit mode. */
void vm_test_start(struct vm_test *w, uint64_t arg);
#define START(w, name)                                                        \
	do {                                                                  \
		vm_test_load(w, CODE_ADDR, guest_##name, guest_##name##_end); \
		vm_test_start(w, 0x5a5a5a5a);                                 \
	} while (0)

/* Returns whether the machine has ended. */
bool vm_test_ended(struct vm_test *w);
/* Waits for the end and returns its reason; stops a machine that does not end. */
enum vm_end vm_test_finish(struct vm_test *w);
/* Waits until the guest has written n bytes. */
void vm_test_wait_output(struct vm_test *w, unsigned n);
/* Runs the tests, or returns 77 for want of KVM. */
int vm_test_main(const char *name, const struct CMUnitTest *tests, size_t n);
#define VM_TEST_MAIN(name, tests) vm_test_main(name, tests, G_N_ELEMENTS(tests))

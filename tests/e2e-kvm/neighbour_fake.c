/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the guest of neighbour.c on the fake KVM. */
#include "neighbour.h"

#include "kvm-stub/layout.h"
#include "tests/fault/fake_kvm.h"

uint32_t neighbour_mmio(uint64_t addr, bool write, uint32_t value)
{
	return guest_mmio(addr, write, value);
}

void *neighbour_memory(uint64_t addr)
{
	return guest_memory(addr);
}

void neighbour_wait(unsigned irq)
{
	guest_wait(irq);
}

void neighbour_print(char c)
{
	guest_out(SERIAL_PORT, (uint8_t)c);
}

void fake_guest(void)
{
	neighbour_main();
}

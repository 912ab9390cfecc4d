/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the guest of neighbour.c as bare metal, in place of the selftest guest's main.c. */
#include "neighbour.h"

#include "kvm-stub/guest/arch.h"

uint32_t neighbour_mmio(uint64_t addr, bool write, uint32_t value)
{
	if (!write)
		return mmio_read(addr);
	mmio_write(addr, value);
	return 0;
}

void *neighbour_memory(uint64_t addr)
{
	return (void *)(uintptr_t)addr;
}

void neighbour_wait(unsigned irq)
{
	arch_ticks(); /* pauses */
}

void neighbour_print(char c)
{
	arch_putc(c);
}

void selftest_main(void)
{
	neighbour_main();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* arm64: the clock, the same on every machine. */
#include "arch.h"

uint64_t arch_ticks(void)
{
	uint64_t ticks;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
	return ticks;
}

uint64_t arch_patience(void)
{
	uint64_t hertz;

	__asm__("mrs %0, cntfrq_el0" : "=r"(hertz));
	return 10 * hertz;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the selftest guest needs of the machine; arch_x86.c or arch_arm64.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kvm-stub/layout.h"

/* main.c's; arch_start() of the head files calls it. Does not return. */
void selftest_main(void);

void arch_init(void);
void arch_putc(char c);
/* failed: tell the machine so first. */
void __attribute__((noreturn)) arch_power_off(bool failed);

/* Forgets interrupts of this input (SPI) and lets it interrupt; it is edge-triggered. */
void arch_irq_expect(unsigned irq);
/* Has it interrupted since? Then once more only for a new interrupt. */
bool arch_irq_take(unsigned irq);

/* A clock, and what it counts in a generous while: no request takes that long. */
uint64_t arch_ticks(void);
uint64_t arch_patience(void);

/* Reads by one access of exactly this width, which traps. */
static inline uint32_t mmio_read(uint64_t addr)
{
	return *(const volatile uint32_t *)(uintptr_t)addr;
}

static inline void mmio_write(uint64_t addr, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)addr = value;
}

/*
 * Orders stores: what was written before it is seen before anything that follows: rings, then
 * their index.
 */
static inline void barrier(void)
{
	__sync_synchronize();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* arm64: serial port and GIC in memory, PSCI by HVC. */
#include "arch.h"

/* The distributor's registers for shared interrupts are the same in GICv2 and v3. */
#define GICD_ISPENDR (GIC_DIST_BASE + 0x200)
#define GICD_ICPENDR (GIC_DIST_BASE + 0x280)
#define GICD_ICFGR (GIC_DIST_BASE + 0xc00)
#define FIRST_SPI 32u

#define LINE_STATUS 5
#define LINE_ROOM 0x20

#define PSCI_SYSTEM_OFF 0x84000008u

void arch_init(void)
{
}

void arch_putc(char c)
{
	volatile uint8_t *port = (uint8_t *)SERIAL_BASE;

	while (!(port[LINE_STATUS] & LINE_ROOM))
		;
	port[0] = (uint8_t)c;
}

void arch_power_off(bool failed)
{
	register uint64_t function __asm__("x0") = PSCI_SYSTEM_OFF;

	if (failed)
		mmio_write(RESULT_ADDR, RESULT_FAILED);
	__asm__ volatile("hvc #0" : "+r"(function) : : "x1", "x2", "x3", "memory");
	for (;;)
		__asm__ volatile("wfi");
}

/*
 * Expects one without taking it: the interrupt stays disabled, and whether it is pending tells
 * enough.
 */
void arch_irq_expect(unsigned irq)
{
	unsigned n = FIRST_SPI + irq;
	uint32_t config = mmio_read(GICD_ICFGR + n / 16 * 4);

	mmio_write(GICD_ICFGR + n / 16 * 4, config | 2u << n % 16 * 2);
	mmio_write(GICD_ICPENDR + n / 32 * 4, 1u << n % 32);
}

bool arch_irq_take(unsigned irq)
{
	unsigned n = FIRST_SPI + irq;

	if (!(mmio_read(GICD_ISPENDR + n / 32 * 4) & 1u << n % 32))
		return false;
	mmio_write(GICD_ICPENDR + n / 32 * 4, 1u << n % 32);
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* x86: ports, local APIC and IOAPIC; flat 32-bit code without paging. */
#include "arch.h"

#define LAPIC 0xfee00000u
#define LAPIC_SVR (LAPIC + 0xf0)
#define IOAPIC_SELECT 0xfec00000u
#define IOAPIC_WINDOW 0xfec00010u
#define IOAPIC_REDIRECTION 0x10u
#define IOAPIC_MASKED (1u << 16)

#define CODE_SELECTOR 0x10u
#define VECTOR 0x40u
#define SPURIOUS_VECTOR 0xffu
#define GATE_INTERRUPT 0x8e00u

#define LINE_STATUS 5
#define LINE_ROOM 0x20

struct gate {
	uint16_t low, selector, type, high;
};

static struct gate idt[256];
volatile uint32_t irq_count; /* irq_entry counts */
static uint32_t irq_seen;
void irq_entry(void);

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void ioapic_write(unsigned reg, uint32_t value)
{
	mmio_write(IOAPIC_SELECT, reg);
	mmio_write(IOAPIC_WINDOW, value);
}

void arch_init(void)
{
	const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uintptr_t)idt };
	uint32_t entry = (uintptr_t)irq_entry;
	const struct gate gate = { entry & 0xffff, CODE_SELECTOR, GATE_INTERRUPT, entry >> 16 };

	idt[VECTOR] = gate;
	idt[SPURIOUS_VECTOR] = gate;
	__asm__ volatile("lidt %0" : : "m"(idtr));
	mmio_write(LAPIC_SVR, 0x100 | SPURIOUS_VECTOR);
}

void arch_putc(char c)
{
	while (!(in8(SERIAL_PORT + LINE_STATUS) & LINE_ROOM))
		;
	out8(SERIAL_PORT, (uint8_t)c);
}

void arch_power_off(bool failed)
{
	if (failed)
		out8(RESULT_PORT, RESULT_FAILED);
	out8(SLEEP_CONTROL_PORT, SLEEP_ENABLE | SLEEP_TYPE_S5 << 2);
	for (;;)
		__asm__ volatile("hlt");
}

/* Opens a window for what is pending: sti takes effect after the next instruction. */
static void irq_window(void)
{
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

/* Masks others: all inputs have the one vector, so all but the expected one are masked. */
void arch_irq_expect(unsigned irq)
{
	for (unsigned i = 0; i < MAX_SLOTS; i++)
		ioapic_write(IOAPIC_REDIRECTION + 2 * virtio_irq(i), IOAPIC_MASKED);
	irq_window();
	irq_seen = irq_count;
	ioapic_write(IOAPIC_REDIRECTION + 2 * irq + 1, 0); /* to APIC 0 */
	ioapic_write(IOAPIC_REDIRECTION + 2 * irq, VECTOR); /* fixed, edge, active high */
}

bool arch_irq_take(unsigned irq)
{
	bool taken;

	irq_window();
	taken = irq_count != irq_seen;
	irq_seen = irq_count;
	return taken;
}

uint64_t arch_ticks(void)
{
	__asm__ volatile("pause");
	return __builtin_ia32_rdtsc();
}

/* Returns ticks. The TSC's frequency is unknown here: 7 to 30 seconds. */
uint64_t arch_patience(void)
{
	return UINT64_C(30) << 30;
}

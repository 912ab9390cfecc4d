/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers that end the machine: x86's sleep and reset registers (KVM implements PSCI, their
 * equivalent on arm64), older ways to reset a PC, the panic register of QEMU's pvpanic
 * specification, and the built-in guest's result.
 */
#include "kvm-stub/machine/power.h"

#include "base/log.h"
#include "kvm-stub/layout.h"

#define PANICKED 1u

#if defined(__x86_64__)

#define SPACE BUS_PORT
#define PANIC_AT PANIC_PORT
#define RESULT_AT RESULT_PORT
#define PANIC_SIZE 1
#define RESULT_SIZE 1
#define I8042_RESET 0xfeu
#define CHIPSET_RESET_CPU 0x04u

/*
 * Serves SLEEP_CONTROL_REG, SLEEP_STATUS_REG and RESET_REG, one byte each (ACPI 6.5, 4.8.3.7,
 * 4.8.3.6).
 */
static bool acpi_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	const struct power *p = opaque;
	uint64_t port = SLEEP_CONTROL_PORT + offset;

	if (!write)
		*value = 0;
	else if (port == SLEEP_CONTROL_PORT && *value == (SLEEP_ENABLE | SLEEP_TYPE_S5 << 2))
		vm_stop(p->vm, VM_END_POWER_OFF);
	else if (port == RESET_PORT && *value == RESET_VALUE)
		vm_stop(p->vm, VM_END_RESET);
	return true;
}

/*
 * Serves the 8042: its buffers are always empty, and its only command is the reset. With
 * reboot=k Linux waits for it, for more than a minute where it reads all ones.
 */
static bool i8042_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	const struct power *p = opaque;

	if (!write)
		*value = 0;
	else if (*value == I8042_RESET)
		vm_stop(p->vm, VM_END_RESET);
	return true;
}

/* Serves the reset control register of PC chipsets: reboot=p. */
static bool chipset_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	const struct power *p = opaque;

	if (!write)
		*value = 0;
	else if (*value & CHIPSET_RESET_CPU)
		vm_stop(p->vm, VM_END_RESET);
	return true;
}

static void add_arch(struct power *p, struct bus *b)
{
	bus_add(b, BUS_PORT, SLEEP_CONTROL_PORT, RESET_PORT - SLEEP_CONTROL_PORT + 1, acpi_access,
		p);
	bus_add(b, BUS_PORT, I8042_PORT, 1, i8042_access, p);
	bus_add(b, BUS_PORT, CHIPSET_RESET_PORT, 1, chipset_access, p);
}

#else

#define SPACE BUS_MMIO
#define PANIC_AT PANIC_ADDR
#define RESULT_AT RESULT_ADDR

static void add_arch(struct power *p, struct bus *b)
{
}

#endif

/* Reads return the events that the device supports. */
static bool panic_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	const struct power *p = opaque;

	if (!write) {
		*value = PANICKED;
	} else if (*value & PANICKED) {
		log_error(NULL, "the guest's kernel has panicked");
		vm_stop(p->vm, VM_END_CRASH);
	}
	return true;
}

static bool result_access(
	void *opaque, uint64_t offset, unsigned size, bool write, uint64_t *value, void *token)
{
	struct power *p = opaque;

	if (!write)
		*value = 0;
	else if (*value == RESULT_FAILED)
		p->failed = true;
	return true;
}

void power_init(struct power *p, struct bus *b, struct vm *vm)
{
	p->vm = vm;
	add_arch(p, b);
	bus_add(b, SPACE, PANIC_AT, PANIC_SIZE, panic_access, p);
	bus_add(b, SPACE, RESULT_AT, RESULT_SIZE, result_access, p);
}

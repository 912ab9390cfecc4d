/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A KVM virtual machine: memory, interrupt controller, vCPUs and their threads, eventfds. Only
 * vm*.c know <linux/kvm.h>.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/syscall_rule.h"
#include "kvm-stub/bus.h"
#include "kvm-stub/entry.h"
#include "kvm-stub/ram.h"

#define VM_ERROR vm_error_quark()
GQuark vm_error_quark(void);
enum vm_error {
	VM_ERROR_NO_KVM, /* no /dev/kvm, or no access to it: the message says what to do */
	VM_ERROR_FAILED,
};

/* Why the machine stopped. */
enum vm_end {
	VM_END_POWER_OFF,
	VM_END_RESET,
	VM_END_CRASH, /* triple fault, panic, an exit that KVM cannot explain */
	VM_END_STOPPED, /* vm_stop() */
};

struct vm_config {
	unsigned cpus; /* up to MAX_CPUS */
	const struct ram *ram; /* outlives the VM */
	struct bus *bus; /* likewise */
};

struct vm;

/* Opens KVM: nothing of the host is opened later. */
struct vm *vm_new(const struct vm_config *config, GError **error);
/* Makes KVM's VM, interrupt controller and vCPUs, before what follows is called. */
bool vm_create(struct vm *vm, GError **error);
/* What the functions of this file take of a sandbox (priv/syscall_filter.h). */
extern const struct syscall_rule vm_calls[], vm_arch_calls[];
/*
 * The vCPU threads have ended (vm_wait()), and the devices that may still complete an access of
 * theirs are gone. NULL is nothing.
 */
void vm_free(struct vm *vm);

/* arm64: 2 or 3, for the device tree; x86: 0. */
unsigned vm_gic_version(const struct vm *vm);

/*
 * Shows memory of this process to the guest at addr, in reboots, too. host stays the caller's, and
 * mapped as long as a vCPU runs; what it maps may change. Any thread.
 */
bool vm_add_memory(struct vm *vm, uint64_t addr, void *host, uint64_t size, GError **error);

/* Sets all vCPUs to their start and lets them run, each on a thread of its own. */
bool vm_start(struct vm *vm, const struct vm_entry *entry, GError **error);
/*
 * An fd that becomes readable when the machine has ended by itself or by vm_stop() and all vCPU
 * threads are on their way out; then vm_wait() joins them and says why. vm_start() may follow:
 * a reboot.
 */
int vm_end_fd(const struct vm *vm);
enum vm_end vm_wait(struct vm *vm);
/* Asks the vCPUs to end, for this reason; the first reason counts. Any thread, also a vCPU's. */
void vm_stop(struct vm *vm, enum vm_end reason);

/* An edge on (x86: IOAPIC input, arm64: SPI) irq. Any thread. */
void vm_pulse_irq(struct vm *vm, unsigned irq);
/* A level-triggered line, for the serial port. Any thread. */
void vm_set_irq(struct vm *vm, unsigned irq, bool level);
/* See vmm_ops; false: this KVM cannot. */
bool vm_irqfd(struct vm *vm, unsigned irq, int fd, bool assign);
bool vm_ioeventfd(struct vm *vm, uint64_t addr, uint32_t value, int fd, bool assign);

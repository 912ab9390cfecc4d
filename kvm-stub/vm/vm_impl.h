/* SPDX-License-Identifier: Apache-2.0 */
/* What vm.c and the file of the architecture, vm_x86.c or vm_arm64.c, share. */
#pragma once

#include <linux/kvm.h>
#include <pthread.h>
#include <sys/ioctl.h>

#include "kvm-stub/vm/vm.h"

struct vcpu {
	struct vm *vm;
	unsigned index;
	int fd;
	struct kvm_run *run;
	struct bus_wait *wait; /* the VM's */
	pthread_t thread;
};

enum vm_state {
	VM_IDLE, /* no vCPU threads */
	VM_RUNNING,
	VM_ENDING, /* the reason is known, the threads have been notified */
};

struct vm {
	struct vm_config config;
	int kvm_fd;
	int end_fd; /* eventfd: vm_end_fd() */
	bool can_irqfd, can_ioeventfd;
	unsigned gic_version;
	struct vcpu *vcpu;
	unsigned n_threads;
	bool used; /* the vCPUs have run: start from a new KVM VM */
	GPtrArray *waits; /* every bus_wait there ever was */

	/* Everything below. Never held around bus_access(). */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	int fd; /* KVM's VM */
	GArray *windows; /* of struct vm_window */
	GArray *wires; /* of struct wire: the eventfds that KVM has */
	enum vm_state state;
	enum vm_end reason;
};

/* An error that names the ioctl and errno. False. */
bool vm_fail(const char *what, GError **error);

/* Gives up what has run and makes it anew; vm->lock is held. */
bool vm_renew(struct vm *vm, GError **error);

GArray *vm_windows_new(void);
/* Checks that a guest of this KVM can address all RAM. */
bool vm_check_memory(const struct vm *vm, GError **error);
/* Registers RAM and windows with a new KVM VM. */
bool vm_set_memory(struct vm *vm, GError **error);

GArray *vm_wires_new(void);
/* Registers all wires with a new KVM VM. */
bool vm_wire_all(struct vm *vm, GError **error);

/* KVM_CREATE_VM's argument. */
unsigned long vm_arch_type(int kvm_fd);
/* Returns how many bits a guest's physical addresses have. */
unsigned vm_arch_address_bits(int kvm_fd);
/* Interrupt controller and the like, before the vCPUs are made. */
bool vm_arch_create(struct vm *vm, GError **error);
/* What is left once all vCPUs have been made. */
bool vm_arch_finish(struct vm *vm, GError **error);
/* Registers of all vCPUs. */
bool vm_arch_enter(struct vm *vm, const struct vm_entry *entry, GError **error);
/* KVM_IRQ_LINE's name for irq. */
uint32_t vm_arch_irq_line(unsigned irq);
/* For messages. */
uint64_t vm_arch_pc(const struct vcpu *c);

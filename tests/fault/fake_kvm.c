/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM where there is none (LD_PRELOAD): /dev/kvm is a file of memory, and the first vCPU is a
 * coroutine, which runs fake_guest() until it exits to user space; other vCPUs are halted. Kicks
 * and interrupts by eventfds, as the kernel's.
 */
#include "tests/fault/fake_kvm.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define RUN_SIZE 0x3000
#define IO_OFFSET 0x2000
#define STACK_SIZE 0x10000
#define WIRES 16
#define STEP_MS 10

static struct {
	uint8_t *ram;
	struct kvm_run *run; /* the first vCPU's */
	int vcpu; /* its fd */
	bool new; /* it has not run yet */
	ucontext_t user, guest;
	struct kvm_irqfd irqfd[WIRES];
	struct kvm_ioeventfd ioeventfd[WIRES];
} vm;
static uint8_t stack[STACK_SIZE];

/* --- the guest's side --- */

/* Returns when user space has dealt with it. */
static void exit_to_user(uint32_t reason)
{
	vm.run->exit_reason = reason;
	swapcontext(&vm.guest, &vm.user);
}

/* Returns whether the kernel has the kick. Does not wait for one that a back-end has filled. */
static bool is_kick(uint64_t addr, uint32_t value)
{
	struct pollfd pfd = { .fd = -1, .events = POLLOUT };

	for (unsigned i = 0; i < WIRES; i++)
		if (vm.ioeventfd[i].len && vm.ioeventfd[i].addr == addr &&
			vm.ioeventfd[i].datamatch == value)
			pfd.fd = vm.ioeventfd[i].fd;
	if (poll(&pfd, 1, 0) > 0)
		eventfd_write(pfd.fd, 1);
	return pfd.fd >= 0;
}

uint32_t guest_mmio(uint64_t addr, bool write, uint32_t value)
{
	if (write && is_kick(addr, value))
		return 0;
	vm.run->mmio.phys_addr = addr;
	vm.run->mmio.len = sizeof(value);
	vm.run->mmio.is_write = write;
	memcpy(vm.run->mmio.data, &value, sizeof(value));
	exit_to_user(KVM_EXIT_MMIO);
	memcpy(&value, vm.run->mmio.data, sizeof(value));
	return value;
}

void guest_out(uint16_t port, uint8_t value)
{
	vm.run->io.direction = KVM_EXIT_IO_OUT;
	vm.run->io.size = 1;
	vm.run->io.count = 1;
	vm.run->io.port = port;
	vm.run->io.data_offset = IO_OFFSET;
	((uint8_t *)vm.run)[IO_OFFSET] = value;
	exit_to_user(KVM_EXIT_IO);
}

void *guest_memory(uint64_t addr)
{
	return vm.ram + addr;
}

void guest_wait(unsigned irq)
{
	struct pollfd pfd = { .fd = -1, .events = POLLIN };
	eventfd_t n;

	for (unsigned i = 0; i < WIRES; i++)
		if (vm.irqfd[i].gsi == irq && vm.irqfd[i].fd)
			pfd.fd = (int)vm.irqfd[i].fd;
	if (poll(&pfd, 1, STEP_MS) > 0)
		eventfd_read(pfd.fd, &n);
	exit_to_user(KVM_EXIT_INTR);
}

static void halt(void)
{
	fake_guest();
	for (;;)
		guest_wait(0);
}

/* --- user space's --- */

static int run(int fd)
{
	if (vm.run->immediate_exit || fd != vm.vcpu) {
		poll(NULL, 0, STEP_MS);
		errno = EINTR;
		return -1;
	}
	if (vm.new) {
		getcontext(&vm.guest);
		vm.guest.uc_stack.ss_sp = stack;
		vm.guest.uc_stack.ss_size = sizeof(stack);
		makecontext(&vm.guest, halt, 0);
		vm.new = false;
	}
	swapcontext(&vm.user, &vm.guest);
	return 0;
}

static int create_vcpu(unsigned long index)
{
	int fd = memfd_create("vcpu", MFD_CLOEXEC);

	if (ftruncate(fd, RUN_SIZE) < 0)
		abort();
	if (index == 0) {
		if (vm.run)
			munmap(vm.run, RUN_SIZE);
		vm.run = mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		vm.vcpu = fd;
		vm.new = true;
	}
	return fd;
}

static int wire_irq(const struct kvm_irqfd *w)
{
	bool off = w->flags & KVM_IRQFD_FLAG_DEASSIGN;

	for (unsigned i = 0; i < WIRES; i++) {
		if (vm.irqfd[i].fd != (off ? w->fd : 0))
			continue;
		vm.irqfd[i] = off ? (struct kvm_irqfd){ 0 } : *w;
		return 0;
	}
	errno = ENOSPC;
	return -1;
}

static int wire_kick(const struct kvm_ioeventfd *w)
{
	bool off = w->flags & KVM_IOEVENTFD_FLAG_DEASSIGN;

	for (unsigned i = 0; i < WIRES; i++) {
		if (off ? vm.ioeventfd[i].fd != w->fd : vm.ioeventfd[i].len != 0)
			continue;
		vm.ioeventfd[i] = off ? (struct kvm_ioeventfd){ 0 } : *w;
		return 0;
	}
	errno = ENOSPC;
	return -1;
}

static int check_extension(unsigned long which)
{
	return which == KVM_CAP_IRQFD || which == KVM_CAP_IOEVENTFD ||
		which == KVM_CAP_IMMEDIATE_EXIT;
}

static int set_memory(const struct kvm_userspace_memory_region *m)
{
	if (m->slot == 0)
		vm.ram = (uint8_t *)(uintptr_t)m->userspace_addr;
	return 0;
}

static int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_CHECK_EXTENSION:
		return check_extension((unsigned long)arg);
	case KVM_GET_VCPU_MMAP_SIZE:
		return RUN_SIZE;
	case KVM_CREATE_VM:
		memset(vm.irqfd, 0, sizeof(vm.irqfd));
		memset(vm.ioeventfd, 0, sizeof(vm.ioeventfd));
		return memfd_create("vm", MFD_CLOEXEC);
	case KVM_CREATE_VCPU:
		return create_vcpu((unsigned long)arg);
	case KVM_SET_USER_MEMORY_REGION:
		return set_memory(arg);
	case KVM_IRQFD:
		return wire_irq(arg);
	case KVM_IOEVENTFD:
		return wire_kick(arg);
	case KVM_GET_SUPPORTED_CPUID:
		((struct kvm_cpuid2 *)arg)->nent = 0;
		return 0;
	case KVM_GET_SREGS:
		memset(arg, 0, sizeof(struct kvm_sregs));
		return 0;
	case KVM_GET_REGS:
		memset(arg, 0, sizeof(struct kvm_regs));
		return 0;
	case KVM_SET_MSRS:
		return 1;
	case KVM_RUN:
		return run(fd);
	}
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int fd, unsigned long request, ...);
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (_IOC_TYPE(request) == KVMIO)
		return kvm_ioctl(fd, request, arg);
	if (!next)
		next = (__typeof__(next))dlsym(RTLD_NEXT, "ioctl");
	return next(fd, request, arg);
}

static int open_any(const char *path, int flags, mode_t mode)
{
	if (strcmp(path, "/dev/kvm") == 0)
		return memfd_create("kvm", MFD_CLOEXEC);
	return openat(AT_FDCWD, path, flags, mode);
}

/* Stands for open64(), too: they are one where files are large. */
int open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	return open_any(path, flags, mode);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A KVM virtual machine is made, but for what depends on the architecture. */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "kvm-stub/vm/vm_impl.h"

/* KVM_RUN comes first: its place counts for speed. */
const struct syscall_rule vm_calls[] = {
	SYSCALL_IOCTL(KVM_RUN),
	SYSCALL_IOCTL(KVM_IRQ_LINE),
	SYSCALL_IOCTL(KVM_CHECK_EXTENSION),
	SYSCALL_IOCTL(KVM_CREATE_VM),
	SYSCALL_IOCTL(KVM_CREATE_VCPU),
	SYSCALL_IOCTL(KVM_GET_VCPU_MMAP_SIZE),
	SYSCALL_IOCTL(KVM_SET_USER_MEMORY_REGION),
	SYSCALL_IOCTL(KVM_IRQFD),
	SYSCALL_IOCTL(KVM_IOEVENTFD),
	SYSCALL_END,
};

GQuark vm_error_quark(void)
{
	return g_quark_from_static_string("vm-error-quark");
}

bool vm_fail(const char *what, GError **error)
{
	int err = errno;

	g_set_error(error, VM_ERROR, VM_ERROR_FAILED, "KVM: %s: %s", what, g_strerror(err));
	return false;
}

static bool no_kvm(int err, GError **error)
{
	const char *advice = err == EACCES || err == EPERM
		? "join the group that owns it (usually kvm), or run as root"
		: "load KVM's module (kvm_intel, kvm_amd); if it refuses, switch on virtualization "
		  "in the firmware, or nested virtualization in the hypervisor below";

	g_set_error(error, VM_ERROR, VM_ERROR_NO_KVM, "cannot open /dev/kvm: %s; %s",
		g_strerror(err), advice);
	return false;
}

static bool open_kvm(struct vm *vm, GError **error)
{
	int version, can_end, max;

	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return no_kvm(errno, error);
	version = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (version < 0)
		return vm_fail("KVM_GET_API_VERSION", error);
	if (version != KVM_API_VERSION) {
		g_set_error(error, VM_ERROR, VM_ERROR_FAILED, "/dev/kvm has version %d, not %d",
			version, KVM_API_VERSION);
		return false;
	}
	can_end = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT);
	if (can_end < 0)
		return vm_fail("KVM_CHECK_EXTENSION", error);
	if (!can_end) {
		g_set_error(error, VM_ERROR, VM_ERROR_FAILED,
			"this kernel's KVM is too old: it has no immediate_exit (Linux 4.13)");
		return false;
	}
	max = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	if (max > 0 && vm->config.cpus > (unsigned)max) {
		g_set_error(error, VM_ERROR, VM_ERROR_FAILED, "%u vCPUs are too many: KVM takes %d",
			vm->config.cpus, max);
		return false;
	}
	if (!vm_check_memory(vm, error))
		return false;
	vm->can_irqfd = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQFD) > 0;
	vm->can_ioeventfd = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD) > 0;
	return true;
}

static bool create_vcpu(struct vm *vm, struct vcpu *c, int run_size, GError **error)
{
	void *run;

	c->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)c->index);
	if (c->fd < 0)
		return vm_fail("KVM_CREATE_VCPU", error);
	run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (run == MAP_FAILED)
		return vm_fail("mmap of a vCPU", error);
	c->run = run;
	/* A guest that restarts for ever takes no memory for that. */
	if (!c->wait || !bus_wait_reuse(c->wait)) {
		c->wait = bus_wait_new();
		g_ptr_array_add(vm->waits, c->wait);
	}
	return true;
}

static int create_vm(int kvm_fd)
{
	int fd;

	/* A signal may interrupt it, as it waits for other CPUs. */
	do {
		fd = ioctl(kvm_fd, KVM_CREATE_VM, vm_arch_type(kvm_fd));
	} while (fd < 0 && errno == EINTR);
	return fd;
}

/* Makes all as after power-on. */
bool vm_create(struct vm *vm, GError **error)
{
	int run_size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (run_size < (int)sizeof(struct kvm_run))
		return vm_fail("KVM_GET_VCPU_MMAP_SIZE", error);
	vm->fd = create_vm(vm->kvm_fd);
	if (vm->fd < 0)
		return vm_fail("KVM_CREATE_VM", error);
	if (!vm_set_memory(vm, error) || !vm_arch_create(vm, error))
		return false;
	for (unsigned i = 0; i < vm->config.cpus; i++) {
		if (!create_vcpu(vm, &vm->vcpu[i], run_size, error))
			return false;
	}
	vm->used = false;
	return vm_arch_finish(vm, error) && vm_wire_all(vm, error);
}

static void destroy(struct vm *vm)
{
	int run_size = vm->fd < 0 ? 0 : ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	for (unsigned i = 0; i < vm->config.cpus; i++) {
		struct vcpu *c = &vm->vcpu[i];

		if (c->run)
			munmap(c->run, run_size);
		c->run = NULL;
		fd_close(&c->fd);
	}
	fd_close(&vm->fd);
}

bool vm_renew(struct vm *vm, GError **error)
{
	destroy(vm);
	return vm_create(vm, error);
}

static bool power_on(struct vm *vm, GError **error)
{
	vm->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->end_fd < 0)
		return vm_fail("eventfd", error);
	return open_kvm(vm, error);
}

struct vm *vm_new(const struct vm_config *config, GError **error)
{
	struct vm *vm = g_new0(struct vm, 1);

	vm->config = *config;
	vm->kvm_fd = vm->end_fd = vm->fd = -1;
	vm->vcpu = g_new0(struct vcpu, config->cpus);
	for (unsigned i = 0; i < config->cpus; i++) {
		vm->vcpu[i].vm = vm;
		vm->vcpu[i].index = i;
		vm->vcpu[i].fd = -1;
	}
	vm->waits = g_ptr_array_new_with_free_func((GDestroyNotify)bus_wait_free);
	vm->wires = vm_wires_new();
	vm->windows = vm_windows_new();
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->ended, NULL);
	if (power_on(vm, error))
		return vm;
	vm_free(vm);
	return NULL;
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	destroy(vm);
	fd_close(&vm->kvm_fd);
	fd_close(&vm->end_fd);
	g_ptr_array_unref(vm->waits);
	g_array_unref(vm->wires);
	g_array_unref(vm->windows);
	g_free(vm->vcpu);
	pthread_mutex_destroy(&vm->lock);
	pthread_cond_destroy(&vm->ended);
	g_free(vm);
}

unsigned vm_gic_version(const struct vm *vm)
{
	return vm->gic_version;
}

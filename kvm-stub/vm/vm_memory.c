/* SPDX-License-Identifier: Apache-2.0 */
/* KVM's memory slots: the RAM's, then one for each window that was added. */
#include <errno.h>
#include <inttypes.h>

#include "kvm-stub/vm/vm_impl.h"

/* A window of memory that is not RAM. */
struct vm_window {
	uint64_t addr, size;
	void *host;
};

GArray *vm_windows_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(struct vm_window));
}

static bool set_slot(
	struct vm *vm, unsigned slot, uint64_t addr, uint64_t size, uint64_t host, GError **error)
{
	const struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = addr,
		.memory_size = size,
		.userspace_addr = host,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) == 0 ||
		vm_fail("KVM_SET_USER_MEMORY_REGION", error);
}

static bool set_window(struct vm *vm, unsigned i, GError **error)
{
	const struct vm_window *w = &g_array_index(vm->windows, struct vm_window, i);

	return set_slot(
		vm, vm->config.ram->n_regions + i, w->addr, w->size, (uintptr_t)w->host, error);
}

bool vm_check_memory(const struct vm *vm, GError **error)
{
	unsigned bits = vm_arch_address_bits(vm->kvm_fd);
	uint64_t size = vm->config.ram->size, max = ram_max_size(bits);

	if (size <= max)
		return true;
	g_set_error(error, VM_ERROR, VM_ERROR_FAILED,
		"guest RAM of %" PRIu64 " MiB is too large: the %u address bits of this KVM's "
		"guests leave room for %" PRIu64 " MiB",
		size >> 20, bits, max >> 20);
	return false;
}

/* Names the size, as this machine may have a bound that KVM does not tell. */
static bool set_ram(struct vm *vm, unsigned i, GError **error)
{
	const struct mem_region_desc *d = &vm->config.ram->region[i];

	if (set_slot(vm, i, d->guest_addr, d->size, d->user_addr, error))
		return true;
	g_prefix_error(error, "guest RAM of %" PRIu64 " MiB: ", vm->config.ram->size >> 20);
	return false;
}

bool vm_set_memory(struct vm *vm, GError **error)
{
	for (unsigned i = 0; i < vm->config.ram->n_regions; i++)
		if (!set_ram(vm, i, error))
			return false;
	for (unsigned i = 0; i < vm->windows->len; i++)
		if (!set_window(vm, i, error))
			return false;
	return true;
}

bool vm_add_memory(struct vm *vm, uint64_t addr, void *host, uint64_t size, GError **error)
{
	const struct vm_window w = { .addr = addr, .size = size, .host = host };
	bool ok;

	pthread_mutex_lock(&vm->lock);
	g_array_append_val(vm->windows, w);
	ok = set_window(vm, vm->windows->len - 1, error);
	if (!ok)
		g_array_set_size(vm->windows, vm->windows->len - 1);
	pthread_mutex_unlock(&vm->lock);
	return ok;
}

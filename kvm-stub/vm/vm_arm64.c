/* SPDX-License-Identifier: Apache-2.0 */
/* arm64: interrupt controller, PSCI, and the state in which a kernel starts. */
#include "base/util.h"

#include "kvm-stub/layout.h"
#include "kvm-stub/vm/vm_impl.h"

#define FIRST_SPI 32u
/* KVM wants a multiple of 32. */
#define GIC_INTERRUPTS 96u
#define DEFAULT_IPA_BITS 40
#define GICV2_MAX_CPUS 8u

G_STATIC_ASSERT(FIRST_SPI + VIRTIO_FIRST_IRQ + MAX_SLOTS <= GIC_INTERRUPTS);

const struct syscall_rule vm_arch_calls[] = {
	SYSCALL_IOCTL(KVM_ARM_PREFERRED_TARGET),
	SYSCALL_IOCTL(KVM_ARM_VCPU_INIT),
	SYSCALL_IOCTL(KVM_CREATE_DEVICE),
	SYSCALL_IOCTL(KVM_SET_DEVICE_ATTR),
	SYSCALL_IOCTL(KVM_SET_ONE_REG),
	SYSCALL_IOCTL(KVM_GET_ONE_REG),
	SYSCALL_END,
};

/* Returns what this CPU has: not every one has as many as a VM has by default. */
unsigned vm_arch_address_bits(int kvm_fd)
{
	int bits = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	return bits > 0 && bits < DEFAULT_IPA_BITS ? (unsigned)bits : DEFAULT_IPA_BITS;
}

unsigned long vm_arch_type(int kvm_fd)
{
	unsigned bits = vm_arch_address_bits(kvm_fd);

	return bits < DEFAULT_IPA_BITS ? KVM_VM_TYPE_ARM_IPA_SIZE(bits) : 0;
}

/* Creates the VM's parts. The GIC is made once the vCPUs have been: vm_arch_finish(). */
bool vm_arch_create(struct vm *vm, GError **error)
{
	return true;
}

static bool init_vcpu(struct vcpu *c, const struct kvm_vcpu_init *target, GError **error)
{
	struct kvm_vcpu_init init = *target;

	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	/* The others wait for PSCI's CPU_ON. */
	if (c->index > 0)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	return ioctl(c->fd, KVM_ARM_VCPU_INIT, &init) == 0 || vm_fail("KVM_ARM_VCPU_INIT", error);
}

static bool set_attr(int gic, uint32_t group, uint64_t attr, const void *value, GError **error)
{
	const struct kvm_device_attr a = {
		.group = group,
		.attr = attr,
		.addr = (uintptr_t)value,
	};
	g_autofree char *what = g_strdup_printf("GIC attribute %u/%u", group, (unsigned)attr);

	return ioctl(gic, KVM_SET_DEVICE_ATTR, &a) == 0 || vm_fail(what, error);
}

/* Creates a GIC; -1: this KVM has none of this type. */
static int create_gic(struct vm *vm, uint32_t type)
{
	struct kvm_create_device create = { .type = type };

	return ioctl(vm->fd, KVM_CREATE_DEVICE, &create) == 0 ? (int)create.fd : -1;
}

static bool set_up_gic(const struct vm *vm, int gic, GError **error)
{
	const bool v3 = vm->gic_version == 3;
	const uint32_t interrupts = GIC_INTERRUPTS;
	const uint64_t dist = GIC_DIST_BASE, second = v3 ? GIC_REDIST_BASE : GIC_CPU_BASE;

	if (!v3 && vm->config.cpus > GICV2_MAX_CPUS) {
		g_set_error(error, VM_ERROR, VM_ERROR_FAILED,
			"%u vCPUs are too many: a GICv2 takes %u", vm->config.cpus, GICV2_MAX_CPUS);
		return false;
	}
	return set_attr(gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts, error) &&
		set_attr(gic, KVM_DEV_ARM_VGIC_GRP_ADDR,
			v3 ? KVM_VGIC_V3_ADDR_TYPE_DIST : KVM_VGIC_V2_ADDR_TYPE_DIST, &dist,
			error) &&
		set_attr(gic, KVM_DEV_ARM_VGIC_GRP_ADDR,
			v3 ? KVM_VGIC_V3_ADDR_TYPE_REDIST : KVM_VGIC_V2_ADDR_TYPE_CPU, &second,
			error) &&
		set_attr(gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL, error);
}

bool vm_arch_finish(struct vm *vm, GError **error)
{
	struct kvm_vcpu_init target;
	autofd gic = -1;

	if (ioctl(vm->fd, KVM_ARM_PREFERRED_TARGET, &target) < 0)
		return vm_fail("KVM_ARM_PREFERRED_TARGET", error);
	for (unsigned i = 0; i < vm->config.cpus; i++) {
		if (!init_vcpu(&vm->vcpu[i], &target, error))
			return false;
	}
	vm->gic_version = 3;
	gic = create_gic(vm, KVM_DEV_TYPE_ARM_VGIC_V3);
	if (gic < 0) {
		vm->gic_version = 2;
		gic = create_gic(vm, KVM_DEV_TYPE_ARM_VGIC_V2);
	}
	/* The VM keeps it when its fd is closed. */
	return gic >= 0 ? set_up_gic(vm, gic, error) : vm_fail("creating a GIC", error);
}

static bool set_register(struct vcpu *c, uint64_t core_register, uint64_t value, GError **error)
{
	const struct kvm_one_reg reg = {
		.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | core_register,
		.addr = (uintptr_t)&value,
	};

	return ioctl(c->fd, KVM_SET_ONE_REG, &reg) == 0 || vm_fail("KVM_SET_ONE_REG", error);
}

/* Sets registers. KVM has left all others as booting.rst asks: EL1, interrupts masked, MMU off. */
bool vm_arch_enter(struct vm *vm, const struct vm_entry *entry, GError **error)
{
	struct vcpu *c = &vm->vcpu[0];

	return set_register(c, KVM_REG_ARM_CORE_REG(regs.pc), entry->pc, error) &&
		set_register(c, KVM_REG_ARM_CORE_REG(regs.regs[0]), entry->arg, error) &&
		set_register(c, KVM_REG_ARM_CORE_REG(sp_el1), entry->stack, error);
}

uint32_t vm_arch_irq_line(unsigned irq)
{
	return (KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT) | (FIRST_SPI + irq);
}

uint64_t vm_arch_pc(const struct vcpu *c)
{
	uint64_t pc = 0;
	const struct kvm_one_reg reg = {
		.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
			KVM_REG_ARM_CORE_REG(regs.pc),
		.addr = (uintptr_t)&pc,
	};

	return ioctl(c->fd, KVM_GET_ONE_REG, &reg) == 0 ? pc : 0;
}

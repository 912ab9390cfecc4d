/* SPDX-License-Identifier: Apache-2.0 */
/* x86: interrupt controller, CPUID, and the state in which a boot protocol starts. */

#include "kvm-stub/layout.h"
#include "kvm-stub/vm/vm_impl.h"

#define IOAPIC_INPUTS 24u

#define CR0_PE 1u
#define CR0_ET 0x10u
#define CR0_PG 0x80000000u
#define CR4_PAE 0x20u
#define EFER_LME_LMA 0x500u
#define RFLAGS_FIXED 2u
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MTRR_ENABLED_WRITE_BACK 0x806u

#define CODE_SELECTOR 0x10u
#define DATA_SELECTOR 0x18u
#define GDT_LIMIT (DATA_SELECTOR + 7)
/* Segment types, accessed. */
#define SEGMENT_CODE 11u
#define SEGMENT_DATA 3u
#define SEGMENT_TSS_BUSY 11u

#define CPUID_MAX_ENTRIES 256u
#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)
#define CPUID_1_ECX_HYPERVISOR (1u << 31)
#define CPUID_1_EDX_HTT (1u << 28)
#define CPUID_ADDRESS_SIZES 0x80000008u
#define MIN_ADDRESS_BITS 36u /* of a CPU that does not report them */
#define LEVEL_THREAD (1u << 8)
#define LEVEL_CORE (2u << 8)

const struct syscall_rule vm_arch_calls[] = {
	SYSCALL_IOCTL(KVM_GET_SUPPORTED_CPUID),
	SYSCALL_IOCTL(KVM_SET_TSS_ADDR),
	SYSCALL_IOCTL(KVM_CREATE_IRQCHIP),
	SYSCALL_IOCTL(KVM_SET_GSI_ROUTING),
	SYSCALL_IOCTL(KVM_SET_CPUID2),
	SYSCALL_IOCTL(KVM_SET_MSRS),
	SYSCALL_IOCTL(KVM_GET_SREGS),
	SYSCALL_IOCTL(KVM_SET_SREGS),
	SYSCALL_IOCTL(KVM_GET_REGS),
	SYSCALL_IOCTL(KVM_SET_REGS),
	SYSCALL_END,
};

/* Makes room for as many as KVM can have. */
static struct kvm_cpuid2 *cpuid_new(void)
{
	struct kvm_cpuid2 *c =
		g_malloc0(sizeof(*c) + CPUID_MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2));

	c->nent = CPUID_MAX_ENTRIES;
	return c;
}

unsigned long vm_arch_type(int kvm_fd)
{
	return 0;
}

unsigned vm_arch_address_bits(int kvm_fd)
{
	g_autofree struct kvm_cpuid2 *c = cpuid_new();

	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, c) == 0)
		for (unsigned i = 0; i < c->nent; i++)
			if (c->entries[i].function == CPUID_ADDRESS_SIZES)
				return c->entries[i].eax & 0xff;
	return MIN_ADDRESS_BITS;
}

/*
 * Routes to the I/O APIC alone. KVM's default has the inputs 0 to 15 at the PIC, too, whose
 * output is open until the guest closes it; a guest of this machine does not know that there is
 * one.
 */
static bool route_to_ioapic(struct vm *vm, GError **error)
{
	g_autofree struct kvm_irq_routing *routing =
		g_malloc0(sizeof(*routing) + IOAPIC_INPUTS * sizeof(struct kvm_irq_routing_entry));

	routing->nr = IOAPIC_INPUTS;
	for (unsigned i = 0; i < IOAPIC_INPUTS; i++)
		routing->entries[i] = (struct kvm_irq_routing_entry){
			.gsi = i,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { .irqchip = KVM_IRQCHIP_IOAPIC, .pin = i },
		};
	return ioctl(vm->fd, KVM_SET_GSI_ROUTING, routing) == 0 ||
		vm_fail("KVM_SET_GSI_ROUTING", error);
}

bool vm_arch_create(struct vm *vm, GError **error)
{
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)KVM_TSS_ADDR) < 0)
		return vm_fail("KVM_SET_TSS_ADDR", error);
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return vm_fail("KVM_CREATE_IRQCHIP", error);
	return route_to_ioapic(vm, error);
}

static unsigned bits_for(unsigned cpus)
{
	return cpus > 1 ? g_bit_storage(cpus - 1) : 0;
}

/* Replaces the host's topology, which KVM reports: one package, a core a vCPU, no shared cache. */
static void fix_topology(struct kvm_cpuid_entry2 *e, unsigned id, unsigned cpus)
{
	switch (e->function) {
	case 1:
		e->ebx = (e->ebx & 0xffff) | cpus << 16 | id << 24;
		e->edx = cpus > 1 ? e->edx | CPUID_1_EDX_HTT : e->edx & ~CPUID_1_EDX_HTT;
		e->ecx |= CPUID_1_ECX_HYPERVISOR;
		break;
	case 4: /* Intel's caches: bits 25:14 who shares it, 31:26 cores */
		if (e->eax & 0x1f)
			e->eax = (e->eax & 0x3fff) | MIN(cpus - 1, 0x3f) << 26;
		break;
	case 0x80000008: /* AMD: size of the APIC id, cores */
		e->ecx = bits_for(cpus) << 12 | (cpus - 1);
		break;
	case 0x8000001d: /* AMD's caches: bits 25:14 who shares it */
		e->eax &= ~0x03ffc000u;
		break;
	case 0x8000001e: /* AMD: APIC id, core id, node */
		e->eax = id;
		e->ebx = id & 0xff;
		e->ecx = 0;
		break;
	}
}

/* Adds the leaf of all vendors, in place of the host's. */
static void add_topology(struct kvm_cpuid2 *c, unsigned id, unsigned cpus)
{
	struct kvm_cpuid_entry2 *e = c->entries;
	unsigned n = 0;

	for (unsigned i = 0; i < c->nent; i++) {
		if (e[i].function != 0xb && e[i].function != 0x1f)
			e[n++] = e[i];
	}
	n = MIN(n, CPUID_MAX_ENTRIES - 2);
	e[n++] = (struct kvm_cpuid_entry2){
		.function = 0xb,
		.index = 0,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.ebx = 1,
		.ecx = LEVEL_THREAD,
		.edx = id,
	};
	e[n++] = (struct kvm_cpuid_entry2){
		.function = 0xb,
		.index = 1,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = bits_for(cpus),
		.ebx = cpus,
		.ecx = LEVEL_CORE | 1,
		.edx = id,
	};
	c->nent = n;
}

/* Sets whatever KVM supports, but for the topology. */
static bool set_cpuid(struct vcpu *v, bool tsc_deadline, GError **error)
{
	g_autofree struct kvm_cpuid2 *c = cpuid_new();
	unsigned cpus = v->vm->config.cpus;

	if (ioctl(v->vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, c) < 0)
		return vm_fail("KVM_GET_SUPPORTED_CPUID", error);
	for (unsigned i = 0; i < c->nent; i++) {
		fix_topology(&c->entries[i], v->index, cpus);
		/* KVM does it itself, with its own interrupt controller, and does not report it. */
		if (c->entries[i].function == 1 && tsc_deadline)
			c->entries[i].ecx |= CPUID_1_ECX_TSC_DEADLINE;
	}
	add_topology(c, v->index, cpus);
	return ioctl(v->fd, KVM_SET_CPUID2, c) == 0 || vm_fail("KVM_SET_CPUID2", error);
}

/*
 * Sets MSRs: firmware would have switched the MTRRs on; without that Linux does not trust its
 * memory.
 */
static bool set_msrs(struct vcpu *c, GError **error)
{
	g_autofree struct kvm_msrs *msrs = g_malloc0(sizeof(*msrs) + sizeof(struct kvm_msr_entry));

	msrs->nmsrs = 1;
	msrs->entries[0].index = MSR_MTRR_DEF_TYPE;
	msrs->entries[0].data = MTRR_ENABLED_WRITE_BACK;
	return ioctl(c->fd, KVM_SET_MSRS, msrs) == 1 || vm_fail("KVM_SET_MSRS", error);
}

bool vm_arch_finish(struct vm *vm, GError **error)
{
	bool tsc_deadline = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;

	for (unsigned i = 0; i < vm->config.cpus; i++) {
		if (!set_cpuid(&vm->vcpu[i], tsc_deadline, error) || !set_msrs(&vm->vcpu[i], error))
			return false;
	}
	return true;
}

static struct kvm_segment flat(unsigned selector, unsigned type, bool long_mode)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = !long_mode,
		.s = 1,
		.l = long_mode,
		.g = 1,
	};
}

/*
 * Sets the mode of the 64-bit boot protocol of Linux (boot.rst), and of PVH's, which is what
 * bare metal gets, too.
 */
static void set_mode(struct kvm_sregs *s, const struct vm_entry *entry)
{
	bool long_mode = entry->mode == VM_ENTRY_X86_64;

	s->cs = flat(CODE_SELECTOR, SEGMENT_CODE, long_mode);
	s->ds = s->es = s->fs = s->gs = s->ss = flat(DATA_SELECTOR, SEGMENT_DATA, false);
	s->tr = (struct kvm_segment){ .limit = 0x67, .type = SEGMENT_TSS_BUSY, .present = 1 };
	s->gdt = (struct kvm_dtable){ .base = entry->gdt, .limit = GDT_LIMIT };
	s->idt = (struct kvm_dtable){ 0 };
	s->cr0 = CR0_PE | CR0_ET;
	s->cr4 = 0;
	s->efer = 0;
	if (long_mode) {
		s->cr0 |= CR0_PG;
		s->cr3 = entry->page_table;
		s->cr4 = CR4_PAE;
		s->efer = EFER_LME_LMA;
	}
}

/*
 * Sets the first vCPU's registers. The others are as after reset: KVM lets them wait for INIT
 * and SIPI.
 */
bool vm_arch_enter(struct vm *vm, const struct vm_entry *entry, GError **error)
{
	const struct kvm_regs regs = {
		.rip = entry->pc,
		.rsp = entry->stack,
		.rflags = RFLAGS_FIXED,
		.rsi = entry->mode == VM_ENTRY_X86_64 ? entry->arg : 0,
		.rbx = entry->mode == VM_ENTRY_X86_32 ? entry->arg : 0,
	};
	struct vcpu *c = &vm->vcpu[0];
	struct kvm_sregs sregs;

	if (ioctl(c->fd, KVM_GET_SREGS, &sregs) < 0)
		return vm_fail("KVM_GET_SREGS", error);
	set_mode(&sregs, entry);
	if (ioctl(c->fd, KVM_SET_SREGS, &sregs) < 0)
		return vm_fail("KVM_SET_SREGS", error);
	return ioctl(c->fd, KVM_SET_REGS, &regs) == 0 || vm_fail("KVM_SET_REGS", error);
}

uint32_t vm_arch_irq_line(unsigned irq)
{
	return irq;
}

uint64_t vm_arch_pc(const struct vcpu *c)
{
	struct kvm_regs regs;

	return ioctl(c->fd, KVM_GET_REGS, &regs) == 0 ? regs.rip : 0;
}

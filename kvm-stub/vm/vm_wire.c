/* SPDX-License-Identifier: Apache-2.0 */
/* The VM's interrupts and eventfds, which outlive the KVM VM of one boot. */
#include <errno.h>

#include "kvm-stub/vm/vm_impl.h"

/* An irqfd, or an ioeventfd. */
struct wire {
	int fd;
	bool irqfd;
	unsigned irq;
	uint64_t addr;
	uint32_t value;
};

static bool wire_equal(const struct wire *a, const struct wire *b)
{
	return a->fd == b->fd && a->irqfd == b->irqfd && a->irq == b->irq && a->addr == b->addr &&
		a->value == b->value;
}

static bool tell_kvm(int vm_fd, const struct wire *w, bool assign)
{
	struct kvm_irqfd irqfd = {
		.fd = w->fd,
		.gsi = w->irq,
		.flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};
	struct kvm_ioeventfd ioeventfd = {
		.fd = w->fd,
		.addr = w->addr,
		.len = sizeof(w->value),
		.datamatch = w->value,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH | (assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return w->irqfd ? ioctl(vm_fd, KVM_IRQFD, &irqfd) == 0
			: ioctl(vm_fd, KVM_IOEVENTFD, &ioeventfd) == 0;
}

GArray *vm_wires_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(struct wire));
}

bool vm_wire_all(struct vm *vm, GError **error)
{
	for (guint i = 0; i < vm->wires->len; i++) {
		if (!tell_kvm(vm->fd, &g_array_index(vm->wires, struct wire, i), true))
			return vm_fail("wiring an eventfd of a device", error);
	}
	return true;
}

static bool wire(struct vm *vm, const struct wire *w, bool assign)
{
	bool ok;

	pthread_mutex_lock(&vm->lock);
	ok = tell_kvm(vm->fd, w, assign);
	if (ok && assign)
		g_array_append_vals(vm->wires, w, 1);
	for (guint i = 0; !assign && i < vm->wires->len; i++) {
		if (wire_equal(&g_array_index(vm->wires, struct wire, i), w))
			g_array_remove_index_fast(vm->wires, i--);
	}
	pthread_mutex_unlock(&vm->lock);
	return ok;
}

bool vm_irqfd(struct vm *vm, unsigned irq, int fd, bool assign)
{
	const struct wire w = { .fd = fd, .irqfd = true, .irq = irq };

	return vm->can_irqfd && wire(vm, &w, assign);
}

bool vm_ioeventfd(struct vm *vm, uint64_t addr, uint32_t value, int fd, bool assign)
{
	const struct wire w = { .fd = fd, .addr = addr, .value = value };

	return vm->can_ioeventfd && wire(vm, &w, assign);
}

/* Sets the line. KVM has no error here that a guest or we could do anything about. */
static void set_line(struct vm *vm, unsigned irq, bool level)
{
	struct kvm_irq_level line = { .irq = vm_arch_irq_line(irq), .level = level };

	ioctl(vm->fd, KVM_IRQ_LINE, &line);
}

void vm_pulse_irq(struct vm *vm, unsigned irq)
{
	pthread_mutex_lock(&vm->lock);
	set_line(vm, irq, true);
	set_line(vm, irq, false);
	pthread_mutex_unlock(&vm->lock);
}

void vm_set_irq(struct vm *vm, unsigned irq, bool level)
{
	pthread_mutex_lock(&vm->lock);
	set_line(vm, irq, level);
	pthread_mutex_unlock(&vm->lock);
}

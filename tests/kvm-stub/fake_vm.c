/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_vm.h. */
#include "fake_vm.h"

void vm_pulse_irq(struct vm *vm, unsigned irq)
{
	struct fake_vm *m = (struct fake_vm *)vm;

	pthread_mutex_lock(&m->lock);
	m->pulses[irq]++;
	pthread_mutex_unlock(&m->lock);
}

bool vm_irqfd(struct vm *vm, unsigned irq, int fd, bool assign)
{
	struct fake_vm *m = (struct fake_vm *)vm;

	if (!m->kernel)
		return false;
	pthread_mutex_lock(&m->lock);
	m->irqfds[irq] += assign ? 1 : -1;
	pthread_mutex_unlock(&m->lock);
	return true;
}

bool vm_ioeventfd(struct vm *vm, uint64_t addr, uint32_t value, int fd, bool assign)
{
	struct fake_vm *m = (struct fake_vm *)vm;
	int from = assign ? 0 : fd;
	bool found = false;

	if (!m->kernel)
		return false;
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < FAKE_EVENTFDS && !found; i++) {
		found = m->ioeventfd[i].fd == from;
		if (!found)
			continue;
		m->ioeventfd[i].addr = addr;
		m->ioeventfd[i].value = value;
		m->ioeventfd[i].fd = assign ? fd : 0;
	}
	pthread_mutex_unlock(&m->lock);
	g_assert_true(found);
	return true;
}

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

bool vm_add_memory(struct vm *vm, uint64_t addr, void *host, uint64_t size, GError **error)
{
	struct fake_vm *m = (struct fake_vm *)vm;
	bool room;

	pthread_mutex_lock(&m->lock);
	room = m->n_windows < FAKE_WINDOWS;
	if (room) {
		m->window[m->n_windows].addr = addr;
		m->window[m->n_windows].size = size;
		m->window[m->n_windows++].host = host;
	}
	pthread_mutex_unlock(&m->lock);
	if (!room)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "no memory slot is free");
	return room;
}

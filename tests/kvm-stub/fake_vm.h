/* SPDX-License-Identifier: Apache-2.0 */
/* A machine that only records its interrupts and eventfds. */
#pragma once

#include <pthread.h>

#include "kvm-stub/vm/vm.h"

#define FAKE_IRQS 64
#define FAKE_EVENTFDS 8

#define FAKE_WINDOWS 4

struct fake_vm {
	bool kernel; /* takes irqfds and ioeventfds */
	pthread_mutex_t lock; /* what follows */
	unsigned pulses[FAKE_IRQS];
	unsigned irqfds[FAKE_IRQS]; /* how many are assigned */
	struct {
		uint64_t addr;
		uint32_t value;
		int fd; /* 0: none */
	} ioeventfd[FAKE_EVENTFDS];
	struct {
		uint64_t addr, size;
		uint8_t *host;
	} window[FAKE_WINDOWS]; /* vm_add_memory()'s, which fails beyond them */
	unsigned n_windows;
};

/* Returns what vm/vm.h calls it. */
static inline struct vm *fake_vm(struct fake_vm *m)
{
	return (struct vm *)m;
}

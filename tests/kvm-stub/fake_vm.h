/* SPDX-License-Identifier: Apache-2.0 */
/* A machine of which nothing is there but its interrupt lines and eventfds, noted down. */
#pragma once

#include <pthread.h>

#include "kvm-stub/vm/vm.h"

#define FAKE_IRQS 64
#define FAKE_EVENTFDS 8

struct vm {
	bool kernel; /* takes irqfds and ioeventfds */
	pthread_mutex_t lock; /* what follows */
	unsigned pulses[FAKE_IRQS];
	unsigned irqfds[FAKE_IRQS]; /* how many are assigned */
	struct {
		uint64_t addr;
		uint32_t value;
		int fd; /* 0: none */
	} ioeventfd[FAKE_EVENTFDS];
};

/* SPDX-License-Identifier: Apache-2.0 */
/* What slots.c and slots_plug.c share. */
#pragma once

#include <pthread.h>

#include "base/loop.h"
#include "kvm-stub/layout.h"
#include "kvm-stub/machine/slots.h"
#include "vmm/vmm_dev.h"

struct slot {
	struct slots *all;
	unsigned index;
	/*
	 * Accesses of vCPUs take it for reading, and never wait meanwhile; d of a spare slot
	 * changes under it, on the main thread.
	 */
	pthread_rwlock_t lock;
	struct vmm_dev *d; /* what the guest sees; NULL: the slot is empty */
	struct vmm_dev *coming; /* of a spare one: has not answered its probe yet */
	int64_t until; /* when that is given up, monotonic µs */
	int fd; /* of its socket, until d has it; -1: dialled by d */
	struct child *child; /* NULL: the back-end was not started here */
};

struct slots {
	struct vm *vm;
	struct bus *bus;
	const struct ram *ram;
	struct shm *shm;
	unsigned n, n_fixed; /* those from n_fixed on are spare */
	struct slot slot[MAX_SLOTS];

	/* slots_plug.c's */
	char *folder; /* of the sockets that spare slots can be connected to */
	struct loop_watch *poll; /* while one is coming */
};

/* Makes a slot's device, whose back-end is dialled by its own thread. */
struct vmm_dev *slot_make(struct slot *s, const struct device_spec *spec, GError **error);
/* Whatever is coming stays away. */
void slots_end_plugging(struct slots *all);

/* SPDX-License-Identifier: Apache-2.0 */
/* Registers by which a guest ends or restarts the machine, or says that it has failed. */
#pragma once

#include <stdbool.h>

#include "kvm-stub/bus.h"
#include "kvm-stub/vm/vm.h"

struct power {
	struct vm *vm;
	bool failed; /* the built-in guest said so; to be read after vm_wait() */
};

/* Puts the registers on the bus; p is part of it from then on. */
void power_init(struct power *p, struct bus *b, struct vm *vm);

/* SPDX-License-Identifier: Apache-2.0 */
/* Registers by which a guest ends or restarts the machine, or reports a failure. */
#pragma once

#include <stdbool.h>

#include "kvm-stub/bus.h"
#include "kvm-stub/vm/vm.h"

struct power {
	struct vm *vm;
	bool failed; /* the built-in guest reported a failure; read it after vm_wait() */
};

/* Adds the registers to the bus, which refers to p from then on. */
void power_init(struct power *p, struct bus *b, struct vm *vm);

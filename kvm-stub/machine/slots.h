/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's virtio-mmio slots: vmm_devs on the bus, vmm_ops on the VM. */
#pragma once

#include <glib.h>

#include "kvm-stub/bus.h"
#include "kvm-stub/ram.h"
#include "kvm-stub/machine/device_spec.h"
#include "kvm-stub/vm/vm.h"

struct slots;
typedef struct slots slots; /* for g_autoptr */

struct slots_config {
	struct device_spec *const *specs; /* one for each slot, from 0 on */
	unsigned n_specs;
	const char *const *folders; /* as for discovery_find() */
	unsigned wait_ms; /* for a back-end to be there and to answer its probe */
	/* Called now and then meanwhile; false: no more of that, slots_new() fails. */
	bool (*go_on)(void *opaque);
	/*
	 * Called once, when the back-ends that are started here run, and before there are threads:
	 * nothing is opened or started later. rules: signals to these back-ends, a table. False:
	 * slots_new() fails. NULL: nothing.
	 */
	bool (*confine)(void *opaque, const struct syscall_rule *rules, GError **error);
	void *opaque;
	struct vm *vm; /* these three outlive the slots */
	struct bus *bus;
	const struct ram *ram;
};

/*
 * For each spec, in order: finds and starts its back-end or dials its socket, makes the device,
 * waits for its probe. The strings of config need not outlive the call.
 */
struct slots *slots_new(const struct slots_config *config, GError **error);
/* Ends devices, then the back-ends that were started. The vCPUs have stopped. */
void slots_free(struct slots *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(slots, slots_free)
/* A reboot: every device as after power-on. The vCPUs have stopped. */
void slots_reset(struct slots *s);

/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's virtio-mmio slots: vmm_devs on the bus, vmm_ops on the VM. */
#pragma once

#include <glib.h>

#include "base/json.h"
#include "kvm-stub/bus.h"
#include "kvm-stub/ram.h"
#include "kvm-stub/machine/device_spec.h"
#include "kvm-stub/vm/vm.h"

struct slots;
typedef struct slots slots; /* for g_autoptr */

struct slots_config {
	struct device_spec *const *specs; /* one for each slot, from 0 on */
	unsigned n_specs;
	unsigned n_spare; /* slots that are empty at first, after those */
	const char *plug_dir; /* where the sockets for them are; NULL: nowhere */
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

/*
 * Spare slots. What follows is for the main thread; the guest's driver looks at a slot when the
 * guest tells it to ("bind").
 */

/*
 * Begins to connect an empty slot (wanted; -1: the first) to spec->socket, which is directly in
 * plug_dir. The guest sees the device once it has answered, which has to be soon; the log tells.
 * Returns the slot, or -1 with an error.
 */
int slots_add(struct slots *s, const struct device_spec *spec, int wanted, GError **error);
/*
 * Empties a slot. False: there is nothing to empty, or the guest's driver uses the device and force
 * is not set.
 */
bool slots_remove(struct slots *s, unsigned slot, bool force, GError **error);
/* Appends an array of the slots to an open object: number, state, device. */
void slots_list(struct slots *s, struct json *to);

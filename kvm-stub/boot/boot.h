/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a kernel, and the tables that describe the machine to it, into guest RAM; knows no KVM. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm-stub/entry.h"
#include "kvm-stub/ram.h"

/* A file to load from; path is for messages. */
struct boot_source {
	const char *path; /* NULL: none */
	int kept; /* it, open: boot_keep(); 0: not open yet */
};

struct boot_config {
	struct boot_source kernel; /* bzImage or vmlinux with a PVH note (x86), Image (arm64) */
	struct boot_source initrd;
	const char *append; /* the command line, or NULL: the console alone */
	bool selftest; /* instead of a kernel: the built-in bare-metal guest */
	unsigned cpus;
	unsigned n_slots; /* virtio-mmio devices, in the slots 0 to n_slots - 1 */
	unsigned gic_version;
};

/*
 * Opens kernel and initrd for a process that can open nothing later; each boot_load() reads what
 * they contain then.
 */
bool boot_keep(struct boot_config *config, GError **error);
/* Closes what boot_keep() opened. */
void boot_drop(struct boot_config *config);
/*
 * Loads everything into r, which is zero, and sets where to start. Files are hostile: a header that
 * does not fit the file or RAM is an error that names the file, the field and its value.
 */
bool boot_load(const struct ram *r, const struct boot_config *config, struct vm_entry *entry,
	GError **error);

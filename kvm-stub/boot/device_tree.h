/* SPDX-License-Identifier: Apache-2.0 */
/* arm64: the device tree that describes the machine to a kernel. The only user of libfdt. */
#pragma once

#include <glib.h>
#include <stdint.h>

struct device_tree_machine {
	unsigned cpus, n_slots;
	unsigned gic_version; /* 2 or 3 */
	uint64_t ram_size; /* from RAM_BASE on */
	uint64_t initrd, initrd_size; /* 0, 0: none */
	const char *cmdline;
};

/* Builds the tree at to; returns its size, or 0 with an error if size bytes are not enough. */
size_t device_tree_build(
	void *to, size_t size, const struct device_tree_machine *m, GError **error);

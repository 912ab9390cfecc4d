/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Xen guest's memory as a back-end is told of it (vhost-user.rst, "Xen specific memory region
 * description"). User addresses are guest addresses.
 *
 *	foreign		the banks of guest RAM, one region each
 *	grants		addresses are grant references << 12, from bit 63 on, and what they mean is
 *			up to the guest at each moment. Rings stay granted while their queue is
 *			ready: a region for each, page by page; all the rest is one that nobody must
 *			map in advance.
 */
#pragma once

#include <stdbool.h>

#include "memory/guest_mem.h"
#include "vmm/vmm_dev.h"
#include "xen/hypervisor/foreign_memory.h"

/* As many as a message has fds. */
#define MEMORY_REGIONS_MAX 253

/* Both return how many regions there are. All go with the same fd. */
unsigned memory_regions_foreign(unsigned domid, const struct foreign_memory_bank *bank,
	unsigned n_banks, struct mem_region_desc desc[MEMORY_REGIONS_MAX]);
/*
 * The queues are as the guest set them up: one with a part that is not in granted memory gets no
 * region of its own, and cannot be started by a back-end. packed: their areas have that layout.
 */
unsigned memory_regions_grants(unsigned domid, const struct virtio_mmio_queue *ready,
	unsigned n_ready, bool packed, struct mem_region_desc desc[MEMORY_REGIONS_MAX]);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Xen guest's memory as vhost-user regions (vhost-user.rst, "Xen specific memory region
 * description"). User addresses are guest addresses.
 *
 *	foreign		the banks of guest RAM, one region each
 *	grants		addresses are grant references << 12 with bit 63 set; the guest may change
 *			what they refer to at any time. Rings stay granted while their queue is
 *			ready: they get regions of their own; the rest is covered by regions that
 *			must not be mapped in advance.
 */
#pragma once

#include <stdbool.h>

#include "memory/guest_mem.h"
#include "vmm/vmm_dev.h"
#include "xen/hypervisor/foreign_memory.h"

/* The most fds of one message. */
#define MEMORY_REGIONS_MAX 253

/* Both return the number of regions, which all have the same fd. */
unsigned memory_regions_foreign(unsigned domid, const struct foreign_memory_bank *bank,
	unsigned n_banks, struct mem_region_desc desc[MEMORY_REGIONS_MAX]);
/*
 * The queues are as the guest set them up: one with a part outside granted memory gets no region of
 * its own, and a back-end cannot start it. packed: the layout of their areas.
 */
unsigned memory_regions_grants(unsigned domid, const struct virtio_mmio_queue *ready,
	unsigned n_ready, bool packed, struct mem_region_desc desc[MEMORY_REGIONS_MAX]);

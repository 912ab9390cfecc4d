/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM: one sealed memfd, shown to the guest in one or two regions. */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "memory/guest_mem.h"

#define RAM_MAX_REGIONS 2

typedef struct ram ram; /* for g_autoptr */
struct ram {
	uint64_t size;
	int fd; /* the memfd of all regions */
	uint8_t *host; /* its one mapping here, of size bytes */
	/* As a back-end is to see them; user_addr is where the region is mapped here. */
	struct mem_region_desc region[RAM_MAX_REGIONS];
	int region_fd[RAM_MAX_REGIONS]; /* all the same fd, for calls that want one each */
	unsigned n_regions;
};

/* size is a multiple of 4 KiB; sparse: pages take memory when they are touched. */
struct ram *ram_new(uint64_t size, GError **error);
void ram_free(struct ram *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ram, ram_free)

/* The mapping of [addr, addr + len); NULL if it is not all in one region. */
void *ram_at(const struct ram *r, uint64_t addr, uint64_t len);
/* All zero again, pages given back: for a reboot. */
bool ram_clear(struct ram *r, GError **error);

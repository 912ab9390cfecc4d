/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM: one sealed memfd, at one or two address ranges of the guest. */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "memory/guest_mem.h"

#define RAM_MAX_REGIONS 2

typedef struct ram ram; /* for g_autoptr */
struct ram {
	uint64_t size;
	int fd; /* the memfd of all regions */
	uint8_t *host; /* its mapping in this process, of size bytes */
	/* For SET_MEM_TABLE; user_addr is where the region is mapped in this process. */
	struct mem_region_desc region[RAM_MAX_REGIONS];
	int region_fd[RAM_MAX_REGIONS]; /* the memfd, once for each region */
	unsigned n_regions;
};

/* Allocates RAM of size bytes, a multiple of 4 KiB; host pages are allocated at first access. */
struct ram *ram_new(uint64_t size, GError **error);
/* Returns how much RAM a guest can have whose physical addresses have this many bits. */
uint64_t ram_max_size(unsigned address_bits);
void ram_free(struct ram *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ram, ram_free)

/* Returns the mapping of [addr, addr + len), or NULL if that is not within one region. */
void *ram_at(const struct ram *r, uint64_t addr, uint64_t len);
/* Zeroes the RAM for a reboot by returning its pages to the host. */
bool ram_clear(struct ram *r, GError **error);

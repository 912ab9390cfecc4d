/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Guest memory" for a driver without a guest: one sealed memfd, mapped here and handed to a
 * back-end as its only region. Addresses given out are guest addresses; user addresses are the
 * same numbers.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "memory/guest_mem.h"

typedef struct driver_mem driver_mem; /* for g_autoptr */

/* size is rounded up to whole pages. The memory starts out as zeroes. */
struct driver_mem *driver_mem_new(uint64_t size, GError **error);
void driver_mem_free(struct driver_mem *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(driver_mem, driver_mem_free)

/* Describes the memory for SET_MEM_TABLE; the fd stays the memory's. */
void driver_mem_describe(const struct driver_mem *m, struct mem_region_desc *desc, int *fd);
/* Allocates len bytes aligned to a power of two, never taken back; 0 if there is no room. */
uint64_t driver_mem_alloc(struct driver_mem *m, uint64_t len, uint64_t align);
/* Returns the mapping of a guest address range; NULL if it is not all inside. */
void *driver_mem_host(const struct driver_mem *m, uint64_t addr, uint64_t len);

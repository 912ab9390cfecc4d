/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of a guest in our address space: the ioreq page, and a look at what RAM there is. The only
 * file that includes <xenforeignmemory.h>.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct foreign_memory;
typedef struct foreign_memory foreign_memory; /* for g_autoptr */

/* Of this domain. */
struct foreign_memory *foreign_memory_open(unsigned domid, GError **error);
/* Unmaps the ioreq page, too. */
void foreign_memory_free(struct foreign_memory *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(foreign_memory, foreign_memory_free)

bool foreign_memory_restrict(struct foreign_memory *f, GError **error);
/*
 * The ioreq page of a server, from then on until foreign_memory_free(), at an address that no other
 * (domain, server) ever has, in no process of ours: the kernel tells the registered ioreq pages of
 * all processes apart by their addresses (privcmd.h).
 */
void *foreign_memory_map_ioreq(struct foreign_memory *f, uint16_t server, GError **error);

/* Guest RAM, as the toolstack lays it out (GUEST_RAM0 and GUEST_RAM1 of Xen's public headers). */
struct foreign_memory_bank {
	uint64_t addr, size; /* bytes */
};
#define FOREIGN_MEMORY_MAX_BANKS 2
/*
 * Where the banks of a guest of this size at most lie; 0: not known, find out by mapping pages.
 * Holes (pages ballooned out) are part of a bank. 0: none found.
 */
unsigned foreign_memory_banks(struct foreign_memory *f, uint64_t max_bytes,
	struct foreign_memory_bank bank[FOREIGN_MEMORY_MAX_BANKS]);

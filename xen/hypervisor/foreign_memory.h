/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of a guest in this process: the ioreq page, and probing for RAM. The only file that
 * includes <xenforeignmemory.h>.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct foreign_memory;
typedef struct foreign_memory foreign_memory; /* for g_autoptr */

/* Opens the memory of this domain. */
struct foreign_memory *foreign_memory_open(unsigned domid, GError **error);
/* Also unmaps the ioreq page. */
void foreign_memory_free(struct foreign_memory *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(foreign_memory, foreign_memory_free)

bool foreign_memory_restrict(struct foreign_memory *f, GError **error);
/*
 * Maps the ioreq page of a server until foreign_memory_free(), at an address that is unique for
 * (domain, server) in all processes of virtiod-xen: the kernel distinguishes the registered ioreq
 * pages of all processes by their addresses (privcmd.h).
 */
void *foreign_memory_map_ioreq(struct foreign_memory *f, uint16_t server, GError **error);

/* Guest RAM, as the toolstack lays it out (GUEST_RAM0 and GUEST_RAM1 of Xen's public headers). */
struct foreign_memory_bank {
	uint64_t addr, size; /* bytes */
};
#define FOREIGN_MEMORY_MAX_BANKS 2
/*
 * Finds the banks of a guest with at most max_bytes; 0: unknown, probe by mapping pages. Holes
 * (pages ballooned out) are part of a bank. Returns the number of banks, 0 if there are none.
 */
unsigned foreign_memory_banks(struct foreign_memory *f, uint64_t max_bytes,
	struct foreign_memory_bank bank[FOREIGN_MEMORY_MAX_BANKS]);

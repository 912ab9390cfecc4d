/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of a guest in our address space: the ioreq page, and a look at what RAM there is. The only
 * file that includes <xenforeignmemory.h>.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct foreign;
typedef struct foreign foreign; /* for g_autoptr */

/* Of this domain. */
struct foreign *foreign_open(unsigned domid, GError **error);
/* Unmaps the ioreq page, too. */
void foreign_free(struct foreign *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(foreign, foreign_free)

bool foreign_restrict(struct foreign *f, GError **error);
/*
 * The ioreq page of a server, from then on until foreign_free(), at an address that no other
 * (domain, server) ever has, in no process of ours: the kernel tells the registered ioreq pages of
 * all processes apart by their addresses (privcmd.h).
 */
void *foreign_map_ioreq(struct foreign *f, uint16_t server, GError **error);

/* Guest RAM, as the toolstack lays it out (GUEST_RAM0 and GUEST_RAM1 of Xen's public headers). */
struct foreign_bank {
	uint64_t addr, size; /* bytes */
};
#define FOREIGN_MAX_BANKS 2
/*
 * Where the banks of a guest of this size at most lie; 0: not known, find out by mapping pages.
 * Holes (pages ballooned out) are part of a bank. 0: none found.
 */
unsigned foreign_banks(
	struct foreign *f, uint64_t max_bytes, struct foreign_bank bank[FOREIGN_MAX_BANKS]);

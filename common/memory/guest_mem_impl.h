/* SPDX-License-Identifier: Apache-2.0 */
/* Private to guest_mem.c (the table), guest_mem_borrow.c (requests) and guest_pages.c (holds). */
#pragma once

#include "memory/mem_type.h"

struct mem_table {
	unsigned n;
	struct mem_region
		*region[GUEST_MEM_MAX_REGIONS]; /* by guest address, which do not overlap */
};

struct guest_mem {
	const struct mem_type *const *types;
	struct mem_table table;
	bool maps_per_borrow; /* some region has no host address */
	bool can_pin; /* every region's type can */
	int poisoned; /* atomic: some region is */
	unsigned generation; /* of the table: changes with it */
	void *scrap; /* atomic, guest_pages.c's; NULL: none yet */
	struct dirty_log *log; /* NULL: none */
};

/* For guest_mem_free(). */
void guest_pages_free_scrap(struct guest_mem *m);

/* Returns the index of the region that holds a guest address; table->n: none. */
unsigned mem_table_find(const struct mem_table *table, uint64_t guest_addr);

static inline bool mem_region_holds(const struct mem_region *r, uint64_t guest_addr)
{
	return guest_addr >= r->desc.guest_addr && guest_addr - r->desc.guest_addr < r->desc.size;
}

static inline bool mem_region_poisoned(const struct mem_region *r)
{
	return __atomic_load_n(&r->poisoned, __ATOMIC_RELAXED);
}

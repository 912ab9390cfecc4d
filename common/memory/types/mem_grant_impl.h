/* SPDX-License-Identifier: Apache-2.0 */
/* Private to mem_grant.c (regions, rings) and mem_grant_map.c (requests). */
#pragma once

#include "base/xen_abi.h"
#include "memory/types/mem_xen.h"

/* The most pages of one map: a ring part has dozens, a large request hundreds. */
#define GRANT_MAP_PAGES 4096u

struct grant_region {
	int fd; /* a duplicate of the front-end's */
	uint16_t domid;
	uint64_t index; /* of the map, if mapped in advance */
};

/* Mapped grants, which are unmapped as a whole. */
struct grant_map {
	void *base; /* NULL: none */
	uint32_t pages;
	uint64_t index;
};

/* References, collected for one map. */
struct grant_refs {
	uint32_t n;
	union {
		struct xen_map_grants call;
		uint64_t room[2 + GRANT_MAP_PAGES]; /* the header, and 8 bytes for each */
	};
};

static inline uint32_t grant_ref_of(uint64_t addr)
{
	return (addr & ~XEN_GRANT_BIT) >> XEN_PAGE_SHIFT;
}

/* Adds those of [addr, addr + len). False: they are too many. */
bool grant_refs_add(struct grant_refs *refs, uint16_t domid, uint64_t addr, uint64_t len);
/* Maps all of them; there is at least one. Returns 0, or -errno with nothing mapped. */
int grant_map_refs(int fd, struct grant_refs *refs, int prot, struct grant_map *map);
void grant_unmap(int fd, const struct grant_map *map);

/* mem_type.borrow and mem_type.give_back */
void grant_borrow(struct mem_region *const *regions, struct mem_range *const *ranges,
	struct mem_mapping *const *mappings, void **host, int *status, unsigned n);
void grant_give_back(
	struct mem_range *const *ranges, const uint32_t *written, int *status, unsigned n);

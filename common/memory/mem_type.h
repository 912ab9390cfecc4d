/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a memory type supplies to guest_mem.c, its only user. To add one, write types/mem_<name>.c
 * and add its line to the list in guest_mem.c.
 */
#pragma once

#include "memory/guest_mem.h"

struct mem_region {
	struct mem_region_desc desc;
	const struct mem_type *type;
	void *host; /* where desc.guest_addr is mapped; NULL: mapped for each borrow */
	void *map_base; /* the memory type's own: what to unmap */
	size_t map_size; /* likewise */
	int poisoned; /* atomic: a fault hit it (see guest_mem_catch_sigbus()) */
	void *priv; /* the memory type's own */
};

struct mem_type {
	const char *name;
	/* Whether its pages may be pinned (memfd: yes; Xen foreign: no, the mapping is PFNMAP). */
	bool can_pin;
	/* Returns whether this type serves such a region. */
	bool (*match)(const struct mem_region_desc *desc);
	/*
	 * Maps the region (or, if each borrow maps, checks it and keeps a duplicate of fd). desc
	 * has been checked: no wrap, no overlap, size > 0.
	 */
	bool (*map)(struct mem_region *r, int fd, GError **error);
	void (*unmap)(struct mem_region *r);
	/*
	 * For a region with host whose pages are mapped on demand: makes these bytes accessible
	 * until the region is unmapped. From any borrower's thread. NULL: they are, once mapped.
	 */
	bool (*populate)(struct mem_region *r, uint64_t offset, uint64_t len);
	/* Gives the whole pages in these bytes back to the host. NULL: not possible. */
	void (*discard)(struct mem_region *r, uint64_t offset, uint64_t len);
	/*
	 * For regions without host: one call for all ranges of a batch that lie in regions of
	 * this type (a very long batch takes several calls). ranges[i] is not empty and lies
	 * in regions[i] alone. mappings[i] tells which neighbours will be given back together.
	 * Sets status[i] to 0, with host[i] and ranges[i]->priv, neither of them NULL, or to -EIO.
	 * Ranges that the device only reads are mapped read-only. NULL: every region has host.
	 */
	void (*borrow)(struct mem_region *const *regions, struct mem_range *const *ranges,
		struct mem_mapping *const *mappings, void **host, int *status, unsigned n);
	/*
	 * Gives back these ranges in one call. written[i]: the number of bytes of a writable range
	 * that must have reached the guest on return. Sets status[i] to 0, or to -EIO if they have
	 * not.
	 */
	void (*give_back)(
		struct mem_range *const *ranges, const uint32_t *written, int *status, unsigned n);
	/* Maps a part of a ring in a region without host: sets map->host, and map->priv at will. */
	bool (*map_ring)(struct mem_region *r, uint64_t offset, size_t len,
		struct mem_ring_map *map, GError **error);
	void (*unmap_ring)(struct mem_ring_map *map);
};

/* types/mem_memfd.c: a memfd, or a file of tmpfs or hugetlbfs, mapped for its life. */
extern const struct mem_type mem_type_memfd;

/* Like guest_mem_new(), with another NULL-terminated list of memory types: for tests. */
struct guest_mem *guest_mem_new_with_types(const struct mem_type *const *types);

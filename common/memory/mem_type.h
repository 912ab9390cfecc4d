/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a memory type supplies to guest_mem.c, its only user. Adding one = mem_<name>.c + its line
 * in the list in guest_mem.c.
 */
#pragma once

#include "memory/guest_mem.h"

struct mem_region {
	struct mem_region_desc desc;
	const struct mem_type *type;
	void *host; /* where desc.guest_addr is mapped; NULL: mapped per borrow */
	void *map_base; /* the memory type's own: what to unmap */
	size_t map_size; /* likewise */
	int poisoned; /* atomic: a fault hit it (see guest_mem_catch_sigbus()) */
	void *priv; /* the memory type's own */
};

struct mem_type {
	const char *name;
	/* May its pages be pinned? (memfd yes; Xen foreign no: the mapping is PFNMAP) */
	bool can_pin;
	/* Does this type serve such a region? */
	bool (*match)(const struct mem_region_desc *desc);
	/*
	 * Maps the region (or, if each borrow maps, checks it and keeps a dup of fd). desc has been
	 * checked: no wrap, no overlap, size > 0.
	 */
	bool (*map)(struct mem_region *r, int fd, GError **error);
	void (*unmap)(struct mem_region *r);
	/*
	 * A region with host whose pages come when they are needed: makes these bytes accessible,
	 * for good. From any borrower's thread. NULL: they are, once mapped.
	 */
	bool (*populate)(struct mem_region *r, uint64_t offset, uint64_t len);
	/* Gives the whole pages in these bytes back to the host. NULL: it cannot. */
	void (*discard)(struct mem_region *r, uint64_t offset, uint64_t len);
	/*
	 * For regions without host: one call for all ranges of a batch that lie in regions of
	 * this type (a very long batch takes several calls); ranges[i] is not empty and lies
	 * wholly in regions[i] (one that straddles was refused). mappings[i] tells which of them,
	 * side by side, will be given back together. Sets status[i] to 0, with host[i] and
	 * ranges[i]->loan, neither of them NULL, or to -EIO. Ranges that the device only reads are
	 * mapped read-only. NULL: every region has host.
	 */
	void (*borrow)(struct mem_region *const *regions, struct mem_range *const *ranges,
		struct mem_mapping *const *mappings, void **host, int *status, unsigned n);
	/*
	 * Ends these loans in one call. written[i]: how much of a writable range holds data that
	 * must have reached the guest on return. Sets status[i] to 0, or to -EIO if it has not.
	 */
	void (*give_back)(
		struct mem_range *const *ranges, const uint32_t *written, int *status, unsigned n);
	/* A part of a ring in a region without host: sets map->host, and map->loan if it likes. */
	bool (*map_ring)(struct mem_region *r, uint64_t offset, size_t len,
		struct mem_ring_map *map, GError **error);
	void (*unmap_ring)(struct mem_ring_map *map);
};

/* mem_memfd.c: any fd that mmap() takes (memfd, hugetlbfs, tmpfs), mapped for its life. */
extern const struct mem_type mem_type_memfd;

/* As guest_mem_new(), with another list of memory types, NULL at its end: for tests. */
struct guest_mem *guest_mem_new_with_types(const struct mem_type *const *types);

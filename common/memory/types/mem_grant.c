/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory type: pages that a Xen guest granted, through the front-end's /dev/xen/gntdev. An address
 * consists of a grant reference << 12, an offset, and bit 63; the references of a buffer are
 * consecutive.
 *
 * Linux revokes its grants as soon as it sees a request completed or a queue stopped, and if one is
 * still mapped then, it gives up the device for good. So nothing is mapped before a request or a
 * ring needs it, or longer than that.
 *
 * A region that may be mapped in advance is so if it is larger than a part of a ring: it is then a
 * pool that stays granted. Front-ends also send ring parts in this way, which do not stay granted.
 *
 * A reference that is not granted, or not for writing, makes mmap() fail, not the ioctl() before
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/util.h"
#include "memory/types/mem_grant_impl.h"

/* The largest part of a ring: 2^15 descriptors, which may begin anywhere in a page. */
#define RING_PART_PAGES 129u

bool grant_refs_add(struct grant_refs *refs, uint16_t domid, uint64_t addr, uint64_t len)
{
	uint64_t pages = mem_xen_pages(addr, len);
	struct xen_grant_ref *ref = refs->call.ref + refs->n;

	if (pages > GRANT_MAP_PAGES - refs->n)
		return false;
	for (uint32_t i = 0; i < pages; i++)
		ref[i] = (struct xen_grant_ref){ domid, grant_ref_of(addr) + i };
	refs->n += pages;
	return true;
}

int grant_map_refs(int fd, struct grant_refs *refs, int prot, struct grant_map *map)
{
	refs->call.count = refs->n;
	refs->call.pad = 0;
	*map = (struct grant_map){ .pages = refs->n };
	if (mem_xen_ioctl(fd, XEN_IOCTL_MAP_GRANTS, &refs->call) < 0) {
		mem_xen_count_failures(refs->n);
		return -errno;
	}
	map->index = refs->call.index;
	map->base = mem_xen_mmap(
		NULL, (size_t)map->pages * XEN_PAGE_SIZE, prot, MAP_SHARED, fd, map->index);
	if (map->base == MAP_FAILED) {
		int err = errno;

		map->base = NULL;
		grant_unmap(fd, map);
		mem_xen_count_failures(refs->n);
		return -err;
	}
	mem_xen_count_pages(map->pages);
	return 0;
}

void grant_unmap(int fd, const struct grant_map *map)
{
	struct xen_unmap_grants call = { .index = map->index, .count = map->pages };

	if (map->base) {
		mem_xen_munmap(map->base, (size_t)map->pages * XEN_PAGE_SIZE);
		mem_xen_count_pages(-(int64_t)map->pages);
	}
	if (mem_xen_ioctl(fd, XEN_IOCTL_UNMAP_GRANTS, &call) < 0)
		mem_xen_count_failures(1);
}

static bool grant_match(const struct mem_region_desc *desc)
{
	return (desc->xen_flags & (MEM_XEN_FOREIGN | MEM_XEN_GRANT)) == MEM_XEN_GRANT;
}

static bool map_in_advance(struct mem_region *r, GError **error)
{
	struct grant_region *g = r->priv;
	struct grant_refs refs = { .n = 0 };
	struct grant_map map;
	int err;

	grant_refs_add(&refs, g->domid, r->desc.guest_addr, r->desc.size);
	err = grant_map_refs(g->fd, &refs, PROT_READ | PROT_WRITE, &map);
	if (err)
		return mem_xen_fail(&r->desc, "cannot map its grants", -err, error);
	g->index = map.index;
	r->map_base = map.base;
	r->map_size = (size_t)map.pages * XEN_PAGE_SIZE;
	r->host = (char *)r->map_base + r->desc.guest_addr % XEN_PAGE_SIZE;
	return true;
}

static void region_free(struct grant_region *g)
{
	fd_close(&g->fd);
	g_free(g);
}

static bool grant_map(struct mem_region *r, int fd, GError **error)
{
	const struct mem_region_desc *desc = &r->desc;
	const uint64_t end = UINT64_C(1) << (32 + XEN_PAGE_SHIFT);
	uint64_t first = desc->guest_addr & ~XEN_GRANT_BIT;
	uint64_t pages = mem_xen_pages(desc->guest_addr, desc->size);
	struct grant_region *g;

	if (!mem_xen_check(desc, fd, error))
		return false;
	if (first > end || desc->size > end - first)
		return mem_xen_fail(desc, "grant references have 32 bits", 0, error);
	g = g_new(struct grant_region, 1);
	*g = (struct grant_region){
		.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
		.domid = desc->xen_domid,
	};
	r->priv = g;
	if (g->fd < 0)
		mem_xen_fail(desc, "cannot keep its fd", errno, error);
	else if ((desc->xen_flags & MEM_XEN_NO_ADVANCE) || pages <= RING_PART_PAGES ||
		pages > GRANT_MAP_PAGES || map_in_advance(r, error))
		return true;
	region_free(g);
	return false;
}

static void grant_unmap_region(struct mem_region *r)
{
	struct grant_region *g = r->priv;

	if (r->host)
		grant_unmap(g->fd,
			&(struct grant_map){ .base = r->map_base,
				.pages = r->map_size / XEN_PAGE_SIZE,
				.index = g->index });
	region_free(g);
}

struct grant_ring {
	int fd; /* the region's */
	struct grant_map map;
};

static bool grant_map_ring(
	struct mem_region *r, uint64_t offset, size_t len, struct mem_ring_map *map, GError **error)
{
	const struct grant_region *g = r->priv;
	uint64_t addr = r->desc.guest_addr + offset;
	struct grant_refs refs = { .n = 0 };
	struct grant_ring ring = { .fd = g->fd };
	int err;

	if (!grant_refs_add(&refs, g->domid, addr, len))
		return mem_xen_fail(&r->desc, "a ring in it is too large", 0, error);
	err = grant_map_refs(g->fd, &refs, PROT_READ | PROT_WRITE, &ring.map);
	if (err)
		return mem_xen_fail(&r->desc, "cannot map a ring's grants", -err, error);
	map->host = (char *)ring.map.base + addr % XEN_PAGE_SIZE;
	map->priv = g_memdup2(&ring, sizeof(ring));
	return true;
}

static void grant_unmap_ring(struct mem_ring_map *map)
{
	g_autofree struct grant_ring *ring = map->priv;

	grant_unmap(ring->fd, &ring->map);
}

const struct mem_type mem_type_grant = {
	.name = "grant",
	/* What pins a page keeps the grant longer than the request. */
	.can_pin = false,
	.match = grant_match,
	.map = grant_map,
	.unmap = grant_unmap_region,
	.borrow = grant_borrow,
	.give_back = grant_give_back,
	.map_ring = grant_map_ring,
	.unmap_ring = grant_unmap_ring,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Granted memory for requests: copied, or mapped for the life of the request.
 *
 * The choice is made for each direction of a mapping: all that the device reads of a request, or
 * all that it writes.
 *
 *	few pages	Copied through a bounce buffer. One ioctl() copies what the device reads,
 *			for a whole batch, when it is borrowed; another copies what it wrote, for
 *			all that are given back together, before they are published. Nothing has
 *			to be unmapped, which would flush the TLB of every CPU.
 *	more		Mapped by one ioctl() and one mmap(), and unmapped by their opposites.
 *			Grants are unmapped only as they were mapped, and the requests of a batch
 *			complete in any order: so there is one map for each mapping, not one for
 *			the batch. Read-only where the device only reads, since the guest grants
 *			those pages read-only.
 *
 * So a 4 KiB read takes two calls and a batch of 32 of them three; one more if they have indirect
 * tables, which must be read before the buffers that they name.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "memory/types/mem_grant_impl.h"

/* Segments of one copy; the kernel passes 16 at a time to Xen. */
#define COPY_SEGMENTS 128u
/* The most groups kept for the next requests: two for each request of a usual ring. */
#define SPARE_MAX 256u

static unsigned copy_max = MEM_GRANT_COPY_MAX;

struct grant_group;

/* The priv of a range. */
struct grant_buffer {
	struct grant_group *group;
	char *host; /* where the range is in the bounce buffer */
};

/* One direction of a mapping. */
struct grant_group {
	unsigned ranges; /* not given back yet */
	unsigned n_buffers;
	/* One for each range; if the group is mapped, the first is for all of them. */
	struct grant_buffer buffer[MEM_GRANT_COPY_MAX];
	const struct grant_region *region;
	struct grant_map map; /* base NULL: copied */
	char *bounce; /* MEM_GRANT_COPY_MAX pages; NULL: not allocated yet */
	struct grant_group *next; /* in the list of spare ones */
};

void mem_grant_set_copy_max(unsigned pages)
{
	copy_max = MIN(pages, MEM_GRANT_COPY_MAX);
}

/* The lock costs little compared with the hypercalls that each use of the list comes with. */
G_LOCK_DEFINE_STATIC(spare);
static struct grant_group *spare;
static unsigned n_spare;

static struct grant_group *group_new(const struct grant_region *region, bool bounced)
{
	struct grant_group *g;

	G_LOCK(spare);
	g = spare;
	if (g) {
		spare = g->next;
		n_spare--;
	}
	G_UNLOCK(spare);
	if (!g)
		g = g_new0(struct grant_group, 1);
	if (bounced && !g->bounce)
		g->bounce = aligned_alloc(XEN_PAGE_SIZE, MEM_GRANT_COPY_MAX * XEN_PAGE_SIZE);
	g->ranges = 0;
	g->n_buffers = 0;
	g->region = region;
	g->map.base = NULL;
	return g;
}

static void group_put(struct grant_group *g)
{
	bool keep;

	if (--g->ranges > 0)
		return;
	if (g->map.base)
		grant_unmap(g->region->fd, &g->map);
	G_LOCK(spare);
	keep = n_spare < SPARE_MAX;
	if (keep) {
		g->next = spare;
		spare = g;
		n_spare++;
	}
	G_UNLOCK(spare);
	if (!keep) {
		free(g->bounce);
		g_free(g);
	}
}

/* Segments collected for one call. A segment that fails sets the status of its range. */
struct grant_copy {
	int fd;
	int *status;
	unsigned n;
	unsigned range[COPY_SEGMENTS];
	struct xen_copy_segment segment[COPY_SEGMENTS];
};

static void copy_flush(struct grant_copy *c)
{
	struct xen_copy_grants call = { .count = c->n, .segment = c->segment };
	unsigned failures = 0;
	bool all;

	if (c->n == 0)
		return;
	all = mem_xen_ioctl(c->fd, XEN_IOCTL_COPY_GRANTS, &call) < 0;
	for (unsigned i = 0; i < c->n; i++) {
		if (all || c->segment[i].status) {
			c->status[c->range[i]] = -EIO;
			failures++;
		}
	}
	mem_xen_count_copies(c->n - failures);
	mem_xen_count_failures(failures);
	c->n = 0;
}

/* Adds the first len bytes of the i-th range of the call. */
static void copy_add(struct grant_copy *c, unsigned i, const struct mem_range *range, uint32_t len)
{
	const struct grant_buffer *buffer = range->priv;
	uint64_t addr = range->addr;
	char *host = buffer->host;

	c->fd = buffer->group->region->fd;
	while (len > 0) {
		uint32_t offset = addr % XEN_PAGE_SIZE;
		uint32_t here = MIN(len, XEN_PAGE_SIZE - offset);
		struct xen_copy_segment *s;
		union xen_copy_end local = { .local = host }, grant;

		if (c->n == COPY_SEGMENTS)
			copy_flush(c);
		grant.grant.ref = grant_ref_of(addr);
		grant.grant.offset = offset;
		grant.grant.domid = buffer->group->region->domid;
		s = &c->segment[c->n];
		c->range[c->n++] = i;
		*s = (struct xen_copy_segment){
			.source = range->write ? local : grant,
			.dest = range->write ? grant : local,
			.len = here,
			.flags = range->write ? XEN_COPY_TO_GRANT : XEN_COPY_FROM_GRANT,
		};
		addr += here;
		host += here;
		len -= here;
	}
}

/* A part of the ranges of a call: one direction of one mapping. */
struct grant_part {
	const struct grant_region *region;
	struct mem_range *const *range;
	void **host;
	int *status;
	unsigned n;
	uint64_t pages;
};

/* Returns the part that begins with the first of n ranges. */
static struct grant_part part_at(struct mem_region *const *regions, struct mem_range *const *ranges,
	struct mem_mapping *const *mappings, unsigned n)
{
	struct grant_part p = { .region = regions[0]->priv, .range = ranges };

	while (p.n < n && mappings[p.n] == mappings[0] && ranges[p.n]->write == ranges[0]->write &&
		((const struct grant_region *)regions[p.n]->priv)->domid == p.region->domid) {
		p.pages += mem_xen_pages(ranges[p.n]->addr, ranges[p.n]->len);
		p.n++;
	}
	return p;
}

static void part_fail(const struct grant_part *p)
{
	for (unsigned i = 0; i < p->n; i++)
		p->status[i] = -EIO;
}

static void part_map(const struct grant_part *p)
{
	struct grant_group *g;
	struct grant_refs refs;
	char *host;

	refs.n = 0;
	for (unsigned i = 0; i < p->n; i++) {
		if (!grant_refs_add(&refs, p->region->domid, p->range[i]->addr, p->range[i]->len)) {
			part_fail(p);
			return;
		}
	}
	g = group_new(p->region, false);
	g->ranges = p->n;
	g->buffer[0].group = g;
	if (grant_map_refs(p->region->fd, &refs,
		    p->range[0]->write ? PROT_READ | PROT_WRITE : PROT_READ, &g->map)) {
		part_fail(p);
		g->ranges = 1;
		group_put(g);
		return;
	}
	host = g->map.base;
	for (unsigned i = 0; i < p->n; i++) {
		p->range[i]->priv = &g->buffer[0];
		p->host[i] = host + p->range[i]->addr % XEN_PAGE_SIZE;
		p->status[i] = 0;
		host += mem_xen_pages(p->range[i]->addr, p->range[i]->len) * XEN_PAGE_SIZE;
	}
}

/*
 * Borrows a part by copying. A buffer keeps its offset in the page. Writable buffers are cleared,
 * because the guest must not see what another request left in them.
 */
static void part_bounce(const struct grant_part *p, struct grant_copy *copy, unsigned first)
{
	struct grant_group *g = group_new(p->region, true);
	char *host = g->bounce;

	if (!host) {
		part_fail(p);
		g->ranges = 1;
		group_put(g);
		return;
	}
	g->ranges = p->n;
	for (unsigned i = 0; i < p->n; i++) {
		struct mem_range *range = p->range[i];
		struct grant_buffer *buffer = &g->buffer[g->n_buffers++];

		buffer->group = g;
		buffer->host = host + range->addr % XEN_PAGE_SIZE;
		range->priv = buffer;
		p->host[i] = buffer->host;
		p->status[i] = 0;
		if (range->write)
			memset(buffer->host, 0, range->len);
		else
			copy_add(copy, first + i, range, range->len);
		host += mem_xen_pages(range->addr, range->len) * XEN_PAGE_SIZE;
	}
}

void grant_borrow(struct mem_region *const *regions, struct mem_range *const *ranges,
	struct mem_mapping *const *mappings, void **host, int *status, unsigned n)
{
	struct grant_copy copy;
	struct grant_part p;

	copy.n = 0;
	copy.status = status;
	for (unsigned i = 0; i < n; i++)
		ranges[i]->priv = NULL;
	for (unsigned i = 0; i < n; i += p.n) {
		p = part_at(regions + i, ranges + i, mappings + i, n - i);
		p.host = host + i;
		p.status = status + i;
		if (p.pages <= copy_max)
			part_bounce(&p, &copy, i);
		else
			part_map(&p);
	}
	copy_flush(&copy);
	for (unsigned i = 0; i < n; i++)
		if (status[i] && ranges[i]->priv)
			group_put(((struct grant_buffer *)ranges[i]->priv)->group);
}

void grant_give_back(
	struct mem_range *const *ranges, const uint32_t *written, int *status, unsigned n)
{
	struct grant_copy copy;

	copy.n = 0;
	copy.status = status;
	for (unsigned i = 0; i < n; i++) {
		const struct grant_buffer *buffer = ranges[i]->priv;

		status[i] = 0;
		if (!buffer->group->map.base && written[i] > 0)
			copy_add(&copy, i, ranges[i], written[i]);
	}
	copy_flush(&copy);
	for (unsigned i = 0; i < n; i++)
		group_put(((struct grant_buffer *)ranges[i]->priv)->group);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Granted memory for requests: copied, or mapped for as long as the request takes.
 *
 * What decides is one direction of a mapping: all that the device reads of a request, or all that it
 * writes.
 *
 *	few pages	copied through a bounce buffer: one ioctl() copies what is read, for a whole
 *			batch, when it is borrowed, and one what was written, for all that are
 *			given back together, before they are published. Nothing has to be unmapped,
 *			which costs every CPU its TLB.
 *	more		mapped: one ioctl() and one mmap(), and their opposites. A map is
 *			undone only as a whole, and the requests of a batch end when they like: so
 *			it is one for each mapping, not one for the batch. Read-only where the device
 *			reads, since the guest grants those pages read-only.
 *
 * So a 4 KiB read takes two calls, a batch of 32 of them three; one more if they have indirect
 * tables, which must be read before what they name can be.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "memory/types/mem_grant_impl.h"

/* Segments of one copy; the kernel hands Xen 16 at a time. */
#define COPY_SEGMENTS 128u
/* Bounce buffers kept for the next requests: two for each request of a usual ring. */
#define SPARE_MAX 256u

static unsigned copy_max = MEM_GRANT_COPY_MAX;

struct group;

struct loan {
	struct group *group;
	char *host; /* bounced: where the range is */
};

/* A direction of a mapping. */
struct group {
	unsigned ranges; /* out */
	unsigned n_loans;
	struct loan loan[MEM_GRANT_COPY_MAX]; /* one for each range, or, mapped, for all of them */
	const struct grant_region *region;
	struct grant_map map; /* base NULL: bounced */
	char *bounce; /* MEM_GRANT_COPY_MAX pages, once there */
	struct group *next; /* spare */
};

void mem_grant_set_copy_max(unsigned pages)
{
	copy_max = MIN(pages, MEM_GRANT_COPY_MAX);
}

/* A lock is nothing beside the calls into the hypervisor that come with each of these. */
G_LOCK_DEFINE_STATIC(spare);
static struct group *spare;
static unsigned n_spare;

static struct group *group_new(const struct grant_region *region, bool bounced)
{
	struct group *g;

	G_LOCK(spare);
	g = spare;
	if (g) {
		spare = g->next;
		n_spare--;
	}
	G_UNLOCK(spare);
	if (!g)
		g = g_new0(struct group, 1);
	if (bounced && !g->bounce)
		g->bounce = aligned_alloc(XEN_PAGE_SIZE, MEM_GRANT_COPY_MAX * XEN_PAGE_SIZE);
	g->ranges = 0;
	g->n_loans = 0;
	g->region = region;
	g->map.base = NULL;
	return g;
}

static void group_put(struct group *g)
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

/* Segments, collected for one call; each belongs to a range, whose status says how it went. */
struct copy {
	int fd;
	int *status;
	unsigned n;
	unsigned range[COPY_SEGMENTS];
	struct xen_copy_segment segment[COPY_SEGMENTS];
};

static void copy_flush(struct copy *c)
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

/* The first len bytes of the i-th range of the call. */
static void copy_add(struct copy *c, unsigned i, const struct mem_range *range, uint32_t len)
{
	const struct loan *loan = range->loan;
	uint64_t addr = range->addr;
	char *host = loan->host;

	c->fd = loan->group->region->fd;
	while (len > 0) {
		uint32_t offset = addr % XEN_PAGE_SIZE;
		uint32_t here = MIN(len, XEN_PAGE_SIZE - offset);
		struct xen_copy_segment *s;
		union xen_copy_end local = { .local = host }, grant;

		if (c->n == COPY_SEGMENTS)
			copy_flush(c);
		grant.grant.ref = grant_ref_of(addr);
		grant.grant.offset = offset;
		grant.grant.domid = loan->group->region->domid;
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

/* Part of the ranges of a call: one direction of one mapping. */
struct part {
	const struct grant_region *region;
	struct mem_range *const *range;
	void **host;
	int *status;
	unsigned n;
	uint64_t pages;
};

/* The part that begins with the first of n ranges. */
static struct part part_at(struct mem_region *const *regions, struct mem_range *const *ranges,
	struct mem_mapping *const *mappings, unsigned n)
{
	struct part p = { .region = regions[0]->priv, .range = ranges };

	while (p.n < n && mappings[p.n] == mappings[0] && ranges[p.n]->write == ranges[0]->write &&
		((const struct grant_region *)regions[p.n]->priv)->domid == p.region->domid) {
		p.pages += mem_xen_pages(ranges[p.n]->addr, ranges[p.n]->len);
		p.n++;
	}
	return p;
}

static void part_fail(const struct part *p)
{
	for (unsigned i = 0; i < p->n; i++)
		p->status[i] = -EIO;
}

static void part_map(const struct part *p)
{
	struct group *g;
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
	g->loan[0].group = g;
	if (grant_map_refs(p->region->fd, &refs,
		    p->range[0]->write ? PROT_READ | PROT_WRITE : PROT_READ, &g->map)) {
		part_fail(p);
		g->ranges = 1;
		group_put(g);
		return;
	}
	host = g->map.base;
	for (unsigned i = 0; i < p->n; i++) {
		p->range[i]->loan = &g->loan[0];
		p->host[i] = host + p->range[i]->addr % XEN_PAGE_SIZE;
		p->status[i] = 0;
		host += mem_xen_pages(p->range[i]->addr, p->range[i]->len) * XEN_PAGE_SIZE;
	}
}

/*
 * A buffer keeps its offset in the page. What the device does not write of one must not be what
 * another request left there.
 */
static void part_bounce(const struct part *p, struct copy *copy, unsigned first)
{
	struct group *g = group_new(p->region, true);
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
		struct loan *loan = &g->loan[g->n_loans++];

		loan->group = g;
		loan->host = host + range->addr % XEN_PAGE_SIZE;
		range->loan = loan;
		p->host[i] = loan->host;
		p->status[i] = 0;
		if (range->write)
			memset(loan->host, 0, range->len);
		else
			copy_add(copy, first + i, range, range->len);
		host += mem_xen_pages(range->addr, range->len) * XEN_PAGE_SIZE;
	}
}

void grant_borrow(struct mem_region *const *regions, struct mem_range *const *ranges,
	struct mem_mapping *const *mappings, void **host, int *status, unsigned n)
{
	struct copy copy;
	struct part p;

	copy.n = 0;
	copy.status = status;
	for (unsigned i = 0; i < n; i++)
		ranges[i]->loan = NULL;
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
		if (status[i] && ranges[i]->loan)
			group_put(((struct loan *)ranges[i]->loan)->group);
}

void grant_give_back(
	struct mem_range *const *ranges, const uint32_t *written, int *status, unsigned n)
{
	struct copy copy;

	copy.n = 0;
	copy.status = status;
	for (unsigned i = 0; i < n; i++) {
		const struct loan *loan = ranges[i]->loan;

		status[i] = 0;
		if (!loan->group->map.base && written[i] > 0)
			copy_add(&copy, i, ranges[i], written[i]);
	}
	copy_flush(&copy);
	for (unsigned i = 0; i < n; i++)
		group_put(((struct loan *)ranges[i]->loan)->group);
}

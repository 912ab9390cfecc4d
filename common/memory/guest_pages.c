/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding guest memory: see guest_pages.h.
 *
 * A table change does not touch the holds: it counts up the table's generation, and a hold of an
 * older one is looked up again, on its own thread, when it is used.
 */
#include "memory/guest_pages.h"

#include <errno.h>
#include <sys/mman.h>

#include "memory/dirty_log.h"
#include "memory/guest_mem_impl.h"

/*
 * What stands in for memory that no longer exists. All holds of a guest share it, and a large range
 * takes many iovecs of it, so that its size is all that it can cost.
 */
#define SCRAP_SIZE (UINT64_C(1) << 20)
/* Ranges that lie in several regions take more than one each. */
#define MAX_IOV (2 * GUEST_PAGES_MAX_RANGES)

struct guest_pages {
	struct guest_mem *mem;
	unsigned generation; /* of the table that iov is of */
	bool lost; /* some of iov is scrap */
	void *scrap; /* mem's */
	GArray *iov; /* struct iovec */
	unsigned n;
	struct guest_pages_range range[];
};

/* Returns the scrap of m, mapped with the first hold of any thread; NULL without memory. */
static void *get_scrap(struct guest_mem *m)
{
	void *scrap = __atomic_load_n(&m->scrap, __ATOMIC_ACQUIRE), *mapped;

	if (scrap)
		return scrap;
	mapped = mmap(NULL, SCRAP_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapped == MAP_FAILED)
		return NULL;
	if (__atomic_compare_exchange_n(
		    &m->scrap, &scrap, mapped, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return mapped;
	munmap(mapped, SCRAP_SIZE);
	return scrap;
}

void guest_pages_free_scrap(struct guest_mem *m)
{
	if (m->scrap)
		munmap(m->scrap, SCRAP_SIZE);
}

static void add_iov(struct guest_pages *p, void *base, size_t len)
{
	const struct iovec iov = { .iov_base = base, .iov_len = len };

	g_array_append_val(p->iov, iov);
}

/* Appends the iovecs of a range: one for each region that it touches. 0 or -errno. */
static int add_range(struct guest_pages *p, const struct guest_pages_range *range)
{
	const struct mem_table *table = &p->mem->table;
	uint64_t addr = range->addr, left = range->len;

	while (left > 0) {
		unsigned at = mem_table_find(table, addr);
		struct mem_region *r = at < table->n ? table->region[at] : NULL;
		uint64_t offset, here;

		if (!r || mem_region_poisoned(r))
			return -EFAULT;
		if (!r->host)
			return -EOPNOTSUPP;
		if (p->iov->len == MAX_IOV)
			return -E2BIG;
		offset = addr - r->desc.guest_addr;
		here = MIN(left, r->desc.size - offset);
		if (r->type->populate && !r->type->populate(r, offset, here))
			return -EFAULT;
		add_iov(p, (char *)r->host + offset, here);
		addr += here;
		left -= here;
	}
	return 0;
}

static void add_scrap(struct guest_pages *p, uint64_t len)
{
	p->lost = true;
	while (len > 0) {
		uint64_t here = MIN(len, SCRAP_SIZE);

		add_iov(p, p->scrap, here);
		len -= here;
	}
}

static void look_up_again(struct guest_pages *p)
{
	p->generation = p->mem->generation;
	p->lost = false;
	g_array_set_size(p->iov, 0);
	for (unsigned i = 0; i < p->n; i++) {
		unsigned before = p->iov->len;

		if (add_range(p, &p->range[i]) == 0)
			continue;
		g_array_set_size(p->iov, before);
		add_scrap(p, p->range[i].len);
	}
}

static bool is_too_much(const struct guest_pages_range *ranges, unsigned n)
{
	uint64_t left = GUEST_PAGES_MAX_BYTES;

	for (unsigned i = 0; n <= GUEST_PAGES_MAX_RANGES && i < n; i++) {
		if (ranges[i].len > left)
			return true;
		left -= ranges[i].len;
	}
	return n > GUEST_PAGES_MAX_RANGES;
}

int guest_pages_hold(struct guest_mem *m, const struct guest_pages_range *ranges, unsigned n,
	struct guest_pages **pages)
{
	struct guest_pages *p;
	int err = 0;

	*pages = NULL;
	if (is_too_much(ranges, n))
		return -E2BIG;
	p = g_malloc(sizeof(*p) + n * sizeof(p->range[0]));
	*p = (struct guest_pages){
		.mem = m,
		.generation = m->generation,
		.scrap = get_scrap(m),
		.iov = g_array_sized_new(FALSE, FALSE, sizeof(struct iovec), n),
		.n = n,
	};
	if (!p->scrap)
		err = -ENOMEM;
	if (n > 0)
		memcpy(p->range, ranges, n * sizeof(p->range[0]));
	for (unsigned i = 0; i < n && !err; i++)
		err = add_range(p, &p->range[i]);
	if (err)
		guest_pages_release(p);
	else
		*pages = p;
	return err;
}

const struct iovec *guest_pages_iov(struct guest_pages *p, unsigned *n)
{
	if (p->generation != p->mem->generation)
		look_up_again(p);
	if (p->lost)
		madvise(p->scrap, SCRAP_SIZE, MADV_DONTNEED);
	*n = p->iov->len;
	return (const struct iovec *)(void *)p->iov->data;
}

void guest_pages_written(struct guest_pages *p, uint64_t offset, uint64_t len)
{
	for (unsigned i = 0; p->mem->log && i < p->n; i++) {
		const struct guest_pages_range *r = &p->range[i];
		uint64_t here = MIN(len, r->len - MIN(offset, r->len));

		dirty_log_mark(p->mem->log, r->addr + offset, here);
		offset -= MIN(offset, r->len);
		len -= here;
	}
}

void guest_pages_release(struct guest_pages *p)
{
	if (!p)
		return;
	g_array_free(p->iov, TRUE);
	g_free(p);
}

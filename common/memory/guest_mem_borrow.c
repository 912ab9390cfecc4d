/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Borrowing guest memory and giving it back.
 *
 * Every range is looked up first. In a region that is mapped for its life (memfd) that is all: the
 * iovecs point into the mapping, and giving back is counting. A region without a host address
 * (grants) leaves its iovecs open with a NULL base; a second pass collects those ranges from all
 * mappings and has the memory type map them in one call. Giving back collects likewise. The scratch for
 * collecting is on the stack, so a batch with more than LENT_MAX such ranges takes several calls.
 */
#include <errno.h>

#include "memory/guest_mem_impl.h"
#include "memory/types/mem_xen.h"

#define LENT_MAX 256

/* Consecutive requests mostly hit one region: b->last is where to look first, never trusted. */
static inline struct mem_region *region_at(struct mem_borrower *b, uint64_t addr)
{
	const struct mem_table *table = &b->mem->table;
	unsigned at = b->last;

	if (at < table->n && mem_region_holds(table->region[at], addr))
		return table->region[at];
	at = mem_table_find(table, addr);
	if (at == table->n)
		return NULL;
	b->last = at;
	return table->region[at];
}

/* Appends the iovecs of a range to its mapping: one for each region that it touches. */
static int add_range(
	struct mem_borrower *b, struct mem_mapping *mapping, const struct mem_range *range)
{
	uint64_t addr = range->addr;
	uint32_t left = range->len;

	while (left > 0) {
		struct mem_region *r = region_at(b, addr);
		uint64_t offset, here;

		if (!r || mem_region_poisoned(r))
			return -EFAULT;
		offset = addr - r->desc.guest_addr;
		here = MIN(left, r->desc.size - offset);
		/* A range has one loan: it cannot straddle regions that are mapped per borrow. */
		if (!r->host && here < range->len)
			return -EFAULT;
		if (mapping->n_iov == mapping->max_iov)
			return -ENOBUFS;
		if (r->type->populate && !r->type->populate(r, offset, here))
			return -EIO;
		if (!r->host)
			mapping->lent += mem_xen_pages(addr, here);
		mapping->iov[mapping->n_iov++] = (struct iovec){
			.iov_base = r->host ? (char *)r->host + offset : NULL,
			.iov_len = here,
		};
		addr += here;
		left -= here;
	}
	return 0;
}

static int look_up(struct mem_borrower *b, struct mem_mapping *mapping)
{
	mapping->n_iov = 0;
	mapping->n_iov_out = 0;
	mapping->lent = 0;
	for (unsigned i = 0; i < mapping->n_range; i++) {
		int err = add_range(b, mapping, &mapping->range[i]);

		if (err)
			return err;
		if (!mapping->range[i].write)
			mapping->n_iov_out = mapping->n_iov;
	}
	return 0;
}

bool guest_mem_window(const struct guest_mem *m, uint64_t addr, struct mem_window *w)
{
	unsigned at = mem_table_find(&m->table, addr);
	const struct mem_region *r = at < m->table.n ? m->table.region[at] : NULL;

	*w = (struct mem_window){ .host = NULL };
	if (!r || !r->host || r->type->populate || mem_region_poisoned(r))
		return false;
	*w = (struct mem_window){
		.addr = r->desc.guest_addr, .size = r->desc.size, .host = r->host
	};
	return true;
}

/* Ranges of one memory type, collected for one call to it. */
struct lent {
	const struct mem_type *type;
	unsigned n;
	struct mem_region *region[LENT_MAX];
	struct mem_range *range[LENT_MAX];
	struct mem_mapping *mapping[LENT_MAX];
	struct iovec *iov[LENT_MAX]; /* borrowing: to be filled */
	uint32_t written[LENT_MAX]; /* giving back */
};

static void lent_borrow(struct lent *lent)
{
	void *host[LENT_MAX];
	int status[LENT_MAX];

	if (lent->n == 0)
		return;
	lent->type->borrow(lent->region, lent->range, lent->mapping, host, status, lent->n);
	for (unsigned i = 0; i < lent->n; i++) {
		if (status[i] == 0) {
			lent->iov[i]->iov_base = host[i];
		} else {
			lent->range[i]->loan = NULL;
			lent->mapping[i]->status = -EIO;
		}
	}
	lent->n = 0;
}

/* Collects, and with the last one or when full borrows, the ranges of a mapping that are still open. */
static void lent_borrow_lot(struct lent *lent, struct mem_borrower *b, struct mem_mapping *mapping)
{
	struct iovec *iov = mapping->iov;

	for (unsigned i = 0; i < mapping->n_range && mapping->status == 0; i++) {
		struct mem_range *range = &mapping->range[i];
		struct mem_region *r;

		if (range->len == 0)
			continue;
		if (!iov->iov_base && (r = region_at(b, range->addr))->type == lent->type) {
			if (lent->n == LENT_MAX)
				lent_borrow(lent);
			lent->region[lent->n] = r;
			lent->range[lent->n] = range;
			lent->mapping[lent->n] = mapping;
			lent->iov[lent->n++] = iov;
		}
		for (size_t covered = 0; covered < range->len; iov++)
			covered += iov->iov_len;
	}
}

static void lent_give_back(struct lent *lent)
{
	int status[LENT_MAX];

	if (lent->n > 0)
		lent->type->give_back(lent->range, lent->written, status, lent->n);
	for (unsigned i = 0; i < lent->n; i++) {
		lent->range[i]->loan = NULL;
		if (status[i])
			lent->mapping[i]->status = -EIO;
	}
	lent->n = 0;
}

static void lent_give_back_lot(
	struct lent *lent, struct mem_borrower *b, struct mem_mapping *mapping, size_t written)
{
	for (unsigned i = 0; i < mapping->n_range; i++) {
		struct mem_range *range = &mapping->range[i];
		uint32_t here = range->write ? MIN(written, range->len) : 0;

		written -= here;
		if (!range->loan || region_at(b, range->addr)->type != lent->type)
			continue;
		if (lent->n == LENT_MAX)
			lent_give_back(lent);
		lent->range[lent->n] = range;
		lent->mapping[lent->n] = mapping;
		lent->written[lent->n++] = here;
	}
}

/* Lots that failed are to be given back untouched, or the others with what was written. */
static void give_back_all(
	struct mem_borrower *b, struct mem_mapping *const *mappings, unsigned n, bool failed)
{
	struct lent lent;

	for (const struct mem_type *const *type = b->mem->types; *type; type++) {
		lent.type = *type;
		lent.n = 0;
		for (unsigned i = 0; (*type)->give_back && i < n; i++)
			if (!failed || mappings[i]->status)
				lent_give_back_lot(
					&lent, b, mappings[i], failed ? 0 : mappings[i]->written);
		lent_give_back(&lent);
	}
}

/* Whether a mapping may be borrowed beside what is out: so a mapping alone always may, or never. */
static int take_pages(struct mem_borrower *b, struct mem_mapping *mapping)
{
	if (mapping->lent > GUEST_MEM_LENT_MAX)
		return -EIO;
	if (mapping->lent > GUEST_MEM_LENT_MAX - b->lent)
		return -EAGAIN;
	b->lent += mapping->lent;
	return 0;
}

static void return_pages(struct mem_borrower *b, struct mem_mapping *mapping)
{
	b->lent -= mapping->lent;
	mapping->lent = 0;
}

static void borrow_all(struct mem_borrower *b, struct mem_mapping *const *mappings, unsigned n)
{
	struct lent lent;

	for (const struct mem_type *const *type = b->mem->types; *type; type++) {
		lent.type = *type;
		lent.n = 0;
		for (unsigned i = 0; (*type)->borrow && i < n; i++)
			lent_borrow_lot(&lent, b, mappings[i]);
		lent_borrow(&lent);
	}
	/* What a mapping got before one of its ranges failed. */
	give_back_all(b, mappings, n, true);
}

void guest_mem_borrow(struct mem_borrower *b, struct mem_mapping *const *mappings, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		mappings[i]->status = look_up(b, mappings[i]);

	if (b->mem->lends) {
		for (unsigned i = 0; i < n; i++) {
			for (unsigned j = 0; j < mappings[i]->n_range; j++)
				mappings[i]->range[j].loan = NULL;
			if (mappings[i]->status == 0)
				mappings[i]->status = take_pages(b, mappings[i]);
			if (mappings[i]->status)
				mappings[i]->lent = 0;
		}
		borrow_all(b, mappings, n);
	}

	for (unsigned i = 0; i < n; i++) {
		if (mappings[i]->status == 0)
			b->mappings_out++;
		else
			mappings[i]->n_iov = mappings[i]->n_iov_out = 0;
		if (mappings[i]->status)
			return_pages(b, mappings[i]);
	}
}

void guest_mem_give_back(struct mem_borrower *b, struct mem_mapping *const *mappings, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		return_pages(b, mappings[i]);
	if (b->mem->lends)
		give_back_all(b, mappings, n, false);
	b->mappings_out -= n;
}

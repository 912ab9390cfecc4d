/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Borrowing guest memory and giving it back.
 *
 * Every range is looked up first. In a region that is mapped for its life (memfd) that is all: the
 * iovecs point into the mapping, and giving back is counting. A region without a host address
 * (grants) leaves its iovecs open with a NULL base; a second pass collects those ranges from all
 * lots and has the memory type map them in one call. Giving back collects likewise. The scratch for
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

/* Appends the iovecs of a range to its lot: one for each region that it touches. */
static int add_range(struct mem_borrower *b, struct mem_lot *lot, const struct mem_range *range)
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
		if (lot->n_iov == lot->max_iov)
			return -ENOBUFS;
		if (r->type->populate && !r->type->populate(r, offset, here))
			return -EIO;
		if (!r->host)
			lot->lent += mem_xen_pages(addr, here);
		lot->iov[lot->n_iov++] = (struct iovec){
			.iov_base = r->host ? (char *)r->host + offset : NULL,
			.iov_len = here,
		};
		addr += here;
		left -= here;
	}
	return 0;
}

static int look_up(struct mem_borrower *b, struct mem_lot *lot)
{
	lot->n_iov = 0;
	lot->n_iov_out = 0;
	lot->lent = 0;
	for (unsigned i = 0; i < lot->n_range; i++) {
		int err = add_range(b, lot, &lot->range[i]);

		if (err)
			return err;
		if (!lot->range[i].write)
			lot->n_iov_out = lot->n_iov;
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
	struct mem_lot *lot[LENT_MAX];
	struct iovec *iov[LENT_MAX]; /* borrowing: to be filled */
	uint32_t written[LENT_MAX]; /* giving back */
};

static void lent_borrow(struct lent *lent)
{
	void *host[LENT_MAX];
	int status[LENT_MAX];

	if (lent->n == 0)
		return;
	lent->type->borrow(lent->region, lent->range, lent->lot, host, status, lent->n);
	for (unsigned i = 0; i < lent->n; i++) {
		if (status[i] == 0) {
			lent->iov[i]->iov_base = host[i];
		} else {
			lent->range[i]->loan = NULL;
			lent->lot[i]->status = -EIO;
		}
	}
	lent->n = 0;
}

/* Collects, and with the last one or when full borrows, the ranges of a lot that are still open. */
static void lent_borrow_lot(struct lent *lent, struct mem_borrower *b, struct mem_lot *lot)
{
	struct iovec *iov = lot->iov;

	for (unsigned i = 0; i < lot->n_range && lot->status == 0; i++) {
		struct mem_range *range = &lot->range[i];
		struct mem_region *r;

		if (range->len == 0)
			continue;
		if (!iov->iov_base && (r = region_at(b, range->addr))->type == lent->type) {
			if (lent->n == LENT_MAX)
				lent_borrow(lent);
			lent->region[lent->n] = r;
			lent->range[lent->n] = range;
			lent->lot[lent->n] = lot;
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
			lent->lot[i]->status = -EIO;
	}
	lent->n = 0;
}

static void lent_give_back_lot(
	struct lent *lent, struct mem_borrower *b, struct mem_lot *lot, size_t written)
{
	for (unsigned i = 0; i < lot->n_range; i++) {
		struct mem_range *range = &lot->range[i];
		uint32_t here = range->write ? MIN(written, range->len) : 0;

		written -= here;
		if (!range->loan || region_at(b, range->addr)->type != lent->type)
			continue;
		if (lent->n == LENT_MAX)
			lent_give_back(lent);
		lent->range[lent->n] = range;
		lent->lot[lent->n] = lot;
		lent->written[lent->n++] = here;
	}
}

/* Lots that failed are to be given back untouched, or the others with what was written. */
static void give_back_all(
	struct mem_borrower *b, struct mem_lot *const *lots, unsigned n, bool failed)
{
	struct lent lent;

	for (const struct mem_type *const *type = b->mem->types; *type; type++) {
		lent.type = *type;
		lent.n = 0;
		for (unsigned i = 0; (*type)->give_back && i < n; i++)
			if (!failed || lots[i]->status)
				lent_give_back_lot(
					&lent, b, lots[i], failed ? 0 : lots[i]->written);
		lent_give_back(&lent);
	}
}

/* Whether a lot may be borrowed beside what is out: so a lot alone always may, or never. */
static int take_pages(struct mem_borrower *b, struct mem_lot *lot)
{
	if (lot->lent > GUEST_MEM_LENT_MAX)
		return -EIO;
	if (lot->lent > GUEST_MEM_LENT_MAX - b->lent)
		return -EAGAIN;
	b->lent += lot->lent;
	return 0;
}

static void return_pages(struct mem_borrower *b, struct mem_lot *lot)
{
	b->lent -= lot->lent;
	lot->lent = 0;
}

static void borrow_all(struct mem_borrower *b, struct mem_lot *const *lots, unsigned n)
{
	struct lent lent;

	for (const struct mem_type *const *type = b->mem->types; *type; type++) {
		lent.type = *type;
		lent.n = 0;
		for (unsigned i = 0; (*type)->borrow && i < n; i++)
			lent_borrow_lot(&lent, b, lots[i]);
		lent_borrow(&lent);
	}
	/* What a lot got before one of its ranges failed. */
	give_back_all(b, lots, n, true);
}

void guest_mem_borrow(struct mem_borrower *b, struct mem_lot *const *lots, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		lots[i]->status = look_up(b, lots[i]);

	if (b->mem->lends) {
		for (unsigned i = 0; i < n; i++) {
			for (unsigned j = 0; j < lots[i]->n_range; j++)
				lots[i]->range[j].loan = NULL;
			if (lots[i]->status == 0)
				lots[i]->status = take_pages(b, lots[i]);
			if (lots[i]->status)
				lots[i]->lent = 0;
		}
		borrow_all(b, lots, n);
	}

	for (unsigned i = 0; i < n; i++) {
		if (lots[i]->status == 0)
			b->lots_out++;
		else
			lots[i]->n_iov = lots[i]->n_iov_out = 0;
		if (lots[i]->status)
			return_pages(b, lots[i]);
	}
}

void guest_mem_give_back(struct mem_borrower *b, struct mem_lot *const *lots, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		return_pages(b, lots[i]);
	if (b->mem->lends)
		give_back_all(b, lots, n, false);
	b->lots_out -= n;
}

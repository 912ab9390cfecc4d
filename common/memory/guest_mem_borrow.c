/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Borrowing guest memory and giving it back.
 *
 * Every range is looked up first. In a region that is mapped for its life (memfd) that is all: the
 * iovecs point into the mapping, and giving back only counts. In a region without a host address
 * (grants) the iovecs get a NULL base; a second pass collects those ranges from all mappings and
 * has the memory type map them in one call. Giving back collects likewise. The collection is on the
 * stack, so a batch with more than BATCH_MAX such ranges takes several calls.
 */
#include <errno.h>

#include "memory/guest_mem_impl.h"
#include "memory/types/mem_xen.h"

#define BATCH_MAX 256

/*
 * Finds the region. Consecutive requests are mostly in one: b->last, which may be stale, is
 * tried first.
 */
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
		/*
		 * A range has one priv: it cannot straddle regions that are mapped for each borrow.
		 */
		if (!r->host && here < range->len)
			return -EFAULT;
		if (mapping->n_iov == mapping->max_iov)
			return -ENOBUFS;
		if (r->type->populate && !r->type->populate(r, offset, here))
			return -EIO;
		if (!r->host)
			mapping->mapped += mem_xen_pages(addr, here);
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
	mapping->mapped = 0;
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
struct type_batch {
	const struct mem_type *type;
	unsigned n;
	struct mem_region *region[BATCH_MAX];
	struct mem_range *range[BATCH_MAX];
	struct mem_mapping *mapping[BATCH_MAX];
	struct iovec *iov[BATCH_MAX]; /* borrowing: to be filled */
	uint32_t written[BATCH_MAX]; /* giving back */
};

static void batch_borrow(struct type_batch *batch)
{
	void *host[BATCH_MAX];
	int status[BATCH_MAX];

	if (batch->n == 0)
		return;
	batch->type->borrow(batch->region, batch->range, batch->mapping, host, status, batch->n);
	for (unsigned i = 0; i < batch->n; i++) {
		if (status[i] == 0) {
			batch->iov[i]->iov_base = host[i];
		} else {
			batch->range[i]->priv = NULL;
			batch->mapping[i]->status = -EIO;
		}
	}
	batch->n = 0;
}

/*
 * Collects the ranges of a mapping whose iovec has no base yet; borrows whenever the batch is full.
 */
static void borrow_ranges(
	struct type_batch *batch, struct mem_borrower *b, struct mem_mapping *mapping)
{
	struct iovec *iov = mapping->iov;

	for (unsigned i = 0; i < mapping->n_range && mapping->status == 0; i++) {
		struct mem_range *range = &mapping->range[i];
		struct mem_region *r;

		if (range->len == 0)
			continue;
		if (!iov->iov_base && (r = region_at(b, range->addr))->type == batch->type) {
			if (batch->n == BATCH_MAX)
				batch_borrow(batch);
			batch->region[batch->n] = r;
			batch->range[batch->n] = range;
			batch->mapping[batch->n] = mapping;
			batch->iov[batch->n++] = iov;
		}
		for (size_t covered = 0; covered < range->len; iov++)
			covered += iov->iov_len;
	}
}

static void batch_give_back(struct type_batch *batch)
{
	int status[BATCH_MAX];

	if (batch->n > 0)
		batch->type->give_back(batch->range, batch->written, status, batch->n);
	for (unsigned i = 0; i < batch->n; i++) {
		batch->range[i]->priv = NULL;
		if (status[i])
			batch->mapping[i]->status = -EIO;
	}
	batch->n = 0;
}

static void give_back_ranges(struct type_batch *batch, struct mem_borrower *b,
	struct mem_mapping *mapping, size_t written)
{
	for (unsigned i = 0; i < mapping->n_range; i++) {
		struct mem_range *range = &mapping->range[i];
		uint32_t here = range->write ? MIN(written, range->len) : 0;

		written -= here;
		if (!range->priv || region_at(b, range->addr)->type != batch->type)
			continue;
		if (batch->n == BATCH_MAX)
			batch_give_back(batch);
		batch->range[batch->n] = range;
		batch->mapping[batch->n] = mapping;
		batch->written[batch->n++] = here;
	}
}

/* Gives back the mappings that failed, with nothing written, or all with what was written. */
static void give_back_all(
	struct mem_borrower *b, struct mem_mapping *const *mappings, unsigned n, bool failed)
{
	struct type_batch batch;

	for (const struct mem_type *const *type = b->mem->types; *type; type++) {
		batch.type = *type;
		batch.n = 0;
		for (unsigned i = 0; (*type)->give_back && i < n; i++)
			if (!failed || mappings[i]->status)
				give_back_ranges(
					&batch, b, mappings[i], failed ? 0 : mappings[i]->written);
		batch_give_back(&batch);
	}
}

/* Counts the pages of a mapping. -EAGAIN: too many with what is out; -EIO: even on their own. */
static int take_pages(struct mem_borrower *b, struct mem_mapping *mapping)
{
	if (mapping->mapped > GUEST_MEM_MAPPED_MAX)
		return -EIO;
	if (mapping->mapped > GUEST_MEM_MAPPED_MAX - b->mapped)
		return -EAGAIN;
	b->mapped += mapping->mapped;
	return 0;
}

static void return_pages(struct mem_borrower *b, struct mem_mapping *mapping)
{
	b->mapped -= mapping->mapped;
	mapping->mapped = 0;
}

static void borrow_all(struct mem_borrower *b, struct mem_mapping *const *mappings, unsigned n)
{
	struct type_batch batch;

	for (const struct mem_type *const *type = b->mem->types; *type; type++) {
		batch.type = *type;
		batch.n = 0;
		for (unsigned i = 0; (*type)->borrow && i < n; i++)
			borrow_ranges(&batch, b, mappings[i]);
		batch_borrow(&batch);
	}
	/* What mappings got before one of their ranges failed. */
	give_back_all(b, mappings, n, true);
}

void guest_mem_borrow(struct mem_borrower *b, struct mem_mapping *const *mappings, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		mappings[i]->status = look_up(b, mappings[i]);

	if (b->mem->maps_per_borrow) {
		for (unsigned i = 0; i < n; i++) {
			for (unsigned j = 0; j < mappings[i]->n_range; j++)
				mappings[i]->range[j].priv = NULL;
			if (mappings[i]->status == 0)
				mappings[i]->status = take_pages(b, mappings[i]);
			if (mappings[i]->status)
				mappings[i]->mapped = 0;
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
	if (b->mem->maps_per_borrow)
		give_back_all(b, mappings, n, false);
	b->mappings_out -= n;
}

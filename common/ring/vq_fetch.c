/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests by the batch: fetched from the vring, their indirect tables read, their memory borrowed;
 * one borrow and one give back for the tables of a batch, one borrow for its data.
 */
#include <errno.h>
#include <inttypes.h>

#include "ring/vq_req_impl.h"

/*
 * Borrows mappings of requests; those that need more iovecs than they have get them, within reason:
 * a table of regions of one byte each would make thousands of iovecs out of every buffer.
 */
static void borrow(struct vq *q, struct mem_mapping **mappings, unsigned n)
{
	while (n) {
		unsigned again = 0;

		guest_mem_borrow(&q->borrower, mappings, n);
		for (unsigned i = 0; i < n; i++) {
			if (mappings[i]->status != -ENOBUFS)
				continue;
			if (mappings[i]->max_iov >= VQ_MAX_IOV) {
				mappings[i]->status = -EIO;
				continue;
			}
			vq_req_grow_iov(q, container_of(mappings[i], struct vq_req, mapping),
				2 * mappings[i]->max_iov);
			mappings[again++] = mappings[i];
		}
		n = again;
	}
}

/* Makes a request wait that is not bad: too much is out. */
static void want_memory(struct vq *q)
{
	q->stalled = true;
	q->wants_memory = true;
}

void vq_give_back(struct vq *q, struct vq_req *const *reqs, unsigned n)
{
	struct mem_mapping *mappings[VQ_BATCH];
	unsigned n_mappings = 0;

	for (unsigned i = 0; i < n; i++) {
		if (reqs[i]->mapping.n_range)
			mappings[n_mappings++] = &reqs[i]->mapping;
		if (n_mappings == VQ_BATCH || (n_mappings && i + 1 == n)) {
			guest_mem_give_back(&q->borrower, mappings, n_mappings);
			n_mappings = 0;
		}
	}
	q->wants_memory = false;
}

static void unfetch(struct vq *q, const struct vq_req *r)
{
	if (r->retry)
		q->next_retry--;
	/* A list remembers it, or the vring does. */
	if (!r->retry || !q->retry)
		q->ops->unfetch(q, r);
}

void vq_unfetch_one(struct vq *q, struct vq_req *r)
{
	if (r->detached) {
		vq_retry_leave(q, r);
		return;
	}
	r->mapping.written = 0;
	vq_give_back(q, &r, 1);
	unfetch(q, r);
	vq_req_free(q, r);
}

/*
 * Returns the batch reversed: the last one fetched first, so that the vring goes back by the way
 * it came.
 */
static struct vq_req *reversed(struct vq_req *list)
{
	struct vq_req *back = NULL;

	while (list) {
		struct vq_req *r = list;

		list = r->next;
		r->next = back;
		back = r;
	}
	return back;
}

void vq_unfetch_ready(struct vq *q)
{
	struct vq_req *batch[VQ_BATCH], *list = reversed(q->ready);
	unsigned n = 0;

	q->ready = NULL;
	q->ready_end = &q->ready;
	while (list) {
		struct vq_req *r = list;

		list = r->next;
		if (r->detached) {
			vq_retry_leave(q, r);
		} else {
			r->mapping.written = 0;
			batch[n++] = r;
		}
		if (n < VQ_BATCH && list)
			continue;
		vq_give_back(q, batch, n);
		for (unsigned i = 0; i < n; i++) {
			unfetch(q, batch[i]);
			vq_req_free(q, batch[i]);
		}
		n = 0;
	}
}

static int bad_range(
	struct vq *q, const struct mem_range *range, int status, unsigned desc, const char *what)
{
	return vq_bad(q, "descriptor %u: %s 0x%" PRIx64 ", length %" PRIu32 ", %s", desc, what,
		range->addr, range->len,
		status == -EFAULT ? "is not in guest memory" : "cannot be mapped");
}

/* Finds which of its ranges made the borrowing of r fail. */
static int bad_memory(struct vq *q, struct vq_req *r)
{
	int status = r->mapping.status;
	unsigned i = 0;

	for (; i < r->sum.n - 1; i++) {
		struct mem_mapping mapping = r->mapping;
		struct mem_mapping *mappings[] = { &mapping };

		mapping.range = &r->range[i];
		mapping.n_range = 1;
		guest_mem_borrow(&q->borrower, mappings, 1);
		if (mapping.status < 0 && mapping.status != -ENOBUFS)
			break;
		if (mapping.status == 0)
			guest_mem_give_back(&q->borrower, mappings, 1);
	}
	return bad_range(q, &r->range[i], status, r->head, "the chain from there has a buffer at");
}

/*
 * Returns where memory that needs no borrowing is; NULL: it does, or is not all in one region,
 * or in none.
 */
static inline void *mapped(struct vq *q, const struct mem_range *range)
{
	void *host = mem_window_host(&q->window, range->addr, range->len);

	if (G_LIKELY(host) || !guest_mem_window(q->borrower.mem, range->addr, &q->window))
		return host;
	return mem_window_host(&q->window, range->addr, range->len);
}

/*
 * Begins to bring a request's header, and what follows it, to this CPU: where requests are small,
 * waiting for that is most of the work.
 */
static void prefetch(const struct vq_req *r)
{
	const char *at = r->mapping.iov->iov_base;

	if (r->sum.n_out) {
		__builtin_prefetch(at, 0);
		__builtin_prefetch(at + CACHE_LINE, 0);
	} else if (r->sum.n) {
		__builtin_prefetch(at, 1);
		__builtin_prefetch(at + CACHE_LINE, 1);
	}
}

/* Maps all tables, or all data, of a batch; false: they must be borrowed. */

static bool map_tables(struct vq *q, struct vq_req *const *batch, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct vq_req *r = batch[i];

		if (!r->table.len)
			continue;
		r->mapping.iov[0].iov_base = mapped(q, &r->table);
		r->mapping.n_iov = 1;
		if (!r->mapping.iov[0].iov_base)
			return false;
	}
	return true;
}

static bool map_data(struct vq *q, struct vq_req *const *batch, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct vq_req *r = batch[i];
		struct mem_mapping *mapping = &r->mapping;
		const struct mem_range *range = r->range, *end = range + r->sum.n;
		struct iovec *iov;

		if (r->sum.n > mapping->max_iov)
			vq_req_grow_iov(q, r, r->max_range);
		iov = mapping->iov;
		for (; range < end; range++, iov++) {
			void *host = mapped(q, range);

			if (!host)
				return false;
			iov->iov_base = host;
			iov->iov_len = range->len;
		}
		prefetch(r);
		mapping->n_range = 0;
		mapping->n_iov = r->sum.n;
		mapping->n_iov_out = r->sum.n_out;
	}
	return true;
}

/* Fetches. Each of these takes a batch and returns how many requests at its start are good. */

static unsigned fetch_rings_part(struct vq *q, struct vq_req **batch, int *found, bool *tables)
{
	unsigned n = 0;

	*found = 0;
	*tables = false;
	q->stalled = false;
	while (n < VQ_BATCH) {
		struct vq_req *r;

		if (!vq_pool_has_room(q)) {
			q->stalled = true;
			break;
		}
		r = vq_req_next(q);
		*found = q->next_retry < q->n_retry ? vq_retry_fetch(q, r, !n)
						    : q->ops->fetch(q, r, !n);
		if (*found <= 0)
			break;
		vq_req_use(q, r);
		*tables |= r->table.len > 0;
		batch[n++] = r;
	}
	return n;
}

/*
 * Returns whether one more table of a batch of n must wait, after so many good ones, whose iovecs
 * will take `more` bytes. The first one does not wait if no other request of the queue could end.
 */
static bool is_too_much(const struct vq *q, unsigned n, unsigned good, size_t more)
{
	return G_UNLIKELY(vq_memory_bytes(q) + more >= VQ_POOL_MAX) && (good || q->reqs_used > n);
}

/* Fetches tables. waits: even the first one must wait. */
static unsigned fetch_tables(struct vq *q, struct vq_req *const *batch, unsigned n, bool *waits)
{
	struct mem_mapping *mappings[VQ_BATCH];
	bool borrowed = !map_tables(q, batch, n);
	unsigned good, n_mappings = 0;
	size_t more = 0;

	for (unsigned i = 0; borrowed && i < n; i++) {
		struct mem_mapping *mapping = &batch[i]->mapping;

		if (!batch[i]->table.len)
			continue;
		mapping->range = &batch[i]->table;
		mapping->n_range = 1;
		mapping->written = 0;
		mappings[n_mappings++] = mapping;
	}
	if (n_mappings)
		borrow(q, mappings, n_mappings);
	for (good = 0; good < n; good++) {
		struct vq_req *r = batch[good];

		if (!r->table.len)
			continue;
		if (r->mapping.status == -EAGAIN && good == 0)
			want_memory(q);
		if (r->mapping.status == -EAGAIN)
			break;
		if (r->mapping.status < 0) {
			bad_range(q, &r->table, r->mapping.status, r->table_desc,
				"the indirect table at");
			break;
		}
		if (is_too_much(q, n, good, more)) {
			q->stalled = true;
			*waits = !good;
			break;
		}
		if (q->ops->read_table(q, r) < 0)
			break;
		if (r->sum.n > r->mapping.max_iov)
			more += r->max_range * sizeof(struct iovec);
	}
	n_mappings = 0;
	for (unsigned i = 0; borrowed && i < n; i++)
		if (batch[i]->table.len && batch[i]->mapping.status == 0)
			mappings[n_mappings++] = &batch[i]->mapping;
	if (n_mappings)
		guest_mem_give_back(&q->borrower, mappings, n_mappings);
	return good;
}

static unsigned fetch_data(struct vq *q, struct vq_req *const *batch, unsigned n)
{
	struct mem_mapping *mappings[VQ_BATCH];
	unsigned good = 0, n_mappings = 0;

	for (unsigned i = 0; i < n; i++) {
		struct mem_mapping *mapping = &batch[i]->mapping;

		mapping->range = batch[i]->range;
		mapping->n_range = batch[i]->sum.n;
		mapping->n_iov = 0;
		mapping->n_iov_out = 0;
		mapping->written = 0;
		mapping->status = 0;
		if (mapping->n_range > mapping->max_iov)
			vq_req_grow_iov(q, batch[i], batch[i]->max_range);
		if (mapping->n_range)
			mappings[n_mappings++] = mapping;
	}
	if (n_mappings)
		borrow(q, mappings, n_mappings);
	while (good < n && batch[good]->mapping.status == 0)
		good++;
	if (good == n)
		return n;
	if (good == 0 && batch[0]->mapping.status == -EAGAIN)
		want_memory(q);
	else if (good == 0)
		bad_memory(q, batch[0]);
	n_mappings = 0;
	for (unsigned i = good + 1; i < n; i++)
		if (batch[i]->mapping.n_range && batch[i]->mapping.status == 0)
			mappings[n_mappings++] = &batch[i]->mapping;
	if (n_mappings)
		guest_mem_give_back(&q->borrower, mappings, n_mappings);
	return good;
}

/* Lets the last ones of a batch go, of which no memory is borrowed, until n are left. */
static void cut(struct vq *q, struct vq_req *const *batch, unsigned *size, unsigned n)
{
	while (*size > n) {
		struct vq_req *r = batch[--*size];

		unfetch(q, r);
		vq_req_free(q, r);
	}
}

int vq_fetch(struct vq *q)
{
	struct vq_req *batch[VQ_BATCH];
	bool tables, waits = false;
	int found;
	unsigned n = fetch_rings_part(q, batch, &found, &tables);

	if (!n)
		return found;
	if (tables)
		cut(q, batch, &n, fetch_tables(q, batch, n, &waits));
	if (!map_data(q, batch, n))
		cut(q, batch, &n, fetch_data(q, batch, n));
	for (unsigned i = 0; i < n; i++) {
		vq_req_rewind(batch[i]);
		*q->ready_end = batch[i];
		q->ready_end = &batch[i]->next;
	}
	*q->ready_end = NULL;
	return n ? (int)n : q->wants_memory || waits ? 0 : -1;
}

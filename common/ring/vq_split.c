/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The split vring (virtio 1.2 §2.7), device side.
 *
 *	descriptor table	size x { addr, len, flags, next }	driver writes
 *	available ring		flags, idx, size x head, used_event	driver writes
 *	used ring		flags, idx, size x { id, len }, avail_event	device writes
 *
 * Both indices run freely through 16 bits. Each side writes entries first, its index last
 * (release), and reads the other's index first (acquire), entries then. Who wants to sleep writes
 * down what is to wake it, and looks again after a full barrier; who publishes does a full barrier
 * between its index and reading that wish. So one of the two always sees the other.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "ring/vq_inflight_impl.h"
#include "ring/vq_req_impl.h"

static struct vring_avail *avail_ring(const struct vq *q)
{
	return q->split.avail.host;
}

static struct vring_used *used_ring(const struct vq *q)
{
	return q->split.used.host;
}

/* Returns where the driver stores which used entry it wants a call for. */
static const void *used_event(const struct vq *q)
{
	return &avail_ring(q)->ring[q->size];
}

/* Returns where the device stores which available entry it wants a kick for. */
static void *avail_event(const struct vq *q)
{
	return &used_ring(q)->ring[q->size];
}

static void split_stop(struct vq *q)
{
	struct mem_ring_map *const map[] = { &q->split.desc, &q->split.avail, &q->split.used };

	for (unsigned i = 0; i < G_N_ELEMENTS(map); i++) {
		if (map[i]->host)
			guest_mem_unmap_ring(q->borrower.mem, map[i]);
		map[i]->host = NULL;
	}
}

static bool split_map(struct vq *q, const struct vq_setup *setup, GError **error)
{
	struct guest_mem *mem = q->borrower.mem;
	struct virtio_ring_bytes bytes = virtio_ring_bytes(q->size, false, q->event_idx);
	struct vq_split *s = &q->split;

	if (guest_mem_map_ring(mem, setup->desc, bytes.desc, VIRTIO_DESC_ALIGN, "descriptor table",
		    &s->desc, error) &&
		guest_mem_map_ring(mem, setup->avail, bytes.driver, VIRTIO_SPLIT_DRIVER_ALIGN,
			"available ring", &s->avail, error) &&
		guest_mem_map_ring(mem, setup->used, bytes.device, VIRTIO_SPLIT_DEVICE_ALIGN,
			"used ring", &s->used, error))
		return true;
	split_stop(q);
	return false;
}

/*
 * Sets the indices. What was taken before and never completed is as the in-flight area has it.
 * Without one, the base is where the previous owner stopped fetching, and the used index in the
 * vring says what was completed; which requests are missing is known only if they were completed
 * in order: those from the used index on.
 */
static bool split_set_base(struct vq *q, const struct vq_setup *setup, GError **error)
{
	uint16_t avail_idx = shm_load16(&avail_ring(q)->idx), ahead;
	struct vq_split *s = &q->split;
	int recovered = -1;

	s->used_idx = shm_load16(&used_ring(q)->idx);
	if (q->track)
		recovered = vq_track_recover_split(q, s->used_idx, avail_idx);
	q->fresh = setup->base == 0 && s->used_idx == 0 && recovered <= 0;
	s->last_avail = s->avail_idx = s->used_idx + recovered;
	if (recovered >= 0)
		return true;
	ahead = setup->base - s->used_idx;
	if (ahead > q->size) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"base %u does not go with the used index %u in a vring of %u", setup->base,
			s->used_idx, q->size);
		return false;
	}
	s->last_avail = s->avail_idx = setup->base;
	/* Saved ones are listed; out of order, nothing tells which are missing. */
	if (q->retry || !ahead)
		return true;
	if (!q->in_order) {
		vq_track_forgo(q);
		log_limited(&q->log_limit, LOG_LEVEL_WARNING, q->name,
			"%u requests before available index %u were taken and never completed",
			ahead, setup->base);
		return true;
	}
	s->last_avail = s->avail_idx = s->used_idx;
	q->n_retry = ahead;
	log_limited(&q->log_limit, LOG_LEVEL_INFO, q->name,
		"%u requests from available index %u on are run again", ahead, s->used_idx);
	return true;
}

static bool split_start(struct vq *q, const struct vq_setup *setup, GError **error)
{
	q->split = (struct vq_split){ .mask = q->size - 1 };
	if (q->size & (q->size - 1)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"vring size %u is not a power of two", q->size);
		return false;
	}
	if (setup->base > UINT16_MAX) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"base %u is not an available index", setup->base);
		return false;
	}
	if (!split_map(q, setup, error))
		return false;
	if (split_set_base(q, setup, error))
		return true;
	split_stop(q);
	return false;
}

static uint32_t split_base(const struct vq *q)
{
	/* Those to be run again that have not been fetched yet were taken before, too. */
	return (uint16_t)(q->split.last_avail + (q->retry ? 0 : q->n_retry - q->next_retry));
}

/* Reads the driver's index: is there more? */
static int split_look(struct vq *q)
{
	struct vq_split *s = &q->split;
	/* Pairs with the driver's release of its index after entries and descriptors. */
	uint16_t idx = shm_load16_acquire(&avail_ring(q)->idx);

	if ((uint16_t)(idx - s->last_avail) > q->size)
		return vq_bad(q, "available index jumped from %u to %u in a vring of %u",
			s->last_avail, idx, q->size);
	s->avail_idx = idx;
	return idx != s->last_avail;
}

/* Walks the chain from r->head on; an indirect table can only be the end of it (§2.7.5.3). */
int vq_split_walk(struct vq *q, struct vq_req *r)
{
	const struct vring_desc *table = q->split.desc.host;
	unsigned i = r->head, most = q->size - q->desc_used;
	struct vq_sum sum = { 0 };
	struct vq_desc d;

	for (unsigned n = 1;; n++) {
		/*
		 * No descriptor is in two requests at a time, so an honest chain ends by then; and
		 * a dishonest driver cannot make us remember more than this.
		 */
		if (n > most)
			return vq_bad(q,
				"descriptor %u: its chain loops or runs into other requests",
				r->head);
		d = vq_desc_load(&table[i]);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			r->n_desc = n;
			r->sum = sum;
			return vq_req_add_table(q, r, i, d);
		}
		if (vq_req_add(q, r, &sum, i, d, false) < 0)
			return -1;
		if (!(d.flags & VRING_DESC_F_NEXT)) {
			r->n_desc = n;
			r->sum = sum;
			return 0;
		}
		if (d.next >= q->size)
			return vq_bad(q,
				"descriptor %u: next descriptor %u is outside the vring of %u", i,
				d.next, q->size);
		i = d.next;
	}
}

/* Prefetches what the driver wrote on another CPU, while the request before it is looked at. */
static void prefetch(const struct vq *q, uint16_t position)
{
	const struct vq_split *s = &q->split;
	const struct vring_desc *table = s->desc.host;

	if (position != s->avail_idx)
		__builtin_prefetch(
			&table[shm_load16(&avail_ring(q)->ring[position & s->mask]) & s->mask]);
}

static int split_fetch(struct vq *q, struct vq_req *r, bool look)
{
	struct vq_split *s = &q->split;
	unsigned slot = s->last_avail & s->mask;

	if (s->avail_idx == s->last_avail) {
		int found = look ? split_look(q) : 0;

		if (found <= 0)
			return found;
	}
	r->id = r->head = shm_load16(&avail_ring(q)->ring[slot]);
	if (r->id >= q->size)
		return vq_bad(q, "available entry %u: descriptor %u is outside the vring of %u",
			slot, r->id, q->size);
	prefetch(q, s->last_avail + 1);
	if (vq_split_walk(q, r) < 0)
		return -1;
	s->last_avail++;
	return 1;
}

static void split_unfetch(struct vq *q, const struct vq_req *r)
{
	q->split.last_avail--;
}

static int split_read_table(struct vq *q, struct vq_req *r)
{
	unsigned entries = r->table.len / sizeof(struct vring_desc);
	struct vq_sum sum = r->sum;
	struct vq_desc d;
	unsigned i = 0;

	for (unsigned n = 0; n < entries; n++) {
		d = vq_req_load_table(r, i);
		if (d.flags & VRING_DESC_F_INDIRECT)
			return vq_bad(q,
				"descriptor %u, indirect entry %u: names an indirect table itself",
				r->table_desc, i);
		if (vq_req_add(q, r, &sum, i, d, true) < 0)
			return -1;
		if (!(d.flags & VRING_DESC_F_NEXT)) {
			r->sum = sum;
			return 0;
		}
		if (d.next >= entries)
			return vq_bad(q,
				"descriptor %u, indirect entry %u: next entry %u is outside the "
				"table of %u",
				r->table_desc, i, d.next, entries);
		i = d.next;
	}
	return vq_bad(q, "descriptor %u: the chain in its indirect table loops", r->table_desc);
}

/*
 * Puts used entries. With IN_ORDER one entry could stand for a whole batch, but then all others
 * of it count as filled completely (§2.7.9); an entry for each is legal always, and no slower to
 * notice.
 */
static void split_put_used(struct vq *q, struct vq_req *const *reqs, unsigned n)
{
	struct vring_used *used = used_ring(q);
	struct vq_split *s = &q->split;

	for (unsigned i = 0; i < n; i++) {
		struct vring_used_elem *e = &used->ring[s->used_idx++ & s->mask];

		shm_store32(&e->id, reqs[i]->id);
		shm_store32(&e->len, reqs[i]->chain.in.done);
	}
}

static void split_publish(struct vq *q)
{
	/* Pairs with the driver's acquire of the used index before the entries and the data. */
	shm_store16_release(&used_ring(q)->idx, q->split.used_idx);
}

static bool split_wants_call(struct vq *q)
{
	struct vq_split *s = &q->split;
	uint16_t old = s->decided;
	bool known = s->decided_valid;

	/*
	 * Used index before the driver's wish. Pairs with the barrier between used_event (or flags)
	 * and the last look at the used index of a driver about to sleep.
	 */
	shm_full_barrier();
	if (!q->event_idx)
		return !(shm_load16(&avail_ring(q)->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	s->decided = s->used_idx;
	s->decided_valid = true;
	/*
	 * What a previous owner published may not have been called for: once without being asked.
	 */
	return !known || vring_need_event(shm_load16(used_event(q)), s->used_idx, old);
}

static bool split_arm(struct vq *q)
{
	if (q->event_idx)
		shm_store16(avail_event(q), q->split.last_avail);
	else
		shm_store16(&used_ring(q)->flags, 0);
	/*
	 * Our wish before the available index. Pairs with the barrier between the driver's index
	 * and its look at avail_event (or flags).
	 */
	shm_full_barrier();
	return shm_load16(&avail_ring(q)->idx) != q->split.last_avail;
}

static void split_disarm(struct vq *q)
{
	/* An avail_event that the driver has passed suppresses kicks by itself. */
	if (!q->event_idx)
		shm_store16(&used_ring(q)->flags, VRING_USED_F_NO_NOTIFY);
}

static bool split_peek(const struct vq *q)
{
	/* Whether it is true, and what lies before it, the fetch finds out. */
	return shm_load16(&avail_ring(q)->idx) != q->split.last_avail;
}

const struct vq_ops vq_split_ops = {
	.start = split_start,
	.stop = split_stop,
	.base = split_base,
	.fetch = split_fetch,
	.unfetch = split_unfetch,
	.read_table = split_read_table,
	.put_used = split_put_used,
	.publish = split_publish,
	.wants_call = split_wants_call,
	.arm = split_arm,
	.disarm = split_disarm,
	.peek = split_peek,
};

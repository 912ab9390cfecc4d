/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packed vring (virtio 1.2 §2.8), device side.
 *
 *	descriptor ring		size x { addr, len, id, flags }		both write
 *	driver area		{ position, flags }: calls wanted	driver writes
 *	device area		{ position, flags }: kicks wanted	device writes
 *
 * One ring in which both sides go round: the driver writes requests at its position, the device
 * overwrites them, from its own position on, with what is completed. A completed request leaves one
 * descriptor, and the rest of those it took are skipped; which one it was says the id, for the
 * device may complete in any order. What a descriptor is, two bits of its flags say, together with
 * the turn: of the one at hand, AVAIL equals the reader's wrap counter; USED does as well once the
 * device has written it.
 *
 * A position is an index with the wrap counter of that turn in bit 15, here as in the areas. The
 * counters begin at 1, so a first turn's positions are below those of a second, and the distance of
 * two is a difference modulo twice the size.
 *
 * Each side writes all of a batch first, the flags of its first descriptor last (release), and the
 * other reads those first (acquire). Going to sleep is as with the split vring (vq_split.c): the
 * suppression, a full barrier, another look; publish, a full barrier, the suppression.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "ring/vq_inflight_impl.h"
#include "ring/vq_req_impl.h"

#define WRAP VIRTIO_PACKED_WRAP
#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED (1u << VRING_PACKED_DESC_F_USED)

static unsigned index_of(uint16_t position)
{
	return position & (WRAP - 1);
}

/* Moves a position ahead; n is at most the size. */
static uint16_t ahead(const struct vq *q, uint16_t position, unsigned n)
{
	unsigned i = index_of(position) + n;

	if (i < q->size)
		return position + n;
	return ((position & WRAP) ^ WRAP) | (i - q->size);
}

static uint16_t back(const struct vq *q, uint16_t position, unsigned n)
{
	return ahead(q, position, q->size - n) ^ WRAP;
}

/* Returns how far it is from one position to another. */
static unsigned distance(const struct vq *q, uint16_t from, uint16_t to)
{
	unsigned d = 2 * q->size + index_of(to) - index_of(from);

	if ((from ^ to) & WRAP)
		d += q->size;
	return d % (2 * q->size);
}

static struct vring_packed_desc *desc_at(const struct vq *q, unsigned i)
{
	return (struct vring_packed_desc *)q->packed.desc.host + i;
}

static void packed_stop(struct vq *q)
{
	struct mem_ring_map *const map[] = { &q->packed.desc, &q->packed.driver,
		&q->packed.device };

	for (unsigned i = 0; i < G_N_ELEMENTS(map); i++) {
		if (map[i]->host)
			guest_mem_unmap_ring(q->borrower.mem, map[i]);
		map[i]->host = NULL;
	}
}

static bool packed_map(struct vq *q, const struct vq_setup *setup, GError **error)
{
	struct virtio_ring_bytes bytes = virtio_ring_bytes(q->size, true, q->event_idx);
	struct guest_mem *mem = q->borrower.mem;
	struct vq_packed *p = &q->packed;

	if (guest_mem_map_ring(mem, setup->desc, bytes.desc, VIRTIO_DESC_ALIGN, "descriptor ring",
		    &p->desc, error) &&
		guest_mem_map_ring(mem, setup->avail, bytes.driver, VIRTIO_PACKED_EVENT_ALIGN,
			"driver area", &p->driver, error) &&
		guest_mem_map_ring(mem, setup->used, bytes.device, VIRTIO_PACKED_EVENT_ALIGN,
			"device area", &p->device, error))
		return true;
	packed_stop(q);
	return false;
}

/*
 * Makes n descriptors from a position on available again. A previous owner may have died between
 * writing used ones and publishing the first of them; the driver would take the rest for used as
 * soon as that one is published again, alone. What they described is in the in-flight area.
 */
static void take_back_used(struct vq *q, uint16_t position, unsigned n)
{
	for (; n > 0; n--, position = ahead(q, position, 1)) {
		uint16_t *flags = &desc_at(q, index_of(position))->flags;

		if (!vq_packed_is_available(shm_load16(flags), position))
			shm_store16(flags, position & WRAP ? AVAIL : USED);
	}
}

/* Returns true if a vring has turned twice, after which the positions are those of a new one. */
static bool has_turned(struct vq *q)
{
	const struct vring_packed_desc *last = desc_at(q, q->size - 1);

	/* In a new one it is zero, or was made available with all others at once. */
	return !vq_packed_is_available(shm_load16(&last->flags), WRAP | (q->size - 1)) &&
		(last->addr || last->len);
}

/*
 * Sets the positions. What was taken before and never completed is as the in-flight area has it,
 * which then knows both positions better than a front-end can. Nothing in the vring says which
 * requests these are.
 */
static bool packed_set_base(struct vq *q, const struct vq_setup *setup, GError **error)
{
	struct vq_packed *p = &q->packed;
	int recovered = -1;
	unsigned open;

	p->avail = virtio_packed_base_avail(setup->base);
	p->used = virtio_packed_base_used(setup->base);
	if (q->track)
		recovered = vq_track_recover_packed(q, p->used, &p->used);
	if (recovered >= 0)
		p->avail = ahead(q, p->used, recovered);
	open = distance(q, p->used, p->avail);
	if (index_of(p->avail) >= q->size || index_of(p->used) >= q->size || open > q->size) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"base 0x%x is no pair of positions in a vring of %u", setup->base, q->size);
		return false;
	}
	if (open && recovered < 0 && !q->retry) {
		vq_track_forgo(q);
		log_limited(&q->log_limit, LOG_LEVEL_WARNING, q->name,
			"%u descriptors before index %u were taken and never completed", open,
			index_of(p->avail));
	}
	if (recovered > 0)
		take_back_used(q, p->used, recovered);
	p->decided = p->used;
	q->fresh = p->avail == WRAP && p->used == WRAP && !has_turned(q);
	return true;
}

static bool packed_start(struct vq *q, const struct vq_setup *setup, GError **error)
{
	q->packed = (struct vq_packed){ .unpublished = false };
	if (!packed_map(q, setup, error))
		return false;
	if (packed_set_base(q, setup, error))
		return true;
	packed_stop(q);
	return false;
}

static uint32_t packed_base(const struct vq *q)
{
	return virtio_packed_base(q->packed.avail, q->packed.used);
}

/*
 * Converts a descriptor: the id is where a split vring's descriptor has its flags, and the flags
 * where that has next.
 */
static struct vq_desc packed_desc(struct vq_desc d)
{
	return (struct vq_desc){ .addr = d.addr, .len = d.len, .flags = d.next, .next = d.flags };
}

struct vq_desc vq_packed_desc_at(const struct vq *q, unsigned i)
{
	return packed_desc(vq_desc_load(desc_at(q, i)));
}

bool vq_packed_is_available(uint16_t flags, uint16_t position)
{
	return (flags & (AVAIL | USED)) == (position & WRAP ? AVAIL : USED);
}

/*
 * Adds a list. The descriptors of a list follow each other in the vring; the id is in the last
 * one; a list with an indirect table is that one descriptor (§2.8.5 to §2.8.7).
 */
static inline int add(
	struct vq *q, struct vq_req *r, struct vq_sum *s, unsigned i, struct vq_desc d, unsigned n)
{
	bool indirect = d.flags & VRING_DESC_F_INDIRECT;

	/* What is in flight is the driver's again only when it is completed. */
	if (n > q->size - q->desc_used)
		return vq_bad(q,
			"descriptor %u: its list is longer than the vring, or runs into other "
			"requests",
			r->head);
	if (indirect && n > 1)
		return vq_bad(q, "descriptor %u: indirect and not the first of its list", i);
	if ((indirect ? vq_req_add_table(q, r, i, d) : vq_req_add(q, r, s, i, d, false)) < 0)
		return -1;
	r->n_desc = n;
	r->id = d.next;
	return !!(d.flags & VRING_DESC_F_NEXT);
}

int vq_packed_add(
	struct vq *q, struct vq_req *r, struct vq_sum *s, unsigned i, struct vq_desc d, unsigned n)
{
	return add(q, r, s, i, d, n);
}

/* Takes the list that begins with d. */
static int packed_walk(struct vq *q, struct vq_req *r, struct vq_desc d)
{
	struct vq_sum sum = { 0 };
	unsigned i = r->head, n = 1;
	int more;

	while ((more = add(q, r, &sum, i, d, n)) > 0) {
		n++;
		if (++i == q->size)
			i = 0;
		d = packed_desc(vq_desc_load(desc_at(q, i)));
	}
	r->sum = sum;
	return more;
}

static int packed_fetch(struct vq *q, struct vq_req *r, bool look)
{
	struct vq_packed *p = &q->packed;
	const struct vring_packed_desc *first = desc_at(q, index_of(p->avail));
	/* Pairs with the driver's release of these after all the rest of its batch. */
	uint16_t flags = shm_load16_acquire(&first->flags);
	struct vq_desc d;
	uint16_t next;

	if (!vq_packed_is_available(flags, p->avail))
		return 0;
	d = packed_desc(vq_desc_load(first));
	d.flags = flags;
	r->head = index_of(p->avail);
	if (packed_walk(q, r, d) < 0)
		return -1;
	next = ahead(q, p->avail, r->n_desc);
	/*
	 * Busy since it was asked for a kick at a position. The driver, a turn ahead at most, is
	 * not to meet that one again.
	 */
	if (p->armed && (next ^ p->avail) & WRAP) {
		shm_store16(&((struct vring_packed_desc_event *)p->device.host)->flags,
			VRING_PACKED_EVENT_FLAG_DISABLE);
		p->armed = false;
		if (G_UNLIKELY(q->log))
			vq_log_notify(q);
	}
	p->avail = next;
	return 1;
}

static void packed_unfetch(struct vq *q, const struct vq_req *r)
{
	q->packed.avail = back(q, q->packed.avail, r->n_desc);
}

/* Reads all entries, one after the other, and of their flags only WRITE counts (§2.8.7). */
static int packed_read_table(struct vq *q, struct vq_req *r)
{
	unsigned entries = r->table.len / sizeof(struct vring_packed_desc);
	struct vq_sum sum = r->sum;

	for (unsigned i = 0; i < entries; i++) {
		struct vq_desc d = packed_desc(vq_req_load_table(r, i));

		if (d.flags & VRING_DESC_F_INDIRECT)
			return vq_bad(q,
				"descriptor %u, indirect entry %u: names an indirect table itself",
				r->table_desc, i);
		if (vq_req_add(q, r, &sum, i, d, true) < 0)
			return -1;
	}
	r->sum = sum;
	return 0;
}

/*
 * Puts all but the flags of the first, which let the driver see them all. With IN_ORDER one
 * descriptor could stand for a whole batch; one for each is legal always.
 */
static void packed_put_used(struct vq *q, struct vq_req *const *reqs, unsigned n)
{
	struct vq_packed *p = &q->packed;

	for (unsigned i = 0; i < n; i++) {
		struct vring_packed_desc *d = desc_at(q, index_of(p->used));
		uint32_t len = reqs[i]->chain.in.done;
		uint16_t flags =
			(p->used & WRAP ? AVAIL | USED : 0) | (len ? VRING_DESC_F_WRITE : 0);

		shm_store16(&d->id, reqs[i]->id);
		shm_store32(&d->len, len);
		if (i) {
			shm_store16(&d->flags, flags);
		} else {
			p->first = index_of(p->used);
			p->first_flags = flags;
		}
		p->used = ahead(q, p->used, reqs[i]->n_desc);
	}
	p->unpublished = n;
}

static void packed_publish(struct vq *q)
{
	struct vq_packed *p = &q->packed;

	if (!p->unpublished)
		return;
	/* Pairs with the driver's acquire of these before the rest, and the data. */
	shm_store16_release(&desc_at(q, p->first)->flags, p->first_flags);
	p->unpublished = false;
}

static bool packed_wants_call(struct vq *q)
{
	struct vq_packed *p = &q->packed;
	uint16_t old = p->decided;
	bool known = p->decided_valid;
	uint32_t suppression;

	/* Pairs with the barrier between the driver's suppression and its last look at its ring. */
	shm_full_barrier();
	/* Position and flags at once, as they belong together. */
	suppression = shm_load32(p->driver.host);
	p->decided = p->used;
	p->decided_valid = true;
	if (suppression >> 16 == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	if (!q->event_idx || suppression >> 16 != VRING_PACKED_EVENT_FLAG_DESC)
		return true;
	/*
	 * What a previous owner published may not have been called for: once without being asked.
	 */
	return !known || distance(q, old, suppression) < distance(q, old, p->used);
}

static bool packed_peek(const struct vq *q)
{
	uint16_t position = q->packed.avail;

	return vq_packed_is_available(shm_load16(&desc_at(q, index_of(position))->flags), position);
}

static bool packed_arm(struct vq *q)
{
	struct vq_packed *p = &q->packed;
	uint32_t flags =
		q->event_idx ? VRING_PACKED_EVENT_FLAG_DESC : VRING_PACKED_EVENT_FLAG_ENABLE;

	shm_store32(p->device.host, flags << 16 | p->avail);
	p->armed = q->event_idx;
	/* Pairs with the barrier between the driver's flags and its look at our suppression. */
	shm_full_barrier();
	return packed_peek(q);
}

static void packed_disarm(struct vq *q)
{
	/* A position that the driver has passed suppresses kicks for a turn: see packed_fetch(). */
	if (!q->event_idx)
		shm_store16(&((struct vring_packed_desc_event *)q->packed.device.host)->flags,
			VRING_PACKED_EVENT_FLAG_DISABLE);
}

const struct vq_ops vq_packed_ops = {
	.start = packed_start,
	.stop = packed_stop,
	.base = packed_base,
	.fetch = packed_fetch,
	.unfetch = packed_unfetch,
	.read_table = packed_read_table,
	.put_used = packed_put_used,
	.publish = packed_publish,
	.wants_call = packed_wants_call,
	.arm = packed_arm,
	.disarm = packed_disarm,
	.peek = packed_peek,
};

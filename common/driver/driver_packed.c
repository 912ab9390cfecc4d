/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a packed virtqueue (virtio 1.2, 2.8).
 *
 * One ring of descriptors, which the driver fills and the device writes over, both in ring order:
 *
 *	     next_used           first           next_avail
 *	  free   |  in the device's | added, not yet |  free
 *	 --------+------- hands ----+-- published ---+--------	(and round)
 *
 * Whose a descriptor is say two bits of its flags, AVAIL and USED, whose meaning changes at every
 * pass of the vring: in the first one "available" is AVAIL alone and "used" is both; in the next
 * one "available" is USED alone and "used" is neither; and so on by turns (2.8.1).
 *
 * The device reads no further than the first descriptor that is not available. So of a batch only
 * that one's flags wait for publication; what is behind it may be complete at once.
 *
 * A request is known by an id, the index of its slot; a used descriptor tells the id, and stands
 * for as many as the request took. Free ids are a stack. With VIRTIO_F_IN_ORDER the place of its
 * first descriptor is a request's id; then a used descriptor may stand for a batch (2.8.7): it
 * names the last request of it, is at the place of the first, and those before the last have been
 * used completely.
 *
 * As with a split vring, all that decides anything is in private memory: of the shared one only
 * used descriptors and the device's event suppression are read, each value once.
 */
#include <errno.h>
#include <linux/virtio_ring.h>

#include "base/util.h"
#include "driver/driver_impl.h"

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED (1u << VRING_PACKED_DESC_F_USED)
#define WRAP VIRTIO_PACKED_WRAP

struct packed {
	struct driver_ring ring;
	struct vring_packed_desc *desc;
	uint32_t *driver_event, *device_event; /* struct vring_packed_desc_event, as one value */

	uint16_t *free_id; /* those from outstanding on are free */
	uint16_t n_free; /* descriptors */
	uint16_t next_avail; /* the place of the next descriptor to fill, */
	uint16_t avail_flags; /* and what makes it available: AVAIL or USED */
	uint16_t n_added; /* descriptors not published yet: */
	uint16_t first; /* the first of them, */
	uint16_t first_flags; /* which it has not got yet */

	uint16_t next_used; /* the place of the next used descriptor, */
	uint16_t used_flags; /* and what says that it is one: AVAIL | USED, or 0 */
	bool in_batch; /* its used descriptor has been read: */
	uint16_t batch_end; /* the id there, */
	uint32_t batch_len; /* and the used length */

	uint32_t suppression; /* what is in driver_event */
};

static struct packed *packed_of(struct driver_ring *r)
{
	return container_of(r, struct packed, ring);
}

/* Returns the offsets: each side's event suppression has a cache line of its own. */
static struct driver_areas packed_areas(unsigned size)
{
	struct virtio_ring_bytes bytes = virtio_ring_bytes(size, true, true);
	struct driver_areas a;

	a.avail = align_up(bytes.desc, 64);
	a.used = align_up(a.avail + bytes.driver, 64);
	a.end = a.used + bytes.device;
	return a;
}

static void packed_init(struct driver_ring *r, void *desc, void *avail, void *used)
{
	struct packed *p = packed_of(r);

	p->desc = desc;
	p->driver_event = avail;
	p->device_event = used;
	p->n_free = r->size;
	p->avail_flags = AVAIL;
	p->used_flags = AVAIL | USED;
	p->free_id = g_new(uint16_t, r->size);
	for (unsigned i = 0; i < r->size; i++)
		p->free_id[i] = i;
}

static void packed_fini(struct driver_ring *r)
{
	g_free(packed_of(r)->free_id);
}

/* Writes the next descriptor of the vring. */
static void put(struct packed *p, uint64_t addr, uint32_t len, uint16_t id, uint16_t flags)
{
	struct vring_packed_desc *desc = &p->desc[p->next_avail];

	flags |= p->avail_flags;
	desc->addr = htole64(addr);
	desc->len = htole32(len);
	desc->id = htole16(id);
	if (p->n_added++ > 0) {
		shm_store16(&desc->flags, flags);
	} else {
		p->first = p->next_avail;
		p->first_flags = flags;
	}
	if (++p->next_avail == p->ring.size) {
		p->next_avail = 0;
		p->avail_flags ^= AVAIL | USED;
	}
}

/* Writes a table, in which only WRITE means anything (2.8.8). */
static void put_table(
	struct packed *p, unsigned id, const struct driver_buf *buf, unsigned n_out, unsigned n)
{
	uint64_t offset = driver_ring_table_offset(&p->ring, id);
	struct vring_packed_desc *table = (void *)((char *)p->ring.table + offset);

	for (unsigned i = 0; i < n; i++)
		table[i] = (struct vring_packed_desc){
			.addr = htole64(buf[i].addr),
			.len = htole32(buf[i].len),
			.flags = htole16(i < n_out ? 0 : VRING_DESC_F_WRITE),
		};
	put(p, p->ring.table_addr + offset, n * sizeof(*table), id, VRING_DESC_F_INDIRECT);
}

static int packed_add(struct driver_ring *r, const struct driver_buf *buf, unsigned n_out,
	unsigned n, void *token)
{
	struct packed *p = packed_of(r);
	bool indirect = driver_ring_wants_table(r, n);
	unsigned n_desc = indirect ? 1 : n;
	unsigned id;

	if (n_desc > p->n_free)
		return -ENOSPC;
	id = r->in_order ? p->next_avail : p->free_id[r->outstanding];
	driver_slot_take(r, id, buf, n_out, n, token)->n_desc = n_desc;
	p->n_free -= n_desc;
	if (indirect)
		put_table(p, id, buf, n_out, n);
	else
		for (unsigned i = 0; i < n; i++)
			put(p, buf[i].addr, buf[i].len, id,
				(i < n_out ? 0 : VRING_DESC_F_WRITE) |
					(i + 1 < n ? VRING_DESC_F_NEXT : 0));
	return 0;
}

/* Does the device want a kick for the n descriptors before next_avail? */
static bool wants_kick(const struct packed *p, uint16_t n)
{
	uint32_t event = shm_load32(p->device_event); /* off_wrap, flags */
	uint16_t at = event & ~WRAP & 0xffff;
	uint16_t wrap = p->avail_flags == AVAIL ? WRAP : 0;

	switch (event >> 16) {
	case VRING_PACKED_EVENT_FLAG_DISABLE:
		return false;
	case VRING_PACKED_EVENT_FLAG_DESC:
		/* Places count from the start of this pass: those of the last one are below 0. */
		if ((event & WRAP) != wrap)
			at -= p->ring.size;
		return vring_need_event(at, p->next_avail, p->next_avail - n);
	}
	return true;
}

static bool packed_publish(struct driver_ring *r)
{
	struct packed *p = packed_of(r);
	uint16_t n = p->n_added;

	if (n == 0)
		return false;
	p->n_added = 0;
	r->publications++;
	/* Pairs with the device's acquire of these flags: all else of the batch comes first. */
	shm_store16_release(&p->desc[p->first].flags, p->first_flags);
	/*
	 * 2.8.21.3.1: the flags before the read of the event suppression. Pairs with the device's
	 * barrier between setting that and looking at the descriptor again.
	 */
	shm_full_barrier();
	return wants_kick(p, n);
}

/*
 * Reads the used descriptor at next_used: 1, and batch_end and batch_len are set; 0: it is not
 * used; an error of driver_ring_reap().
 */
static int read_used(struct packed *p)
{
	const struct vring_packed_desc *desc = &p->desc[p->next_used];
	/* Pairs with the device's release: id and length are there. */
	uint16_t flags = shm_load16_acquire(&desc->flags);
	const struct driver_slot *slot;
	int err;

	if ((flags & (AVAIL | USED)) != p->used_flags) {
		bool out = p->ring.size - p->n_free != p->n_added;

		/* One in the device's hands is as the driver left it. */
		return out && (flags & (AVAIL | USED)) != (p->used_flags ^ USED) ? -EPROTO : 0;
	}
	p->batch_end = shm_load16(&desc->id);
	/* 2.8.6: without the flag nothing was written, and the length is reserved. */
	p->batch_len = flags & VRING_DESC_F_WRITE ? shm_load32(&desc->len) : 0;
	if (p->batch_end >= p->ring.size)
		return -EPROTO;
	slot = &p->ring.slot[p->batch_end];
	if (!driver_slot_is_out(&p->ring, slot))
		return -EPROTO;
	if (p->batch_len <= slot->writable)
		return 1;
	err = driver_ring_exceed(&p->ring, slot, &p->batch_len);
	return err ? err : 1;
}

static void *complete(struct packed *p, unsigned id)
{
	struct driver_slot *slot = &p->ring.slot[id];
	unsigned after = p->next_used + slot->n_desc;

	if (after >= p->ring.size) {
		after -= p->ring.size;
		p->used_flags ^= AVAIL | USED;
	}
	p->next_used = after;
	p->n_free += slot->n_desc;
	/* The last one freed is the first one used again: it is in the cache. */
	p->free_id[--p->ring.outstanding] = id;
	slot->n_desc = 0;
	return slot->token;
}

static int packed_reap(struct driver_ring *r, void **token, uint32_t *len)
{
	struct packed *p = packed_of(r);
	int rc = p->in_batch ? 1 : read_used(p);
	unsigned id;

	if (rc <= 0)
		return rc;
	/* In order, all from next_used to the one named are out, as that one is. */
	id = r->in_order ? p->next_used : p->batch_end;
	p->in_batch = id != p->batch_end;
	*len = p->in_batch ? MIN(r->slot[id].writable, UINT32_MAX) : p->batch_len;
	*token = complete(p, id);
	return 1;
}

static void set_suppression(struct packed *p, uint32_t suppression)
{
	if (suppression == p->suppression)
		return;
	p->suppression = suppression;
	shm_store32(p->driver_event, suppression);
}

static bool packed_arm(struct driver_ring *r)
{
	struct packed *p = packed_of(r);
	uint32_t suppression = VRING_PACKED_EVENT_FLAG_ENABLE << 16;

	if (r->event_idx)
		suppression = VRING_PACKED_EVENT_FLAG_DESC << 16 | (p->used_flags ? WRAP : 0) |
			p->next_used;
	set_suppression(p, suppression);
	/*
	 * 2.8.21.4.1: the event suppression before another look. Pairs with the device's barrier
	 * between publishing used descriptors and reading the event suppression.
	 */
	shm_full_barrier();
	return p->in_batch ||
		(shm_load16(&p->desc[p->next_used].flags) & (AVAIL | USED)) == p->used_flags;
}

static void packed_disarm(struct driver_ring *r)
{
	set_suppression(packed_of(r), VRING_PACKED_EVENT_FLAG_DISABLE << 16);
}

static uint32_t packed_resume_base(const struct driver_ring *r)
{
	return virtio_initial_base(true);
}

const struct driver_format driver_packed = {
	.instance = sizeof(struct packed),
	.areas = packed_areas,
	.init = packed_init,
	.fini = packed_fini,
	.add = packed_add,
	.publish = packed_publish,
	.reap = packed_reap,
	.arm = packed_arm,
	.disarm = packed_disarm,
	.resume_base = packed_resume_base,
};

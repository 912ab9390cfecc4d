/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a split virtqueue (virtio 1.2, 2.7).
 *
 * All that decides anything is kept here, in private memory: the free list, what is out, in which
 * order. The shared memory is written for the device, and of it only the used ring (and the
 * device's event suppression) is read, each value once.
 *
 *	last_used <= used idx <= published <= added <= last_used + size	(free-running, mod 2^16)
 *
 * A request is known by its head descriptor, which is also the index of its slot. With
 * VIRTIO_F_IN_ORDER descriptors are taken in ring order, and since they come back in that order,
 * the free list never needs relinking. A used entry may then stand for a batch (2.7.9): it names
 * the last request of it, is at the place of the first, and those before the last have been used
 * completely.
 */
#include <errno.h>
#include <linux/virtio_ring.h>

#include "base/util.h"
#include "driver/driver_impl.h"

struct split {
	struct driver_ring ring;
	struct vring_desc *desc;
	struct vring_avail *avail;
	uint16_t *used_event; /* behind the avail ring */
	struct vring_used *used;
	uint16_t *avail_event; /* behind the used ring */

	uint16_t *next; /* the chains, and the free list: in ring order at first */
	uint16_t *order; /* heads as in the avail ring */
	uint16_t mask; /* an index to its place in a vring */
	uint16_t free_head;
	uint16_t n_free;

	uint16_t added, published;
	uint16_t used_idx; /* as last read, and checked */
	uint16_t last_used; /* reaped so far */
	bool in_batch; /* the used entry of this batch has been read: */
	uint16_t batch_end; /* the position of its last request */
	uint32_t batch_len; /* and that one's used length */
};

static struct split *split_of(struct driver_ring *r)
{
	return container_of(r, struct split, ring);
}

/* Returns the offsets. The used ring has cache lines of its own: another CPU writes it. */
static struct driver_areas split_areas(unsigned size)
{
	/* With the event words, used or not. */
	struct virtio_ring_bytes bytes = virtio_ring_bytes(size, false, true);
	struct driver_areas a;

	a.avail = bytes.desc;
	a.used = align_up(a.avail + bytes.driver, 64);
	a.end = a.used + bytes.device;
	return a;
}

static void split_init(struct driver_ring *r, void *desc, void *avail, void *used)
{
	struct split *s = split_of(r);

	s->desc = desc;
	s->avail = avail;
	s->used = used;
	s->used_event = &s->avail->ring[r->size];
	s->avail_event = (void *)&s->used->ring[r->size];
	s->mask = r->size - 1;
	s->n_free = r->size;
	s->next = g_new(uint16_t, r->size);
	s->order = g_new(uint16_t, r->size);
	for (unsigned i = 0; i < r->size; i++)
		s->next[i] = (i + 1) & s->mask;
}

static void split_fini(struct driver_ring *r)
{
	struct split *s = split_of(r);

	g_free(s->next);
	g_free(s->order);
}

static void fill(
	struct vring_desc *desc, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	*desc = (struct vring_desc){
		.addr = htole64(addr),
		.len = htole32(len),
		.flags = htole16(flags),
		.next = htole16(next),
	};
}

/* Returns the flags of buffer i of n, of which the first n_out are for the device to read. */
static uint16_t flags_of(unsigned i, unsigned n_out, unsigned n)
{
	return (i < n_out ? 0 : VRING_DESC_F_WRITE) | (i + 1 < n ? VRING_DESC_F_NEXT : 0);
}

static void fill_table(
	struct split *s, unsigned head, const struct driver_buf *buf, unsigned n_out, unsigned n)
{
	uint64_t offset = driver_ring_table_offset(&s->ring, head);
	struct vring_desc *table = (void *)((char *)s->ring.table + offset);

	for (unsigned i = 0; i < n; i++)
		fill(&table[i], buf[i].addr, buf[i].len, flags_of(i, n_out, n),
			i + 1 < n ? i + 1 : 0);
	fill(&s->desc[head], s->ring.table_addr + offset, n * sizeof(*table), VRING_DESC_F_INDIRECT,
		0);
}

static void fill_chain(
	struct split *s, unsigned head, const struct driver_buf *buf, unsigned n_out, unsigned n)
{
	for (unsigned i = 0, at = head; i < n; i++, at = s->next[at])
		fill(&s->desc[at], buf[i].addr, buf[i].len, flags_of(i, n_out, n),
			i + 1 < n ? s->next[at] : 0);
}

static int split_add(struct driver_ring *r, const struct driver_buf *buf, unsigned n_out,
	unsigned n, void *token)
{
	struct split *s = split_of(r);
	unsigned head = s->free_head, after = head;
	bool indirect = driver_ring_wants_table(r, n);
	unsigned n_desc = indirect ? 1 : n;
	struct driver_slot *slot;

	if (n_desc > s->n_free)
		return -ENOSPC;
	if (indirect)
		fill_table(s, head, buf, n_out, n);
	else
		fill_chain(s, head, buf, n_out, n);

	for (unsigned i = 0; i < n_desc; i++)
		after = s->next[after];
	s->free_head = after;
	s->n_free -= n_desc;
	slot = driver_slot_take(r, head, buf, n_out, n, token);
	slot->n_desc = n_desc;
	slot->position = s->added;

	s->order[s->added & s->mask] = head;
	shm_store16(&s->avail->ring[s->added & s->mask], head);
	s->added++;
	return 0;
}

static bool split_publish(struct driver_ring *r)
{
	struct split *s = split_of(r);
	uint16_t old = s->published, new = s->added;

	if (new == old)
		return false;
	s->published = new;
	r->publications++;
	/* Pairs with the device's acquire of avail idx: entries and descriptors come first. */
	shm_store16_release(&s->avail->idx, new);
	/*
	 * 2.7.13.4.1: the index before the read of the event suppression. Pairs with the device's
	 * barrier between setting that and looking at the index again.
	 */
	shm_full_barrier();
	if (r->event_idx)
		return vring_need_event(shm_load16(s->avail_event), new, old);
	return !(shm_load16(&s->used->flags) & VRING_USED_F_NO_NOTIFY);
}

/* Looks for more used entries. -EPROTO: the device claims more than it had. */
static int refresh_used(struct split *s)
{
	/* Pairs with the device's release: the entries below the index are there. */
	uint16_t idx = shm_load16_acquire(&s->used->idx);

	if ((uint16_t)(idx - s->last_used) > (uint16_t)(s->published - s->last_used))
		return -EPROTO;
	s->used_idx = idx;
	return 0;
}

/*
 * Reads the used entry at last_used: the head it names, and its length; checked but for the
 * order.
 */
static int read_used(struct split *s, unsigned *head, uint32_t *len)
{
	const struct vring_used_elem *elem = &s->used->ring[s->last_used & s->mask];
	const struct driver_slot *slot;

	*head = shm_load32(&elem->id);
	*len = shm_load32(&elem->len);
	if (*head >= s->ring.size)
		return -EPROTO;
	slot = &s->ring.slot[*head];
	if (!driver_slot_is_out(&s->ring, slot))
		return -EPROTO;
	return *len <= slot->writable ? 0 : driver_ring_exceed(&s->ring, slot, len);
}

static void *complete(struct split *s, unsigned head)
{
	struct driver_slot *slot = &s->ring.slot[head];
	unsigned tail = head;

	/* The last one freed is the first one used again: it is in the cache. */
	if (!s->ring.in_order) {
		for (unsigned i = 1; i < slot->n_desc; i++)
			tail = s->next[tail];
		s->next[tail] = s->free_head;
		s->free_head = head;
	}
	s->n_free += slot->n_desc;
	s->last_used++;
	s->ring.outstanding--;
	slot->n_desc = 0;
	return slot->token;
}

/* Reads the entry of a batch, which ends at the request it names. */
static int read_batch(struct split *s)
{
	unsigned head;
	uint16_t position;
	int err = read_used(s, &head, &s->batch_len);

	if (err)
		return err;
	position = s->ring.slot[head].position;
	/* All of the batch lies below the index that was published with it. */
	if ((uint16_t)(position - s->last_used) >= (uint16_t)(s->used_idx - s->last_used))
		return -EPROTO;
	s->batch_end = position;
	s->in_batch = true;
	return 0;
}

static int reap_in_order(struct split *s, void **token, uint32_t *len)
{
	unsigned head = s->order[s->last_used & s->mask];
	int err = s->in_batch ? 0 : read_batch(s);

	if (err)
		return err;
	if (s->last_used == s->batch_end) {
		*len = s->batch_len;
		s->in_batch = false;
	} else {
		*len = MIN(s->ring.slot[head].writable, UINT32_MAX);
	}
	*token = complete(s, head);
	return 1;
}

static int split_reap(struct driver_ring *r, void **token, uint32_t *len)
{
	struct split *s = split_of(r);
	unsigned head;
	int err = s->last_used == s->used_idx ? refresh_used(s) : 0;

	if (err)
		return err;
	if (s->last_used == s->used_idx)
		return 0;
	if (r->in_order)
		return reap_in_order(s, token, len);
	err = read_used(s, &head, len);
	if (err)
		return err;
	*token = complete(s, head);
	return 1;
}

static bool split_arm(struct driver_ring *r)
{
	struct split *s = split_of(r);

	if (r->event_idx)
		shm_store16(s->used_event, s->last_used);
	else
		shm_store16(&s->avail->flags, 0);
	/*
	 * 2.7.7: the event suppression before another look. Pairs with the device's barrier
	 * between publishing a used index and reading the event suppression.
	 */
	shm_full_barrier();
	return shm_load16(&s->used->idx) != s->last_used;
}

static void split_disarm(struct driver_ring *r)
{
	struct split *s = split_of(r);

	/* The index that is passed last: 2.7.7.1 forbids the flag along with EVENT_IDX. */
	if (r->event_idx)
		shm_store16(s->used_event, s->last_used - 1);
	else
		shm_store16(&s->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}

static uint32_t split_resume_base(const struct driver_ring *r)
{
	return shm_load16(&container_of(r, const struct split, ring)->used->idx);
}

const struct driver_format driver_split = {
	.instance = sizeof(struct split),
	.areas = split_areas,
	.init = split_init,
	.fini = split_fini,
	.add = split_add,
	.publish = split_publish,
	.reap = split_reap,
	.arm = split_arm,
	.disarm = split_disarm,
	.resume_base = split_resume_base,
};

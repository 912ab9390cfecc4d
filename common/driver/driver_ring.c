/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a split virtqueue (virtio 1.2, 2.7).
 *
 * All that decides anything is kept here, in private memory: the free list, who is out, in which
 * order. The shared memory is written for the device, and of it only the used ring (and the
 * device's wish for kicks) is read, each value once.
 *
 *	last_used <= used idx <= published <= added <= last_used + size	(free-running, mod 2^16)
 *
 * A request is known by its head descriptor, which is also the index of its slot. With
 * VIRTIO_F_IN_ORDER descriptors are taken in ring order, and since they come back in that order,
 * the free list never needs relinking. A used entry may then stand for a batch (2.7.9): it names
 * the last request of it, is at the place of the first, and those before the last have been used
 * completely.
 */
#include "driver/driver_ring.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "base/util.h"

#define MAX_SIZE 32768u

enum slot_state { SLOT_FREE, SLOT_ADDED, SLOT_OUT };

struct slot {
	enum slot_state state;
	void *token;
	uint64_t writable; /* bytes */
	uint16_t n_desc; /* of the ring, that is 1 if indirect */
	uint16_t position; /* the avail index it was added at */
};

struct driver_ring {
	struct driver_mem *mem;
	unsigned size;
	bool indirect, event_idx, in_order;

	uint64_t desc_addr, avail_addr, used_addr, table_addr;
	struct vring_desc *desc;
	struct vring_desc *table; /* table_len for each slot; NULL: no indirect */
	unsigned table_len;
	struct vring_avail *avail;
	uint16_t *used_event; /* behind the avail ring */
	struct vring_used *used;
	uint16_t *avail_event; /* behind the used ring */

	struct slot *slot; /* by head descriptor */
	uint16_t *next; /* the chains, and the free list: in ring order at first */
	uint16_t *order; /* heads as in the avail ring */
	uint16_t free_head;
	unsigned n_free;

	uint16_t added, published;
	uint16_t used_idx; /* as last read, and checked */
	uint16_t last_used; /* reaped so far */
	bool in_batch; /* the used entry of this batch has been read: */
	uint16_t batch_end; /* the position of its last request */
	uint32_t batch_len; /* and that one's used length */
};

/* Where the areas are, from the start of the ring's memory (virtio 1.2, 2.7: alignment). */
struct layout {
	uint64_t avail, used, table, end;
	unsigned table_len;
};

/* The used ring and the tables have cache lines of their own: another CPU writes, or reads them. */
static struct layout layout_of(unsigned size, uint64_t features)
{
	bool indirect = features & 1ull << VIRTIO_RING_F_INDIRECT_DESC;
	struct layout l;

	l.table_len = indirect ? MIN(size, DRIVER_RING_TABLE_LEN) : 0;
	l.avail = sizeof(struct vring_desc) * (uint64_t)size;
	l.used = align_up(l.avail + sizeof(struct vring_avail) + sizeof(uint16_t) * (size + 1), 64);
	l.table = align_up(l.used + sizeof(struct vring_used) +
			sizeof(struct vring_used_elem) * size + sizeof(uint16_t),
		64);
	l.end = l.table + sizeof(struct vring_desc) * (uint64_t)size * l.table_len;
	return l;
}

uint64_t driver_ring_footprint(unsigned size, uint64_t features)
{
	return layout_of(size, features).end;
}

/* True if there is room for the areas; they are zeroes, as fresh memory is. */
static bool place(struct driver_ring *r, uint64_t features)
{
	struct layout l = layout_of(r->size, features);
	char *host;

	r->desc_addr = driver_mem_alloc(r->mem, l.end, 64);
	if (!r->desc_addr)
		return false;
	host = driver_mem_host(r->mem, r->desc_addr, l.end);
	r->avail_addr = r->desc_addr + l.avail;
	r->used_addr = r->desc_addr + l.used;
	r->table_addr = r->desc_addr + l.table;
	r->desc = (void *)host;
	r->avail = (void *)(host + l.avail);
	r->used = (void *)(host + l.used);
	r->table = (void *)(host + l.table);
	r->table_len = l.table_len;
	r->used_event = &r->avail->ring[r->size];
	r->avail_event = (void *)&r->used->ring[r->size];
	return true;
}

struct driver_ring *driver_ring_new(
	struct driver_mem *mem, unsigned size, uint64_t features, GError **error)
{
	g_autoptr(driver_ring) r = g_new0(struct driver_ring, 1);

	if (size == 0 || size > MAX_SIZE || (size & (size - 1)) != 0) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"a ring of %u descriptors: the size is no power of two from 1 to %u", size,
			MAX_SIZE);
		return NULL;
	}
	r->mem = mem;
	r->size = size;
	r->event_idx = features & 1ull << VIRTIO_RING_F_EVENT_IDX;
	r->in_order = features & 1ull << VIRTIO_F_IN_ORDER;
	if (!place(r, features)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
			"a ring of %u descriptors: no room for it in the shared memory", size);
		return NULL;
	}
	r->slot = g_new0(struct slot, size);
	r->next = g_new(uint16_t, size);
	r->order = g_new(uint16_t, size);
	for (unsigned i = 0; i < size; i++)
		r->next[i] = (i + 1) % size;
	r->n_free = size;
	return g_steal_pointer(&r);
}

void driver_ring_free(struct driver_ring *r)
{
	if (!r)
		return;
	g_free(r->slot);
	g_free(r->next);
	g_free(r->order);
	g_free(r);
}

void driver_ring_addresses(
	const struct driver_ring *r, uint64_t *desc, uint64_t *avail, uint64_t *used)
{
	*desc = r->desc_addr;
	*avail = r->avail_addr;
	*used = r->used_addr;
}

uint32_t driver_ring_initial_base(const struct driver_ring *r)
{
	return 0;
}

unsigned driver_ring_size(const struct driver_ring *r)
{
	return r->size;
}

unsigned driver_ring_outstanding(const struct driver_ring *r)
{
	return (uint16_t)(r->added - r->last_used);
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

/* The flags of buffer i of n, of which the first n_out are for the device to read. */
static uint16_t flags_of(unsigned i, unsigned n_out, unsigned n)
{
	return (i < n_out ? 0 : VRING_DESC_F_WRITE) | (i + 1 < n ? VRING_DESC_F_NEXT : 0);
}

static void fill_table(struct driver_ring *r, unsigned head, const struct driver_buf *buf,
	unsigned n_out, unsigned n)
{
	uint64_t at = (uint64_t)head * r->table_len;

	for (unsigned i = 0; i < n; i++)
		fill(&r->table[at + i], buf[i].addr, buf[i].len, flags_of(i, n_out, n),
			i + 1 < n ? i + 1 : 0);
	fill(&r->desc[head], r->table_addr + at * sizeof(*r->table), n * sizeof(*r->table),
		VRING_DESC_F_INDIRECT, 0);
}

static void fill_chain(struct driver_ring *r, unsigned head, const struct driver_buf *buf,
	unsigned n_out, unsigned n)
{
	for (unsigned i = 0, at = head; i < n; i++, at = r->next[at])
		fill(&r->desc[at], buf[i].addr, buf[i].len, flags_of(i, n_out, n),
			i + 1 < n ? r->next[at] : 0);
}

int driver_ring_add(struct driver_ring *r, const struct driver_buf *buf, unsigned n_out,
	unsigned n_in, void *token)
{
	unsigned n = n_out + n_in, head = r->free_head, after = head;
	bool indirect = n > 1 && n <= r->table_len;
	unsigned n_desc = indirect ? 1 : n;
	struct slot *slot = &r->slot[head];

	if (n == 0)
		return -EINVAL;
	if (n_desc > r->n_free)
		return -ENOSPC;
	if (indirect)
		fill_table(r, head, buf, n_out, n);
	else
		fill_chain(r, head, buf, n_out, n);

	for (unsigned i = 0; i < n_desc; i++)
		after = r->next[after];
	r->free_head = after;
	r->n_free -= n_desc;
	*slot = (struct slot){
		.state = SLOT_ADDED,
		.token = token,
		.n_desc = n_desc,
		.position = r->added,
	};
	for (unsigned i = n_out; i < n; i++)
		slot->writable += buf[i].len;

	r->order[r->added % r->size] = head;
	shm_store16(&r->avail->ring[r->added % r->size], head);
	r->added++;
	return 0;
}

bool driver_ring_publish(struct driver_ring *r)
{
	uint16_t old = r->published, new = r->added;

	if (new == old)
		return false;
	for (uint16_t i = old; i != new; i++)
		r->slot[r->order[i % r->size]].state = SLOT_OUT;
	r->published = new;
	/* Pairs with the device's acquire of avail idx: entries and descriptors come first. */
	shm_store16_release(&r->avail->idx, new);
	/*
	 * 2.7.13.4.1: the index before the look at the device's wish. Pairs with the device's
	 * barrier between setting that and looking at the index again.
	 */
	shm_full_barrier();
	if (r->event_idx)
		return vring_need_event(shm_load16(r->avail_event), new, old);
	return !(shm_load16(&r->used->flags) & VRING_USED_F_NO_NOTIFY);
}

/* Looks for more used entries. -EPROTO: the device claims more than it had. */
static int refresh_used(struct driver_ring *r)
{
	/* Pairs with the device's release: the entries below the index are there. */
	uint16_t idx = shm_load16_acquire(&r->used->idx);

	if ((uint16_t)(idx - r->last_used) > (uint16_t)(r->published - r->last_used))
		return -EPROTO;
	r->used_idx = idx;
	return 0;
}

/* The used entry at last_used: the head it names, and its length; checked but for the order. */
static int read_used(const struct driver_ring *r, unsigned *head, uint32_t *len)
{
	const struct vring_used_elem *elem = &r->used->ring[r->last_used % r->size];

	*head = shm_load32(&elem->id);
	*len = shm_load32(&elem->len);
	if (*head >= r->size || r->slot[*head].state != SLOT_OUT || *len > r->slot[*head].writable)
		return -EPROTO;
	return 0;
}

static void *complete(struct driver_ring *r, unsigned head)
{
	struct slot *slot = &r->slot[head];
	unsigned tail = head;

	/* The last one freed is the first one used again: it is in the cache. */
	if (!r->in_order) {
		for (unsigned i = 1; i < slot->n_desc; i++)
			tail = r->next[tail];
		r->next[tail] = r->free_head;
		r->free_head = head;
	}
	r->n_free += slot->n_desc;
	r->last_used++;
	slot->state = SLOT_FREE;
	return slot->token;
}

/* Reads the entry of a batch, which ends at the request it names. */
static int read_batch(struct driver_ring *r)
{
	unsigned head;
	uint16_t position;
	int err = read_used(r, &head, &r->batch_len);

	if (err)
		return err;
	position = r->slot[head].position;
	/* All of the batch lies below the index that was published with it. */
	if ((uint16_t)(position - r->last_used) >= (uint16_t)(r->used_idx - r->last_used))
		return -EPROTO;
	r->batch_end = position;
	r->in_batch = true;
	return 0;
}

static int reap_in_order(struct driver_ring *r, void **token, uint32_t *len)
{
	unsigned head = r->order[r->last_used % r->size];
	int err = r->in_batch ? 0 : read_batch(r);

	if (err)
		return err;
	if (r->last_used == r->batch_end) {
		*len = r->batch_len;
		r->in_batch = false;
	} else {
		*len = MIN(r->slot[head].writable, UINT32_MAX);
	}
	*token = complete(r, head);
	return 1;
}

int driver_ring_reap(struct driver_ring *r, void **token, uint32_t *len)
{
	unsigned head;
	int err = r->last_used == r->used_idx ? refresh_used(r) : 0;

	if (err)
		return err;
	if (r->last_used == r->used_idx)
		return 0;
	if (r->in_order)
		return reap_in_order(r, token, len);
	err = read_used(r, &head, len);
	if (err)
		return err;
	*token = complete(r, head);
	return 1;
}

bool driver_ring_arm(struct driver_ring *r)
{
	if (r->event_idx)
		shm_store16(r->used_event, r->last_used);
	else
		shm_store16(&r->avail->flags, 0);
	/*
	 * 2.7.7: the wish before another look. Pairs with the device's barrier between publishing
	 * a used index and looking at the wish.
	 */
	shm_full_barrier();
	return shm_load16(&r->used->idx) != r->last_used;
}

void driver_ring_disarm(struct driver_ring *r)
{
	/* The index that is passed last: 2.7.7.1 forbids the flag along with EVENT_IDX. */
	if (r->event_idx)
		shm_store16(r->used_event, r->last_used - 1);
	else
		shm_store16(&r->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}

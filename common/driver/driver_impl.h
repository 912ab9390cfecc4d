/* SPDX-License-Identifier: Apache-2.0 */
/* What the two formats of a driver's vring share, and what sets them apart. Not for users. */
#pragma once

#include "driver/driver_ring.h"
#include "memory/shm.h"
#include "virtio/ring_layout.h"

/* A request of the driver's, by the number that the device returns it by. */
struct driver_slot {
	void *token;
	uint64_t writable; /* bytes */
	uint64_t since; /* the vring's publications before it was added */
	uint16_t n_desc; /* of the vring, that is 1 if indirect; 0: free */
	uint16_t position; /* split: the avail index it was added at */
};

/* Where the areas are, from the start of the vring's memory. */
struct driver_areas {
	uint64_t avail, used, end;
};

struct driver_format {
	size_t instance; /* of struct driver_ring and what the format puts behind it */
	struct driver_areas (*areas)(unsigned size);
	/* The areas are zeroes. */
	void (*init)(struct driver_ring *r, void *desc, void *avail, void *used);
	void (*fini)(struct driver_ring *r);
	/* As in driver_ring.h; n_out of the n buffers, of which there is at least one, are read. */
	int (*add)(struct driver_ring *r, const struct driver_buf *buf, unsigned n_out, unsigned n,
		void *token);
	bool (*publish)(struct driver_ring *r);
	int (*reap)(struct driver_ring *r, void **token, uint32_t *len);
	bool (*arm)(struct driver_ring *r);
	void (*disarm)(struct driver_ring *r);
	uint32_t (*resume_base)(const struct driver_ring *r);
};

extern const struct driver_format driver_split, driver_packed;

/* The first member of a format's own struct. */
struct driver_ring {
	const struct driver_format *format;
	struct driver_slot *slot;
	uint64_t publications;
	uint32_t size;
	uint32_t outstanding;
	bool event_idx, in_order;
	bool cuts_excess;
	struct driver_excess excess;
	unsigned table_len; /* buffers in the indirect table of a slot; 0: no tables */
	void *table;
	uint64_t table_addr;
	uint64_t desc_addr, avail_addr, used_addr;
};

/* Returns true if the device has the request: not while it is only added. */
static inline bool driver_slot_is_out(const struct driver_ring *r, const struct driver_slot *slot)
{
	return slot->n_desc > 0 && slot->since != r->publications;
}

/* Returns true if a request of n buffers goes into an indirect table. */
static inline bool driver_ring_wants_table(const struct driver_ring *r, unsigned n)
{
	return n > 1 && n <= r->table_len;
}

/* Returns where the indirect table of a slot is: its entries are descriptors. */
static inline uint64_t driver_ring_table_offset(const struct driver_ring *r, unsigned slot)
{
	return (uint64_t)slot * r->table_len * VIRTIO_DESC_BYTES;
}

/*
 * The device reports a used length of *len for a request of which less is writable: cuts it and
 * returns 0, or returns -EMSGSIZE.
 */
int driver_ring_exceed(struct driver_ring *r, const struct driver_slot *slot, uint32_t *len);

/* Takes a slot for n buffers, of which all but the first n_out are writable. */
static inline struct driver_slot *driver_slot_take(struct driver_ring *r, unsigned id,
	const struct driver_buf *buf, unsigned n_out, unsigned n, void *token)
{
	struct driver_slot *slot = &r->slot[id];

	slot->token = token;
	slot->since = r->publications;
	slot->writable = 0;
	for (unsigned i = n_out; i < n; i++)
		slot->writable += buf[i].len;
	r->outstanding++;
	return slot;
}

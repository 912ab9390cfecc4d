/* SPDX-License-Identifier: Apache-2.0 */
/* See attack.h. */
#include "tests/storm/attack.h"

#include <linux/virtio_ring.h>

#define REGISTERS 0x100u
#define CONFIG 60u /* of a block device */

/* A sequence of records: where it begins, how many, how large, and the widths of their fields. */
struct attack_fields {
	enum attack_on on;
	unsigned start, count;
	uint8_t width[4];
};

static const struct attack_fields split_fields[] = {
	{ ATTACK_DESC, 0, DISK_RING, { 8, 4, 2, 2 } },
	{ ATTACK_AVAIL, 0, DISK_RING + 3, { 2 } }, /* flags, idx, ring, used_event */
	{ ATTACK_USED, 0, 2, { 2 } }, /* flags, idx */
	{ ATTACK_USED, 4, DISK_RING, { 4, 4 } },
	{ ATTACK_USED, 4 + 8 * DISK_RING, 1, { 2 } }, /* avail_event */
	{ ATTACK_TABLE, 0, 3, { 8, 4, 2, 2 } },
	{ ATTACK_HEADER, 0, 1, { 4, 4, 8 } },
};
static const struct attack_fields packed_fields[] = {
	{ ATTACK_DESC, 0, DISK_RING, { 8, 4, 2, 2 } },
	{ ATTACK_AVAIL, 0, 2, { 2 } },
	{ ATTACK_USED, 0, 2, { 2 } },
	{ ATTACK_TABLE, 0, 3, { 8, 4, 2, 2 } },
	{ ATTACK_HEADER, 0, 1, { 4, 4, 8 } },
};
static const struct attack_fields registers[] = {
	{ ATTACK_SETTING, 0, REGISTERS / 4, { 4 } },
	{ ATTACK_RUNNING, 0, REGISTERS / 4, { 4 } },
	{ ATTACK_RUNNING, REGISTERS, CONFIG + 4, { 1 } },
	/* Not as registers want it. */
	{ ATTACK_RUNNING, 1, 3, { 1, 2, 8 } },
	{ ATTACK_RUNNING, REGISTERS - 4, 2, { 8 } },
};
static const uint64_t values[] = { 0, 1, 2, DISK_RING, 0x7fff, 0x8000, 0xffff, 0x80000000,
	0xffffffff, UINT64_MAX - 0xfff, UINT64_MAX };
static const uint64_t changes[] = { 1, 2, 4, 0x100, UINT64_MAX };

/* An available index that is further on than the vring is long. */
static const struct attack too_far = {
	.on = ATTACK_AVAIL,
	.at = offsetof(struct vring_avail, idx),
	.width = 2,
	.value = 0x4000,
	.is_change = true,
	.must_break = true,
};
/* The next descriptor is made available, with an indirect table of no length. */
static const struct attack empty_table = {
	.on = ATTACK_DESC,
	.at = DISK_DEPTH * sizeof(struct vring_packed_desc) +
		offsetof(struct vring_packed_desc, flags),
	.width = 2,
	.value = 1 << VRING_PACKED_DESC_F_AVAIL | VRING_DESC_F_INDIRECT,
	.must_break = true,
};

static void add_values(GArray *all, enum attack_on on, unsigned at, unsigned width)
{
	struct attack a = { .on = on, .at = at, .width = width };

	for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
		a.value = values[i];
		g_array_append_val(all, a);
	}
	a.is_change = true;
	for (unsigned i = 0; on < ATTACK_SETTING && i < G_N_ELEMENTS(changes); i++) {
		a.value = changes[i];
		g_array_append_val(all, a);
	}
}

static void add_fields(GArray *all, const struct attack_fields *f, unsigned n)
{
	for (; n > 0; n--, f++) {
		unsigned at = f->start;

		for (unsigned i = 0; i < f->count; i++) {
			for (unsigned k = 0; k < G_N_ELEMENTS(f->width) && f->width[k]; k++) {
				add_values(all, f->on, at, f->width[k]);
				at += f->width[k];
			}
		}
	}
}

GArray *attacks_new(bool packed)
{
	GArray *all = g_array_new(FALSE, FALSE, sizeof(struct attack));

	if (packed)
		add_fields(all, packed_fields, G_N_ELEMENTS(packed_fields));
	else
		add_fields(all, split_fields, G_N_ELEMENTS(split_fields));
	add_fields(all, registers, G_N_ELEMENTS(registers));
	g_array_append_val(all, *(packed ? &empty_table : &too_far));
	return all;
}

void attack_register(struct disk *k, const struct attack *a)
{
	disk_write(k, a->at, a->width, a->value);
	disk_read(k, a->at, a->width);
}

static uint8_t *area(struct disk *k, enum attack_on on)
{
	struct vring_desc *first;
	uint64_t desc, avail, used;

	driver_ring_addresses(k->ring, &desc, &avail, &used);
	first = driver_mem_host(k->mem, desc, sizeof(*first));
	switch (on) {
	case ATTACK_AVAIL:
		return driver_mem_host(k->mem, avail, 4);
	case ATTACK_USED:
		return driver_mem_host(k->mem, used, 4);
	case ATTACK_TABLE:
		/* That of the first request, which the device does not write. */
		return driver_mem_host(k->mem, le64toh(first->addr), 3 * sizeof(*first));
	case ATTACK_HEADER:
		return (uint8_t *)k->request[0].header;
	default:
		return (uint8_t *)first;
	}
}

void attack_memory(struct disk *k, const struct attack *a)
{
	uint8_t *to = area(k, a->on);
	uint64_t value = 0;

	if (!to)
		return;
	to += a->at;
	memcpy(&value, to, a->width);
	value = htole64(le64toh(value) * a->is_change + a->value);
	memcpy(to, &value, a->width);
}

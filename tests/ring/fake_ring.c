/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver without manners writes into vrings of both formats, and reads from them. */
#include "base/util.h"
#include "fake.h"

#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)
#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED (1u << VRING_PACKED_DESC_F_USED)

/* How many descriptors each id took, for want of memory of its own in a packed vring. */
static uint16_t taken[UINT16_MAX + 1];

static bool is_packed(const struct fake *f)
{
	return f->setup.features & PACKED;
}

/* Split. */

static struct vring_desc make_desc(uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	return (struct vring_desc){
		.addr = htole64(addr),
		.len = htole32(len),
		.flags = htole16(flags),
		.next = htole16(next),
	};
}

void fake_desc(
	struct fake *f, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	f->desc[i] = make_desc(addr, len, flags, next);
}

void fake_avail(struct fake *f, uint16_t head)
{
	uint16_t idx = shm_load16(&f->avail->idx);

	shm_store16(&f->avail->ring[idx % f->setup.size], head);
	shm_store16_release(&f->avail->idx, idx + 1);
}

uint16_t *fake_used_event(struct fake *f)
{
	return &f->avail->ring[f->setup.size];
}

uint16_t *fake_avail_event(struct fake *f)
{
	return (uint16_t *)&f->used->ring[f->setup.size];
}

static bool split_reap(struct fake *f, uint32_t *id, uint32_t *len)
{
	const struct vring_used_elem *e = &f->used->ring[f->seen % f->setup.size];

	if (shm_load16_acquire(&f->used->idx) == f->seen)
		return false;
	*id = shm_load32(&e->id);
	*len = shm_load32(&e->len);
	f->seen++;
	return true;
}

static bool split_publish(struct fake *f, unsigned first, unsigned n)
{
	uint16_t old = shm_load16(&f->avail->idx);

	for (unsigned i = 0; i < n; i++) {
		unsigned d = (first + i) % f->setup.size;

		fake_desc(f, d, DATA_ADDR + 16 * d, 16, VRING_DESC_F_WRITE, 0);
		shm_store16(&f->avail->ring[(uint16_t)(old + i) % f->setup.size], d);
	}
	shm_store16_release(&f->avail->idx, old + n);
	shm_full_barrier();
	if (f->setup.features & EVENT_IDX)
		return vring_need_event(shm_load16(fake_avail_event(f)), old + n, old);
	return !(shm_load16(&f->used->flags) & VRING_USED_F_NO_NOTIFY);
}

static bool split_arm(struct fake *f)
{
	if (f->setup.features & EVENT_IDX)
		shm_store16(fake_used_event(f), f->seen);
	shm_full_barrier();
	return shm_load16_acquire(&f->used->idx) != f->seen;
}

/* Packed. */

uint16_t fake_packed_move(const struct fake *f, uint16_t position, int n)
{
	int i = (position & (WRAP - 1)) + n, size = f->setup.size;

	for (position &= WRAP; i >= size; i -= size)
		position ^= WRAP;
	for (; i < 0; i += size)
		position ^= WRAP;
	return position | i;
}

static struct vring_packed_desc *packed_at(struct fake *f, uint16_t position)
{
	return &f->list[position & (WRAP - 1)];
}

/* Fills in all but the flags, which are returned as they are to be stored. */
static uint16_t fill_packed(
	struct fake *f, uint16_t position, const struct fake_buf *b, uint16_t id)
{
	struct vring_packed_desc *d = packed_at(f, position);

	d->addr = htole64(b->addr);
	d->len = htole32(b->len);
	d->id = htole16(id);
	return b->flags | (position & WRAP ? AVAIL : USED);
}

void fake_packed(struct fake *f, uint64_t addr, uint32_t len, uint16_t flags, uint16_t id)
{
	const struct fake_buf b = { addr, len, flags };

	shm_store16(&packed_at(f, f->at)->flags, fill_packed(f, f->at, &b, id));
	f->at = fake_packed_move(f, f->at, 1);
}

static bool packed_reap(struct fake *f, uint32_t *id, uint32_t *len)
{
	const struct vring_packed_desc *d = packed_at(f, f->used_at);
	uint16_t flags = shm_load16_acquire(&d->flags);

	if ((flags & (AVAIL | USED)) != (f->used_at & WRAP ? AVAIL | USED : 0))
		return false;
	*id = shm_load16(&d->id);
	*len = shm_load32(&d->len);
	/* §2.8.3 */
	assert_int_equal(!*len, !(flags & VRING_DESC_F_WRITE));
	f->used_at = fake_packed_move(f, f->used_at, MAX(taken[*id], 1));
	return true;
}

static bool packed_publish(struct fake *f, unsigned first, unsigned n)
{
	uint16_t old = f->at, flags = 0;
	uint32_t wish;

	for (unsigned i = 0; i < n; i++) {
		unsigned id = (first + i) % f->setup.size;
		const struct fake_buf b = { DATA_ADDR + 16 * id, 16, VRING_DESC_F_WRITE };
		uint16_t filled = fill_packed(f, f->at, &b, id);

		taken[id] = 1;
		if (i == 0)
			flags = filled;
		else
			shm_store16(&packed_at(f, f->at)->flags, filled);
		f->at = fake_packed_move(f, f->at, 1);
	}
	shm_store16_release(&packed_at(f, old)->flags, flags);
	shm_full_barrier();
	wish = shm_load32(f->device);
	if (wish >> 16 != VRING_PACKED_EVENT_FLAG_DESC)
		return wish >> 16 != VRING_PACKED_EVENT_FLAG_DISABLE;
	for (unsigned i = 0; i < n; i++)
		if (fake_packed_move(f, old, i) == (uint16_t)wish)
			return true;
	return false;
}

static bool packed_arm(struct fake *f)
{
	const uint16_t at = f->used_at;
	uint16_t flags;

	if (f->setup.features & EVENT_IDX)
		shm_store32(f->driver, VRING_PACKED_EVENT_FLAG_DESC << 16 | at);
	else
		shm_store32(f->driver, VRING_PACKED_EVENT_FLAG_ENABLE << 16);
	shm_full_barrier();
	flags = shm_load16_acquire(&packed_at(f, at)->flags);
	return (flags & (AVAIL | USED)) == (at & WRAP ? AVAIL | USED : 0);
}

/* Both. */

void fake_list(struct fake *f, uint16_t id, const struct fake_buf *buf, unsigned n)
{
	taken[id] = n;
	for (unsigned i = 0; i < n; i++) {
		uint16_t flags = buf[i].flags | (i < n - 1 ? VRING_DESC_F_NEXT : 0);

		/* The last one's id counts. */
		if (is_packed(f))
			fake_packed(f, buf[i].addr, buf[i].len, flags, i < n - 1 ? ~id : id);
		else
			fake_desc(f, (id + i) % f->setup.size, buf[i].addr, buf[i].len, flags,
				(id + i + 1) % f->setup.size);
	}
	if (!is_packed(f))
		fake_avail(f, id);
}

void fake_table(struct fake *f, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
	uint16_t flags, uint16_t next)
{
	struct vring_desc d = make_desc(addr, len, flags, next);

	if (is_packed(f))
		d = make_desc(addr, len, 0x5a5a, flags);
	/* Byte by byte: the entry may straddle the border. */
	for (unsigned k = 0; k < sizeof(d); k++)
		*(uint8_t *)fake_host(f, table + i * sizeof(d) + k) = ((uint8_t *)&d)[k];
}

void fake_request(struct fake *f, uint16_t id)
{
	const struct fake_buf b = { DATA_ADDR + 16 * id, 16, VRING_DESC_F_WRITE };

	fake_list(f, id, &b, 1);
}

bool fake_publish(struct fake *f, unsigned first, unsigned n)
{
	return is_packed(f) ? packed_publish(f, first, n) : split_publish(f, first, n);
}

bool fake_reap(struct fake *f, uint32_t *id, uint32_t *len)
{
	return is_packed(f) ? packed_reap(f, id, len) : split_reap(f, id, len);
}

unsigned fake_reap_all(struct fake *f)
{
	uint32_t id, len;
	unsigned n = 0;

	while (fake_reap(f, &id, &len))
		n++;
	return n;
}

bool fake_arm(struct fake *f)
{
	return is_packed(f) ? packed_arm(f) : split_arm(f);
}

uint32_t fake_base(const struct fake *f, unsigned n)
{
	return is_packed(f) ? fake_packed_move(f, WRAP, n) * 0x10001u : (uint16_t)n;
}

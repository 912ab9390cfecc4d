/* SPDX-License-Identifier: Apache-2.0 */
/* The device's side of a split or packed vring, without checks. */
#include "fake_device.h"

static void find_split(struct fake_device *f, uint64_t desc, uint64_t avail, uint64_t used)
{
	assert_int_equal(desc % 16, 0);
	assert_int_equal(avail % 2, 0);
	assert_int_equal(used % 4, 0);
	f->desc = driver_mem_host(f->mem, desc, 16ull * f->size);
	f->avail = driver_mem_host(f->mem, avail, 6 + 2ull * f->size);
	f->used = driver_mem_host(f->mem, used, 6 + 8ull * f->size);
	assert_true(f->desc && f->avail && f->used);
	assert_true(avail >= desc + 16ull * f->size);
	assert_true(used >= avail + 6 + 2ull * f->size);
}

static void find_packed(struct fake_device *f, uint64_t desc, uint64_t driver, uint64_t device)
{
	assert_int_equal(desc % 16, 0);
	assert_int_equal(driver % 4, 0);
	assert_int_equal(device % 4, 0);
	f->packed = driver_mem_host(f->mem, desc, 16ull * f->size);
	f->driver_event = driver_mem_host(f->mem, driver, 4);
	f->device_event = driver_mem_host(f->mem, device, 4);
	assert_true(f->packed && f->driver_event && f->device_event);
	assert_true(driver >= desc + 16ull * f->size);
	assert_true(device >= driver + 4);
}

void fake_up(struct fake_device *f, unsigned size, uint64_t features)
{
	GError *error = NULL;
	uint64_t desc, avail, used;

	*f = (struct fake_device){
		.size = size,
		.is_packed = features & F_PACKED,
		.event_idx = features & F_EVENT_IDX,
	};
	/* As many passes as make no difference: places in the past are no less than 0. */
	f->next_avail = f->next_used = f->published = f->called = 2 * size;
	f->mem = driver_mem_new(driver_ring_footprint(size, features), &error);
	assert_non_null(f->mem);
	f->ring = driver_ring_new(f->mem, size, features, &error);
	assert_non_null(f->ring);
	assert_int_equal(driver_ring_size(f->ring), size);
	driver_ring_addresses(f->ring, &desc, &avail, &used);
	if (f->is_packed)
		find_packed(f, desc, avail, used);
	else
		find_split(f, desc, avail, used);
}

void fake_down(struct fake_device *f)
{
	driver_ring_free(f->ring);
	driver_mem_free(f->mem);
}

uint16_t *fake_used_event(struct fake_device *f)
{
	return &f->avail->ring[f->size];
}

uint16_t *fake_avail_event(struct fake_device *f)
{
	return (uint16_t *)&f->used->ring[f->size];
}

/* Returns the wrap counter at a place: 1 in the first pass. */
static bool wrap_at(const struct fake_device *f, unsigned at)
{
	return at / f->size % 2 == 0;
}

uint16_t fake_avail_flags(const struct fake_device *f, unsigned at)
{
	return wrap_at(f, at) ? P_AVAIL : P_USED;
}

uint16_t fake_used_flags(const struct fake_device *f, unsigned at)
{
	return wrap_at(f, at) ? P_AVAIL | P_USED : 0;
}

static bool packed_is_available(const struct fake_device *f)
{
	uint16_t flags = shm_load16_acquire(&f->packed[f->next_avail % f->size].flags);

	return (flags & (P_AVAIL | P_USED)) == fake_avail_flags(f, f->next_avail);
}

static int packed_pop(struct fake_device *f)
{
	unsigned n = 0;
	const struct vring_packed_desc *d;

	if (!packed_is_available(f))
		return -1;
	do {
		d = &f->packed[f->next_avail++ % f->size];
		n++;
	} while (shm_load16(&d->flags) & VRING_DESC_F_NEXT);
	f->n_desc[shm_load16(&d->id)] = n;
	return shm_load16(&d->id);
}

int fake_pop(struct fake_device *f)
{
	if (f->is_packed)
		return packed_pop(f);
	if (f->last_avail == shm_load16_acquire(&f->avail->idx))
		return -1;
	return shm_load16(&f->avail->ring[f->last_avail++ % f->size]);
}

static void packed_push(struct fake_device *f, uint32_t id, uint32_t len)
{
	struct vring_packed_desc *d = &f->packed[f->next_used % f->size];
	uint16_t flags = fake_used_flags(f, f->next_used) | (len > 0 ? VRING_DESC_F_WRITE : 0);

	shm_store16(&d->id, id);
	shm_store32(&d->len, len);
	if (f->next_used == f->published)
		f->first_flags = flags;
	else
		shm_store16(&d->flags, flags);
	f->next_used += f->n_desc[id % 32768];
}

void fake_push(struct fake_device *f, uint32_t id, uint32_t len)
{
	struct vring_used_elem *elem;

	if (f->is_packed) {
		packed_push(f, id, len);
		return;
	}
	elem = &f->used->ring[f->used_idx++ % f->size];
	shm_store32(&elem->id, id);
	shm_store32(&elem->len, len);
}

void fake_push_batch(struct fake_device *f, const int *id, unsigned n, uint32_t len)
{
	fake_push(f, id[n - 1], len);
	f->used_idx += n - 1;
	while (f->is_packed && --n > 0)
		f->next_used += f->n_desc[id[n - 1]];
}

void fake_publish(struct fake_device *f)
{
	if (!f->is_packed) {
		shm_store16_release(&f->used->idx, f->used_idx);
	} else if (f->published != f->next_used) {
		shm_store16_release(&f->packed[f->published % f->size].flags, f->first_flags);
		f->published = f->next_used;
	}
}

static bool packed_wants_call(struct fake_device *f)
{
	uint16_t flags = shm_load16_acquire(&f->driver_event->flags);
	uint16_t off_wrap = shm_load16(&f->driver_event->off_wrap);
	unsigned old = f->called, at = old / f->size * f->size + (off_wrap & 0x7fff);

	f->called = f->next_used;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags == VRING_PACKED_EVENT_FLAG_ENABLE && old != f->next_used;
	assert_true(f->event_idx);
	if (wrap_at(f, at) != off_wrap >> 15)
		at += f->size;
	return old <= at && at < f->next_used;
}

bool fake_wants_call(struct fake_device *f)
{
	uint16_t old = f->called_idx;

	shm_full_barrier();
	if (f->is_packed)
		return packed_wants_call(f);
	f->called_idx = f->used_idx;
	if (f->event_idx)
		return vring_need_event(shm_load16(fake_used_event(f)), f->used_idx, old);
	return !(shm_load16(&f->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

void fake_ask_kick(struct fake_device *f, int ahead)
{
	unsigned at = f->next_avail + ahead;

	if (!f->is_packed) {
		shm_store16(fake_avail_event(f), f->last_avail + ahead);
		return;
	}
	shm_store16(&f->device_event->off_wrap, at % f->size | wrap_at(f, at) << 15);
	shm_store16_release(&f->device_event->flags, VRING_PACKED_EVENT_FLAG_DESC);
}

bool fake_arm(struct fake_device *f)
{
	if (f->event_idx)
		fake_ask_kick(f, 0);
	else if (f->is_packed)
		shm_store16(&f->device_event->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
	else
		shm_store16(&f->used->flags, 0);
	shm_full_barrier();
	if (f->is_packed)
		return packed_is_available(f);
	return shm_load16(&f->avail->idx) != f->last_avail;
}

void fake_disarm(struct fake_device *f)
{
	if (f->is_packed)
		shm_store16(&f->device_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	else if (!f->event_idx)
		shm_store16(&f->used->flags, VRING_USED_F_NO_NOTIFY);
}

int fake_add(struct fake_device *f, unsigned n_out, unsigned n_in, uint32_t len, unsigned token)
{
	struct driver_buf buf[128];

	for (unsigned i = 0; i < n_out + n_in; i++)
		buf[i] = (struct driver_buf){ .addr = 0x1234500000000 + i * len, .len = len };
	return driver_ring_add(f->ring, buf, n_out, n_in, GUINT_TO_POINTER(token));
}

void assert_reaped(struct fake_device *f, unsigned token, uint32_t len)
{
	void *got;
	uint32_t got_len;

	assert_int_equal(driver_ring_reap(f->ring, &got, &got_len), 1);
	assert_int_equal(GPOINTER_TO_UINT(got), token);
	assert_int_equal(got_len, len);
}

void assert_reap_fails(struct fake_device *f, int err)
{
	void *got;
	uint32_t got_len;

	assert_int_equal(driver_ring_reap(f->ring, &got, &got_len), err);
}

int fd_setup(void **state)
{
	*state = GUINT_TO_POINTER(count_fds());
	return 0;
}

int fd_teardown(void **state)
{
	assert_int_equal(count_fds(), GPOINTER_TO_UINT(*state));
	return 0;
}

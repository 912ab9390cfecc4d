/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_shm_map() in one thread: a front-end that answers in kit_core_step(), one request after
 * the other.
 */
#include "tests/lib/test.h"

#include "tests/lib/kit_core.h"

static uint64_t region_size(uint8_t id)
{
	const struct virtio_shm_region *r = virtio_device_ops.shm;

	while (r && r->size && r->id != id)
		r++;
	return r ? r->size : 0;
}

static bool is_sound(const struct virtio_shm_map *m)
{
	uint64_t size = region_size(m->id), page = sysconf(_SC_PAGESIZE);
	uint64_t fd_offset = m->fd < 0 ? 0 : m->fd_offset;

	return m->len && (m->len | m->at | fd_offset) % page == 0 && m->at <= size &&
		m->len <= size - m->at;
}

static int carry_out(struct kit_core *c, const struct virtio_shm_map *m)
{
	const struct kit_shm_mapping *old = kit_shm_find(&c->shm, m->id, m->at, m->len);
	const struct vu_front_mapping mapping = {
		.id = m->id,
		.writable = m->writable,
		.fd = m->fd,
		.at = m->at,
		.len = m->len,
		.fd_offset = m->fd_offset,
	};

	if (c->shm.absent)
		return -EOPNOTSUPP;
	if (!is_sound(m))
		return -EINVAL;
	if (m->fd >= 0)
		return old ? -EINVAL : -kit_shm_map(&c->shm, &mapping);
	if (!old || old->at != m->at || old->len != m->len)
		return -EINVAL;
	kit_shm_unmap(&c->shm, m->id, m->at, m->len);
	return 0;
}

/* Cancels: what was to be unmapped is, also when the queue stops. */
static int cancel(struct kit_core *c, const struct virtio_shm_map *m)
{
	int result = m->fd < 0 ? carry_out(c, m) : 0;

	return result ? result : -ECANCELED;
}

void virtio_shm_map(struct vq *q, struct virtio_shm_map *m)
{
	struct kit_core *c = ((struct kit_queue *)vq_opaque(q))->core;
	struct virtio_shm_map **end = &c->shm_maps;

	if (c->stopping || !vq_is_started(q)) {
		m->done(&c->device, q, m, cancel(c, m));
		return;
	}
	m->core = (struct virtio_shm_map_core){ .wakeup.core.q = q };
	while (*end)
		end = &(*end)->core.next;
	*end = m;
}

bool kit_core_shm_answer(struct kit_core *c)
{
	struct virtio_shm_map *m = c->shm_maps;
	int result;
	struct vq *q;

	if (!m)
		return false;
	c->shm_maps = m->core.next;
	q = m->core.wakeup.core.q;
	result = c->stopping ? cancel(c, m) : carry_out(c, m);
	kit_core_begin(c, q);
	m->done(&c->device, q, m, result);
	kit_core_end(c, q);
	return true;
}

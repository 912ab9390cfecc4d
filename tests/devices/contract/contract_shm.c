/* SPDX-License-Identifier: Apache-2.0 */
/* The contract device's shared memory: pages of a file of its own. */
#include "contract_impl.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

const struct virtio_shm_region contract_regions[] = {
	{ .id = CONTRACT_REGION, .size = CONTRACT_REGION_PAGES * PAGE },
	{ 0 },
};

/*
 * Completes the request that waits for its mapping. One that was cancelled is carried out when
 * the queue runs again; what was to be unmapped is already.
 */
static void on_done(struct virtio_device *d, struct vq *q, struct virtio_shm_map *map, int result)
{
	struct contract_map *m = container_of(map, struct contract_map, map);
	struct vq_chain *c = g_steal_pointer(&m->c);

	if (result == -ECANCELED && map->fd >= 0) {
		vq_keep(c);
		return;
	}
	contract_answer(d->data, c, result == -ECANCELED ? 0 : result);
	vq_push(c);
}

int contract_do_map(struct contract *t, struct vq_chain *c, const struct contract_request *r)
{
	for (unsigned i = 0; i < CONTRACT_MAPS; i++) {
		struct contract_map *m = &t->maps[i];

		if (m->c)
			continue;
		m->c = c;
		m->map = (struct virtio_shm_map){
			.id = CONTRACT_REGION,
			.writable = true,
			.fd = r->verb == CONTRACT_MAP ? t->file : -1,
			.at = r->address,
			.len = PAGE,
			.fd_offset = r->n % CONTRACT_PAGES_OF_FILE * PAGE,
			.done = on_done,
		};
		virtio_shm_map(c->q, &m->map);
		return CONTRACT_LATER;
	}
	return -ENOSPC;
}

bool contract_shm_open(struct contract *t)
{
	uint8_t page[PAGE];

	t->file = memfd_create("contract", MFD_CLOEXEC);
	for (unsigned i = 0; i < CONTRACT_PAGES_OF_FILE; i++) {
		memset(page, 'a' + (int)i, sizeof(page));
		if (write(t->file, page, sizeof(page)) < 0)
			return false;
	}
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See kit_shm.h. */
#include "tests/lib/kit_shm.h"

#include <errno.h>
#include <sys/mman.h>

int kit_shm_map(void *opaque, const struct vu_front_mapping *m)
{
	int prot = m->writable ? PROT_READ | PROT_WRITE : PROT_READ;
	struct kit_shm_mapping mapping = { m->id, m->at, m->len, NULL };
	struct kit_shm *s = opaque;

	if (s->error)
		return s->error;
	mapping.host = mmap(NULL, m->len, prot, MAP_SHARED, m->fd, (off_t)m->fd_offset);
	if (mapping.host == MAP_FAILED)
		return errno;
	if (!s->mapped)
		s->mapped = g_array_new(FALSE, FALSE, sizeof(mapping));
	g_array_append_val(s->mapped, mapping);
	return 0;
}

static bool overlaps(const struct kit_shm_mapping *m, uint8_t id, uint64_t at, uint64_t len)
{
	return m->id == id && m->at < at + len && at < m->at + m->len;
}

void kit_shm_unmap(void *opaque, uint8_t id, uint64_t at, uint64_t len)
{
	struct kit_shm *s = opaque;

	for (unsigned i = s->mapped ? s->mapped->len : 0; i-- > 0;) {
		struct kit_shm_mapping m = g_array_index(s->mapped, struct kit_shm_mapping, i);

		if (!overlaps(&m, id, at, len))
			continue;
		munmap(m.host, m.len);
		g_array_remove_index(s->mapped, i);
	}
}

const struct kit_shm_mapping *kit_shm_find(
	const struct kit_shm *s, uint8_t id, uint64_t at, uint64_t len)
{
	for (unsigned i = 0; s->mapped && i < s->mapped->len; i++) {
		struct kit_shm_mapping *m = &g_array_index(s->mapped, struct kit_shm_mapping, i);

		if (overlaps(m, id, at, len))
			return m;
	}
	return NULL;
}

void kit_shm_drop(struct kit_shm *s)
{
	for (unsigned id = 0; id <= UINT8_MAX; id++)
		kit_shm_unmap(s, id, 0, UINT64_MAX);
	g_clear_pointer(&s->mapped, g_array_unref);
}

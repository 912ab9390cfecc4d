/* SPDX-License-Identifier: Apache-2.0 */
/* The dirty log: see dirty_log.h. */
#include "memory/dirty_log.h"

#include <inttypes.h>

#include "base/eventfd.h"
#include "base/log.h"
#include "memory/guest_mem.h"

struct dirty_log {
	struct guest_mem *mem; /* its file, which is as hostile as guest memory's */
	struct mem_ring_map map;
	uint8_t *bits;
	uint64_t size; /* in bytes */
	int call;
	bool told; /* atomic: that it is too short */
};

struct dirty_log *dirty_log_new(int fd, uint64_t size, uint64_t offset, GError **error)
{
	const struct mem_region_desc desc = { .size = size, .mmap_offset = offset };
	g_autoptr(dirty_log) l = g_new0(struct dirty_log, 1);

	l->mem = guest_mem_new();
	l->call = -1;
	l->size = size;
	if (!guest_mem_set(l->mem, &desc, &fd, 1, error) ||
		!guest_mem_map_ring(l->mem, 0, size, 1, "dirty log", &l->map, error)) {
		g_prefix_error(error, "dirty log: ");
		return NULL;
	}
	l->bits = l->map.host;
	return g_steal_pointer(&l);
}

void dirty_log_free(struct dirty_log *l)
{
	if (!l)
		return;
	if (l->bits)
		guest_mem_unmap_ring(l->mem, &l->map);
	guest_mem_free(l->mem);
	g_free(l);
}

uint64_t dirty_log_end(const struct dirty_log *l)
{
	return l->size > UINT64_MAX / (8 * DIRTY_LOG_PAGE) ? UINT64_MAX
							   : l->size * 8 * DIRTY_LOG_PAGE;
}

void dirty_log_set_call(struct dirty_log *l, int fd)
{
	l->call = fd;
}

static void tell_short(struct dirty_log *l, uint64_t addr)
{
	if (!__atomic_exchange_n(&l->told, true, __ATOMIC_RELAXED))
		log_warning(NULL,
			"the dirty log has no bit for what is written at 0x%" PRIx64
			": it ends at 0x%" PRIx64,
			addr, dirty_log_end(l));
}

void dirty_log_mark(struct dirty_log *l, uint64_t addr, uint64_t len)
{
	uint64_t page = addr / DIRTY_LOG_PAGE, last;

	if (!len)
		return;
	last = (len - 1 > UINT64_MAX - addr ? UINT64_MAX : addr + (len - 1)) / DIRTY_LOG_PAGE;
	while (page <= last) {
		unsigned first = page % 8, n = MIN(8 - first, last - page + 1);

		if (page / 8 >= l->size) {
			tell_short(l, MAX(addr, page * DIRTY_LOG_PAGE));
			return;
		}
		/* Also if all are set: a load before it could pass the write that it is about. */
		__atomic_fetch_or(
			&l->bits[page / 8], (0xffu >> (8 - n)) << first, __ATOMIC_RELEASE);
		page += n;
	}
}

void dirty_log_signal(const struct dirty_log *l)
{
	eventfd_signal(l->call);
}

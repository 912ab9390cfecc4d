/* SPDX-License-Identifier: Apache-2.0 */
/* The table of guest memory regions, and the rings mapped in them. */
#include "memory/guest_mem.h"

#include <inttypes.h>

#include "memory/dirty_log.h"
#include "memory/guest_mem_impl.h"
#include "memory/mem_fault.h"
#include "memory/types/mem_xen.h"

/* The first that matches is used. A new memory type is one more line here. */
static const struct mem_type *const memory_types[] = {
	&mem_type_memfd,
	&mem_type_foreign,
	&mem_type_grant,
	NULL,
};

struct guest_mem *guest_mem_new(void)
{
	return guest_mem_new_with_types(memory_types);
}

struct guest_mem *guest_mem_new_with_types(const struct mem_type *const *types)
{
	struct guest_mem *m = g_new0(struct guest_mem, 1);

	m->types = types;
	m->can_pin = true;
	return m;
}

static void region_free(struct mem_region *r)
{
	if (r->host)
		mem_fault_unwatch(r->map_base);
	r->type->unmap(r);
	g_free(r);
}

static void table_clear(struct mem_table *table)
{
	for (unsigned i = 0; i < table->n; i++)
		region_free(table->region[i]);
	table->n = 0;
}

void guest_mem_free(struct guest_mem *m)
{
	if (!m)
		return;
	table_clear(&m->table);
	guest_pages_free_scrap(m);
	g_free(m);
}

static const struct mem_type *type_of(const struct guest_mem *m, const struct mem_region_desc *desc)
{
	for (const struct mem_type *const *type = m->types; *type; type++)
		if ((*type)->match(desc))
			return *type;
	return NULL;
}

static struct mem_region *region_new(
	struct guest_mem *m, const struct mem_region_desc *desc, int fd, GError **error)
{
	g_autofree struct mem_region *r = g_new0(struct mem_region, 1);

	r->desc = *desc;
	r->type = type_of(m, desc);
	if (!r->type) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
			"memory region at 0x%" PRIx64 ": no memory type for Xen flags 0x%" PRIx32,
			desc->guest_addr, desc->xen_flags);
		return NULL;
	}
	if (!r->type->map(r, fd, error))
		return NULL;
	if (r->host)
		mem_fault_watch(r->map_base, r->map_size, &r->poisoned, &m->poisoned);
	return g_steal_pointer(&r);
}

/* Compares ranges: neither range wraps nor is empty. */
static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

/*
 * Tells whether it has one: some front-ends leave the user address of Xen regions undefined, and
 * all leave it 0 where nothing is mapped in advance: such a region is found by its guest
 * addresses alone.
 */
static bool has_user_addr(const struct mem_region_desc *desc)
{
	return !desc->xen_flags ||
		(desc->user_addr && desc->user_addr <= UINT64_MAX - desc->size &&
			!(desc->xen_flags & MEM_XEN_NO_ADVANCE));
}

static bool user_addrs_overlap(const struct mem_region_desc *a, const struct mem_region_desc *b)
{
	return has_user_addr(a) && has_user_addr(b) &&
		ranges_overlap(a->user_addr, a->size, b->user_addr, b->size);
}

/* Refuses also a region that ends at 2^64: the end of a range inside one then cannot wrap. */
static bool check_alone(const struct mem_region_desc *desc, GError **error)
{
	const char *wrong = NULL;

	if (desc->size == 0)
		wrong = "its size is 0";
	else if (desc->guest_addr > UINT64_MAX - desc->size)
		wrong = "its guest addresses wrap";
	else if (!desc->xen_flags && desc->user_addr > UINT64_MAX - desc->size)
		wrong = "its user addresses wrap";
	else if (desc->mmap_offset > UINT64_MAX - desc->size)
		wrong = "its offset in the file wraps";
	if (!wrong)
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"memory region at 0x%" PRIx64 ": %s (size 0x%" PRIx64 ", user address 0x%" PRIx64
		", offset 0x%" PRIx64 ")",
		desc->guest_addr, wrong, desc->size, desc->user_addr, desc->mmap_offset);
	return false;
}

static bool check_among(
	const struct mem_table *table, const struct mem_region_desc *desc, GError **error)
{
	if (table->n == GUEST_MEM_MAX_REGIONS) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
			"memory region at 0x%" PRIx64 ": too many regions (the maximum is %u)",
			desc->guest_addr, table->n);
		return false;
	}
	for (unsigned i = 0; i < table->n; i++) {
		const struct mem_region_desc *other = &table->region[i]->desc;
		const char *which = NULL;

		if (ranges_overlap(desc->guest_addr, desc->size, other->guest_addr, other->size))
			which = "guest";
		else if (user_addrs_overlap(desc, other))
			which = "user";
		if (which) {
			g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
				"memory region at 0x%" PRIx64
				": its %s addresses overlap those of the region at 0x%" PRIx64,
				desc->guest_addr, which, other->guest_addr);
			return false;
		}
	}
	return true;
}

/* Adds one region to a table: that of m, or the one that will replace it. */
static bool table_insert(struct guest_mem *m, struct mem_table *table,
	const struct mem_region_desc *desc, int fd, GError **error)
{
	struct mem_region *r;
	unsigned at;

	if (!check_alone(desc, error) || !check_among(table, desc, error))
		return false;
	r = region_new(m, desc, fd, error);
	if (!r)
		return false;
	for (at = table->n; at > 0; at--) {
		if (table->region[at - 1]->desc.guest_addr < desc->guest_addr)
			break;
		table->region[at] = table->region[at - 1];
	}
	table->region[at] = r;
	table->n++;
	return true;
}

/* Updates what depends on all regions. */
static void table_changed(struct guest_mem *m)
{
	int poisoned = 0;

	m->generation++;
	m->maps_per_borrow = false;
	m->can_pin = true;
	for (unsigned i = 0; i < m->table.n; i++) {
		const struct mem_region *r = m->table.region[i];

		m->maps_per_borrow |= !r->host;
		m->can_pin &= r->type->can_pin;
		poisoned |= mem_region_poisoned(r);
	}
	__atomic_store_n(&m->poisoned, poisoned, __ATOMIC_RELAXED);
}

bool guest_mem_set(struct guest_mem *m, const struct mem_region_desc *desc, const int *fds,
	unsigned n, GError **error)
{
	struct mem_table table = { .n = 0 };

	for (unsigned i = 0; i < n; i++) {
		if (!table_insert(m, &table, &desc[i], fds[i], error)) {
			table_clear(&table);
			return false;
		}
	}
	table_clear(&m->table);
	m->table = table;
	table_changed(m);
	return true;
}

/* Returns whether exactly this region is there: QEMU 7.2 adds all for each pair of net's queues. */
static bool is_there(const struct mem_table *table, const struct mem_region_desc *desc)
{
	unsigned at = mem_table_find(table, desc->guest_addr);
	const struct mem_region_desc *found = at < table->n ? &table->region[at]->desc : NULL;

	return found && found->guest_addr == desc->guest_addr && found->size == desc->size &&
		found->user_addr == desc->user_addr && found->mmap_offset == desc->mmap_offset &&
		found->xen_flags == desc->xen_flags && found->xen_domid == desc->xen_domid;
}

bool guest_mem_add(struct guest_mem *m, const struct mem_region_desc *desc, int fd, GError **error)
{
	if (is_there(&m->table, desc))
		return true;
	if (!table_insert(m, &m->table, desc, fd, error))
		return false;
	table_changed(m);
	return true;
}

bool guest_mem_remove(struct guest_mem *m, const struct mem_region_desc *desc, GError **error)
{
	struct mem_table *table = &m->table;
	unsigned at = mem_table_find(table, desc->guest_addr);
	const struct mem_region_desc *found = at < table->n ? &table->region[at]->desc : NULL;

	if (!found || found->guest_addr != desc->guest_addr ||
		found->user_addr != desc->user_addr || found->size != desc->size) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
			"memory region at 0x%" PRIx64 ": there is none with size 0x%" PRIx64
			" and user address 0x%" PRIx64,
			desc->guest_addr, desc->size, desc->user_addr);
		return false;
	}
	region_free(table->region[at]);
	table->n--;
	memmove(&table->region[at], &table->region[at + 1],
		(table->n - at) * sizeof(table->region[0]));
	table_changed(m);
	return true;
}

void guest_mem_discard(struct guest_mem *m, uint64_t addr, uint64_t len)
{
	uint64_t end = addr + MIN(len, UINT64_MAX - addr);

	for (unsigned i = 0; i < m->table.n; i++) {
		struct mem_region *r = m->table.region[i];
		uint64_t from = MAX(addr, r->desc.guest_addr);
		uint64_t to = MIN(end, r->desc.guest_addr + r->desc.size);

		if (from >= to || !r->type->discard || mem_region_poisoned(r))
			continue;
		r->type->discard(r, from - r->desc.guest_addr, to - from);
		if (m->log)
			dirty_log_mark(m->log, from, to - from);
	}
}

unsigned guest_mem_regions(const struct guest_mem *m)
{
	return m->table.n;
}

uint64_t guest_mem_last(const struct guest_mem *m)
{
	const struct mem_region *r = m->table.n ? m->table.region[m->table.n - 1] : NULL;

	return r ? r->desc.guest_addr + (r->desc.size - 1) : 0;
}

void guest_mem_set_log(struct guest_mem *m, struct dirty_log *log)
{
	m->log = log;
}

struct dirty_log *guest_mem_log(const struct guest_mem *m)
{
	return m->log;
}

bool guest_mem_can_pin(const struct guest_mem *m)
{
	return m->can_pin;
}

bool guest_mem_poisoned(const struct guest_mem *m)
{
	return __atomic_load_n(&m->poisoned, __ATOMIC_RELAXED);
}

const int *guest_mem_poison(const struct guest_mem *m)
{
	return &m->poisoned;
}

unsigned mem_table_find(const struct mem_table *table, uint64_t guest_addr)
{
	unsigned low = 0, high = table->n;

	/* Finds the first region that begins above the address: the one before may hold it. */
	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (table->region[middle]->desc.guest_addr <= guest_addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || !mem_region_holds(table->region[low - 1], guest_addr))
		return table->n;
	return low - 1;
}

/* Finds the region of [addr, addr + len), by user or by guest addresses, and the offset in it. */
static struct mem_region *find_ring(
	const struct mem_table *table, uint64_t addr, size_t len, bool guest, uint64_t *offset)
{
	for (unsigned i = 0; i < table->n; i++) {
		struct mem_region *r = table->region[i];
		uint64_t start = guest ? r->desc.guest_addr : r->desc.user_addr;

		if (guest ? !r->desc.xen_flags : !has_user_addr(&r->desc))
			continue;
		*offset = addr - start;
		if (addr >= start && *offset < r->desc.size && len <= r->desc.size - *offset)
			return r;
	}
	return NULL;
}

bool guest_mem_map_ring(struct guest_mem *m, uint64_t addr, size_t len, size_t align,
	const char *what, struct mem_ring_map *map, GError **error)
{
	uint64_t offset;
	struct mem_region *r = find_ring(&m->table, addr, len, false, &offset);
	const char *wrong = NULL;

	if (!r)
		r = find_ring(&m->table, addr, len, true, &offset);
	*map = (struct mem_ring_map){ .len = len, .region = r };
	if (r)
		map->guest_addr = r->desc.guest_addr + offset;
	if (!r)
		wrong = "is not all in one memory region";
	else if (mem_region_poisoned(r))
		wrong = "is in a memory region whose file was truncated";
	else if (r->type->populate && !r->type->populate(r, offset, len))
		wrong = "cannot be mapped";
	else if (r->host)
		map->host = (char *)r->host + offset;
	else if (!r->type->map_ring(r, offset, len, map, error))
		return false;

	/* An odd user_addr or mmap_offset of the region misaligns what looks aligned here. */
	if (!wrong && (addr % align != 0 || (uintptr_t)map->host % align != 0))
		wrong = "is not aligned";
	if (!wrong)
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAULT,
		"%s at user address 0x%" PRIx64 ", %zu bytes aligned to %zu, %s", what, addr, len,
		align, wrong);
	if (map->host)
		guest_mem_unmap_ring(m, map);
	return false;
}

void guest_mem_unmap_ring(struct guest_mem *m, struct mem_ring_map *map)
{
	const struct mem_region *r = map->region;

	if (map->host && !r->host)
		r->type->unmap_ring(map);
	*map = (struct mem_ring_map){ .host = NULL };
}

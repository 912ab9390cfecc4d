/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the back-end what memory there is: as one table, or region by region. */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/util.h"
#include "vhost-user/front/vu_front_impl.h"

/* How many regions SET_MEM_TABLE carries, by the specification; Xen's front-ends send more. */
#define TABLE_REGIONS 8

static bool region_is(const struct vu_front_region *a, const struct vu_front_region *b)
{
	return a->desc.guest_addr == b->desc.guest_addr && a->desc.size == b->desc.size &&
		a->desc.user_addr == b->desc.user_addr &&
		a->desc.mmap_offset == b->desc.mmap_offset && a->dev == b->dev && a->ino == b->ino;
}

static bool has_region(const GArray *regions, const struct vu_front_region *r)
{
	for (unsigned i = 0; i < regions->len; i++) {
		if (region_is(&g_array_index(regions, struct vu_front_region, i), r))
			return true;
	}
	return false;
}

/* Begins with a vu_region, which is what is sent of it without XEN_MMAP. */
static struct vu_region_xen to_wire(const struct mem_region_desc *desc)
{
	return (struct vu_region_xen){
		.guest_addr = desc->guest_addr,
		.size = desc->size,
		.user_addr = desc->user_addr,
		.mmap_offset = desc->mmap_offset,
		.xen_flags = desc->xen_flags,
		.xen_domid = desc->xen_domid,
	};
}

/* Sends the first n of them. */
static bool set_table(
	struct vu_front *f, const GArray *wanted, unsigned n, const int *fds, GError **error)
{
	struct vu_msg *msg = vu_front_request(f, VU_SET_MEM_TABLE);
	uint8_t *to = msg->payload.bytes + sizeof(msg->payload.table);
	size_t stride =
		f->options.xen_memory ? sizeof(struct vu_region_xen) : sizeof(struct vu_region);

	msg->payload.table = (struct vu_mem_table){ .n_regions = n };
	for (unsigned i = 0; i < n; i++) {
		struct vu_region_xen r =
			to_wire(&g_array_index(wanted, struct vu_front_region, i).desc);

		memcpy(to + i * stride, &r, stride);
		msg->fds[i] = fds[i];
	}
	msg->n_fds = n;
	msg->header.size = sizeof(msg->payload.table) + n * stride;
	if (!vu_front_call(f, error))
		return false;
	g_array_set_size(f->regions, 0);
	g_array_append_vals(f->regions, wanted->data, n);
	f->regions_unknown = false;
	return vu_front_barrier(f, error);
}

static bool send_region(struct vu_front *f, uint32_t request, const struct vu_front_region *region,
	int fd, GError **error)
{
	struct vu_msg *msg = vu_front_request(f, request);
	struct vu_region_xen r = to_wire(&region->desc);

	msg->payload.u64 = 0;
	memcpy(msg->payload.bytes + sizeof(struct vu_mem_single), &r, sizeof(struct vu_region));
	msg->header.size = sizeof(struct vu_mem_single) + sizeof(struct vu_region);
	msg->fds[0] = fd;
	msg->n_fds = fd < 0 ? 0 : 1;
	return vu_front_call(f, error);
}

/* Takes away what is not wanted, then adds what is not there; f->regions follows each step. */
static bool set_slots(struct vu_front *f, const GArray *wanted, const int *fds, GError **error)
{
	for (unsigned i = f->regions->len; i-- > 0;) {
		const struct vu_front_region *r =
			&g_array_index(f->regions, struct vu_front_region, i);

		if (has_region(wanted, r))
			continue;
		if (!send_region(f, VU_REM_MEM_REG, r, -1, error))
			return false;
		g_array_remove_index(f->regions, i);
	}
	for (unsigned i = 0; i < wanted->len; i++) {
		const struct vu_front_region *r = &g_array_index(wanted, struct vu_front_region, i);

		if (has_region(f->regions, r))
			continue;
		if (!send_region(f, VU_ADD_MEM_REG, r, fds[i], error))
			return false;
		g_array_append_val(f->regions, *r);
	}
	return vu_front_barrier(f, error);
}

bool vu_front_set_memory(struct vu_front *f, const struct mem_region_desc *desc, const int *fds,
	unsigned n, GError **error)
{
	g_autoptr(GArray) wanted = g_array_new(FALSE, TRUE, sizeof(struct vu_front_region));
	bool table = f->options.xen_memory || n <= TABLE_REGIONS;
	uint64_t max = f->options.xen_memory ? VU_MAX_REGIONS : f->properties.max_mem_slots;

	for (unsigned i = 0; i < n; i++) {
		struct vu_front_region r = { .desc = desc[i] };
		struct stat st;

		if (fstat(fds[i], &st) < 0)
			return vu_front_fail(f, error, VU_FRONT_ERROR_REFUSED,
				"memory at 0x%" PRIx64 ": %s", desc[i].guest_addr,
				g_strerror(errno));
		r.dev = st.st_dev;
		r.ino = st.st_ino;
		g_array_append_val(wanted, r);
	}
	if (n > max)
		return vu_front_fail(f, error, VU_FRONT_ERROR_REFUSED,
			"%u memory regions, %s takes %" PRIu64, n,
			f->options.xen_memory ? "a message" : "the back-end", max);
	if (table)
		return set_table(f, wanted, n, fds, error);
	return (!f->regions_unknown || set_table(f, wanted, TABLE_REGIONS, fds, error)) &&
		set_slots(f, wanted, fds, error);
}

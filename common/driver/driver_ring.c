/* SPDX-License-Identifier: Apache-2.0 */
/* A driver's vring of either format: its memory, and the way to the format. */
#include "driver/driver_ring.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "base/util.h"
#include "driver/driver_impl.h"

static const struct driver_format *format_of(uint64_t features)
{
	return features & 1ull << VIRTIO_F_RING_PACKED ? &driver_packed : &driver_split;
}

static unsigned table_len(unsigned size, uint64_t features)
{
	return features & 1ull << VIRTIO_RING_F_INDIRECT_DESC ? MIN(size, DRIVER_RING_TABLE_LEN)
							      : 0;
}

/* Returns where the tables are: on cache lines of their own, as the device writes the areas. */
static uint64_t tables_at(unsigned size, uint64_t features)
{
	return align_up(format_of(features)->areas(size).end, 64);
}

uint64_t driver_ring_footprint(unsigned size, uint64_t features)
{
	return tables_at(size, features) +
		sizeof(struct vring_desc) * (uint64_t)size * table_len(size, features);
}

static bool size_is_good(unsigned size, uint64_t features, GError **error)
{
	bool packed = features & 1ull << VIRTIO_F_RING_PACKED;

	if (virtio_queue_size_is_valid(size, packed))
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"invalid queue size: %u (%s from 1 to %u)", size,
		packed ? "a number" : "a power of two", VIRTIO_MAX_QUEUE_SIZE);
	return false;
}

struct driver_ring *driver_ring_new(
	struct driver_mem *mem, unsigned size, uint64_t features, GError **error)
{
	const struct driver_format *format = format_of(features);
	struct driver_areas at;
	struct driver_ring *r;
	uint64_t start, len;
	char *host;

	if (!size_is_good(size, features, error))
		return NULL;
	len = driver_ring_footprint(size, features);
	start = driver_mem_alloc(mem, len, 64);
	if (!start) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
			"no room in the shared memory for a vring of %u descriptors", size);
		return NULL;
	}
	at = format->areas(size);
	host = driver_mem_host(mem, start, len);
	r = g_malloc0(format->instance);
	*r = (struct driver_ring){
		.format = format,
		.slot = g_new0(struct driver_slot, size),
		.size = size,
		.event_idx = features & 1ull << VIRTIO_RING_F_EVENT_IDX,
		.in_order = features & 1ull << VIRTIO_F_IN_ORDER,
		.table_len = table_len(size, features),
		.table = host + tables_at(size, features),
		.table_addr = start + tables_at(size, features),
		.desc_addr = start,
		.avail_addr = start + at.avail,
		.used_addr = start + at.used,
	};
	format->init(r, host, host + at.avail, host + at.used);
	return r;
}

void driver_ring_free(struct driver_ring *r)
{
	if (!r)
		return;
	r->format->fini(r);
	g_free(r->slot);
	g_free(r);
}

void driver_ring_addresses(
	const struct driver_ring *r, uint64_t *desc, uint64_t *avail, uint64_t *used)
{
	*desc = r->desc_addr;
	*avail = r->avail_addr;
	*used = r->used_addr;
}

uint32_t driver_ring_initial_base(const struct driver_ring *r)
{
	return virtio_initial_base(r->format == &driver_packed);
}

uint32_t driver_ring_resume_base(const struct driver_ring *r)
{
	return r->format->resume_base(r);
}

unsigned driver_ring_size(const struct driver_ring *r)
{
	return r->size;
}

unsigned driver_ring_outstanding(const struct driver_ring *r)
{
	return r->outstanding;
}

int driver_ring_add(struct driver_ring *r, const struct driver_buf *buf, unsigned n_out,
	unsigned n_in, void *token)
{
	if (n_out + n_in == 0)
		return -EINVAL;
	return r->format->add(r, buf, n_out, n_out + n_in, token);
}

bool driver_ring_publish(struct driver_ring *r)
{
	return r->format->publish(r);
}

int driver_ring_reap(struct driver_ring *r, void **token, uint32_t *len)
{
	return r->format->reap(r, token, len);
}

int driver_ring_exceed(struct driver_ring *r, const struct driver_slot *slot, uint32_t *len)
{
	if (!r->excess.times++) {
		r->excess.len = *len;
		r->excess.writable = slot->writable;
	}
	if (!r->cuts_excess)
		return -EMSGSIZE;
	*len = (uint32_t)slot->writable;
	return 0;
}

const struct driver_excess *driver_ring_excess(const struct driver_ring *r)
{
	return &r->excess;
}

void driver_ring_cut_excess(struct driver_ring *r)
{
	r->cuts_excess = true;
}

bool driver_ring_arm(struct driver_ring *r)
{
	return r->format->arm(r);
}

void driver_ring_disarm(struct driver_ring *r)
{
	r->format->disarm(r);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See blkio_queue.h. */
#include "tools/block/blkio_queue.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>

#include "base/error.h"
#include "base/eventfd.h"
#include "base/util.h"
#include "tools/block/blk_device.h"
#include "tools/virtioctl.h"

#define DATA_ALIGN 4096u
#define WIRE_ALIGN 64u

unsigned blkio_queue_buffers(const struct blkio_layout *l)
{
	return (l->request_size + l->segment_size - 1) / l->segment_size + 2;
}

unsigned blkio_queue_descriptors(const struct blkio_layout *l)
{
	bool indirect = l->features & UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC;

	return indirect ? 1 : blkio_queue_buffers(l);
}

unsigned blkio_queue_depth(const struct blkio_layout *l, unsigned wanted)
{
	return MIN(wanted, l->size / blkio_queue_descriptors(l));
}

uint64_t blkio_queue_footprint(const struct blkio_layout *l)
{
	uint64_t request = align_up(l->request_size, DATA_ALIGN) + WIRE_ALIGN;

	return driver_ring_footprint(l->size, l->features) + l->depth * request + 2 * DATA_ALIGN;
}

static bool make_requests(struct blkio_queue *q, struct driver_mem *mem, GError **error)
{
	const struct blkio_layout *l = &q->layout;
	uint64_t data_size = align_up(l->request_size, DATA_ALIGN);
	uint64_t wire = driver_mem_alloc(mem, (uint64_t)l->depth * WIRE_ALIGN, WIRE_ALIGN);
	uint64_t data = driver_mem_alloc(mem, l->depth * data_size, DATA_ALIGN);

	if (!wire || !data)
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED,
			"no room in the shared memory for %u requests", l->depth);
	q->requests = g_new0(struct blkio_request, l->depth);
	q->bufs = g_new0(struct driver_buf, (size_t)l->depth * blkio_queue_buffers(l));
	for (unsigned i = 0; i < l->depth; i++) {
		struct blkio_request *r = &q->requests[i];

		r->wire = driver_mem_host(mem, wire, sizeof(*r->wire));
		r->data = driver_mem_host(mem, data, l->request_size);
		r->data_addr = data;
		r->bufs = &q->bufs[(size_t)i * blkio_queue_buffers(l)];
		r->bufs[0] = (struct driver_buf){ wire, sizeof(r->wire->header) };
		wire += WIRE_ALIGN;
		data += data_size;
	}
	return true;
}

bool blkio_queue_init(
	struct blkio_queue *q, struct driver_mem *mem, const struct blkio_layout *l, GError **error)
{
	q->layout = *l;
	q->ring = driver_ring_new(mem, l->size, l->features, error);
	if (!q->ring || !make_requests(q, mem, error))
		return false;
	if (!l->strict)
		driver_ring_cut_excess(q->ring);
	q->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return q->kick >= 0 ||
		error_set(error, CTL_ERROR, CTL_ERROR_FAILED, "eventfd: %s", g_strerror(errno));
}

void blkio_queue_clear(struct blkio_queue *q)
{
	g_clear_pointer(&q->ring, driver_ring_free);
	g_clear_pointer(&q->requests, g_free);
	g_clear_pointer(&q->bufs, g_free);
	fd_close(&q->kick);
}

/*
 * Lays the buffers out, which requests of one length after another, as most are, find so
 * already.
 */
static void lay_out(struct blkio_request *r, uint32_t len, uint32_t segment_size)
{
	uint64_t status = r->bufs[0].addr + offsetof(struct blkio_wire, status);
	unsigned n = 1;

	for (uint32_t at = 0; at < len; at += segment_size)
		r->bufs[n++] =
			(struct driver_buf){ r->data_addr + at, MIN(segment_size, len - at) };
	r->bufs[n++] = (struct driver_buf){ status, 1 };
	r->n_bufs = n;
	r->laid_out = len;
}

bool blkio_queue_add(struct blkio_queue *q, struct blkio_request *r, GError **error)
{
	uint32_t len = r->type == VIRTIO_BLK_T_FLUSH ? 0 : r->len;
	unsigned n_out;
	int rc;

	if (len != r->laid_out || r->n_bufs == 0)
		lay_out(r, len, q->layout.segment_size);
	r->wire->header.type = htole32(r->type);
	r->wire->header.sector = htole64(r->offset / BLK_SECTOR);
	r->wire->status = 0xff; /* none of the statuses: shows one that was not written */
	n_out = r->type == VIRTIO_BLK_T_OUT ? r->n_bufs - 1 : 1;
	rc = driver_ring_add(q->ring, r->bufs, n_out, r->n_bufs - n_out, r);
	if (rc < 0)
		return error_set(error, CTL_ERROR, CTL_ERROR_FAILED, "no room in the ring: %s",
			g_strerror(-rc));
	r->busy = true;
	return true;
}

bool blkio_queue_publish(struct blkio_queue *q)
{
	if (!driver_ring_publish(q->ring))
		return false;
	eventfd_signal_fast(q->kick, &q->kick_full);
	return true;
}

struct blkio_request *blkio_queue_fail(const struct blkio_queue *q, int rc, GError **error)
{
	const struct driver_excess *excess = driver_ring_excess(q->ring);

	if (rc == -EMSGSIZE)
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the back-end reported a used length of %" PRIu32
			" for a request of which it may write %" PRIu64 " bytes",
			excess->len, excess->writable);
	else
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the back-end returned a request that it did not have");
	return NULL;
}

const char *blkio_type_name(uint32_t type)
{
	return type == VIRTIO_BLK_T_IN ? "read" : type == VIRTIO_BLK_T_OUT ? "write" : "flush";
}

const char *blkio_status_name(uint8_t status)
{
	return status == VIRTIO_BLK_S_IOERR	? "I/O error"
		: status == VIRTIO_BLK_S_UNSUPP ? "unsupported"
						: NULL;
}

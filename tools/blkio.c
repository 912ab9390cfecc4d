/* SPDX-License-Identifier: Apache-2.0 */
/* Requests on a running queue; see blkio.h. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>

#include "base/util.h"
#include "blkio_impl.h"
#include "virtioctl.h"

const struct blkio_info *blkio_info(const struct blkio *b)
{
	return &b->info;
}

struct blk_request *blkio_request(struct blkio *b, unsigned i)
{
	return &b->slots[i].request;
}

bool blkio_submit(struct blkio *b, struct blk_request *r, GError **error)
{
	struct slot *s = container_of(r, struct slot, request);
	uint32_t len = r->type == VIRTIO_BLK_T_FLUSH ? 0 : r->len;
	struct driver_buf buf[DRIVER_RING_TABLE_LEN];
	unsigned n = 0, n_out;
	int rc;

	s->wire->header = (struct virtio_blk_outhdr){
		.type = htole32(r->type),
		.sector = htole64(r->offset / BLKIO_SECTOR),
	};
	s->wire->status = 0xff; /* none of the statuses: shows one that was not written */
	buf[n++] = (struct driver_buf){ s->wire_addr, sizeof(s->wire->header) };
	for (uint32_t at = 0; at < len; at += b->segment_size)
		buf[n++] = (struct driver_buf){ s->data_addr + at, MIN(b->segment_size, len - at) };
	buf[n++] = (struct driver_buf){ s->wire_addr + offsetof(struct wire, status), 1 };
	n_out = r->type == VIRTIO_BLK_T_OUT ? n - 1 : 1;
	rc = driver_ring_add(b->ring, buf, n_out, n - n_out, s);
	if (rc < 0) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "no room in the ring: %s",
			g_strerror(-rc));
		return false;
	}
	r->busy = true;
	return true;
}

void blkio_publish(struct blkio *b)
{
	uint64_t one = 1;

	if (driver_ring_publish(b->ring) && write(b->kick, &one, sizeof(one)) < 0) {
		/* EAGAIN alone is possible: the counter is full of kicks, one more adds nothing. */
	}
}

struct blk_request *blkio_reap(struct blkio *b, GError **error)
{
	struct slot *s;
	uint32_t len;
	void *token;
	int rc = driver_ring_reap(b->ring, &token, &len);

	if (rc < 0)
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the back-end returned a request that it did not have");
	if (rc <= 0)
		return NULL;
	s = token;
	s->request.status = s->wire->status;
	s->request.busy = false;
	return &s->request;
}

/* A new capacity does not matter to what is under way. */
static void ignore_config_change(void *opaque)
{
}

/* Sleeps until a call; false with an error if there is no point in waiting on. */
static bool wait_for_call(struct blkio *b, GError **error)
{
	struct pollfd fds[] = {
		{ .fd = b->call, .events = POLLIN },
		{ .fd = b->options.cancel_fd, .events = POLLIN },
		{ .fd = vu_front_fd(b->f), .events = POLLIN },
		{ .fd = vu_front_backend_fd(b->f), .events = POLLIN },
	};
	static const struct vu_front_events events = { .config_changed = ignore_config_change };
	uint64_t calls;
	int n = poll(fds, G_N_ELEMENTS(fds), (int)b->options.timeout_ms);

	if (n < 0 && errno != EINTR) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "poll: %s", g_strerror(errno));
		return false;
	}
	if (n == 0) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"the back-end completed nothing in %u s: %u requests are out",
			b->options.timeout_ms / 1000, driver_ring_outstanding(b->ring));
		return false;
	}
	if (n < 0)
		return true;
	if (fds[0].revents && read(b->call, &calls, sizeof(calls)) == sizeof(calls))
		return true; /* completions first: a back-end may finish and go */
	if (fds[1].revents) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_CANCELLED, "interrupted");
		return false;
	}
	if (fds[2].revents || (fds[3].revents && !vu_front_backend_event(b->f, &events, NULL))) {
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_GONE,
			"the back-end has gone: %u requests are lost",
			driver_ring_outstanding(b->ring));
		return false;
	}
	return true;
}

struct blk_request *blkio_wait(struct blkio *b, GError **error)
{
	for (;;) {
		g_autoptr(GError) broken = NULL;
		struct blk_request *r = blkio_reap(b, &broken);

		if (r)
			return r;
		if (broken) {
			g_propagate_error(error, g_steal_pointer(&broken));
			return NULL;
		}
		if (driver_ring_arm(b->ring))
			continue;
		if (!wait_for_call(b, error))
			return NULL;
		driver_ring_disarm(b->ring);
	}
}

bool blkio_check(const struct blk_request *r, GError **error)
{
	const char *verb = r->type == VIRTIO_BLK_T_IN ? "read"
		: r->type == VIRTIO_BLK_T_OUT	      ? "write"
						      : "flush";
	g_autofree char *odd = NULL;
	const char *why;

	if (r->status == VIRTIO_BLK_S_OK)
		return true;
	odd = g_strdup_printf("status %u", r->status);
	why = r->status == VIRTIO_BLK_S_IOERR	   ? "I/O error"
		: r->status == VIRTIO_BLK_S_UNSUPP ? "unsupported"
						   : odd;
	g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "%s of %u bytes at %" PRIu64 ": %s", verb,
		r->len, r->offset, why);
	return false;
}

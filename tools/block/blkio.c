/* SPDX-License-Identifier: Apache-2.0 */
/* Requests on a running queue; see blkio.h. */
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <poll.h>

#include "base/eventfd.h"
#include "base/util.h"
#include "tools/block/blkio_impl.h"
#include "tools/virtioctl.h"

const struct blkio_info *blkio_info(const struct blkio *b)
{
	return &b->info;
}

const struct driver_excess *blkio_excess(const struct blkio *b)
{
	return driver_ring_excess(b->ring);
}

struct blkio_request *blkio_request(struct blkio *b, unsigned i)
{
	return &b->slots[i].request;
}

bool blkio_submit(struct blkio *b, struct blkio_request *r, GError **error)
{
	struct blkio_slot *s = container_of(r, struct blkio_slot, request);
	uint32_t len = r->type == VIRTIO_BLK_T_FLUSH ? 0 : r->len;
	struct driver_buf buf[DRIVER_RING_TABLE_LEN];
	unsigned n, n_out;
	int rc;

	blk_wire_set(s->wire, r->type, r->offset);
	n = blk_wire_buffers(s->wire_addr, s->data_addr, len, b->segment_size, buf);
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
	if (driver_ring_publish(b->ring))
		eventfd_signal_fast(b->kick, &b->kick_full);
}

struct blkio_request *blkio_reap(struct blkio *b, GError **error)
{
	struct blkio_slot *s;
	uint32_t len;
	void *token;
	int rc = driver_ring_reap(b->ring, &token, &len);

	if (rc < 0) {
		g_autofree char *why = blk_reap_error(b->ring, rc);

		g_set_error_literal(error, CTL_ERROR, CTL_ERROR_FAILED, why);
	}
	if (rc <= 0)
		return NULL;
	s = token;
	s->request.status = s->wire->status;
	s->request.busy = false;
	return &s->request;
}

static bool gone(const struct blkio *b, const char *why, GError **error)
{
	g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "%s: %u requests are lost", why,
		driver_ring_outstanding(b->ring));
	return false;
}

static void on_config_change(void *opaque)
{
	bool *changed = opaque;

	*changed = true;
}

/*
 * A new capacity does not matter to what is under way; but the same message announces that the
 * device needs a reset (virtio 1.2 §2.1.2).
 */
static bool serve_channel(struct blkio *b, GError **error)
{
	static const struct vu_front_events events = { .config_changed = on_config_change };
	bool changed = false;
	uint8_t status = 0;

	if (!vu_front_backend_event(b->f, &events, &changed))
		return gone(b, "the back-end has closed its channel", error);
	if (changed && !vu_front_get_status(b->f, &status, error))
		return false;
	if (status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return gone(b, "the device needs a reset", error);
	return true;
}

/* Sleeps until there may be a completion; false with an error if none can come any more. */
static bool wait_for_call(struct blkio *b, int64_t end_us, GError **error)
{
	struct pollfd fds[] = {
		{ .fd = b->call, .events = POLLIN },
		{ .fd = b->options.cancel_fd, .events = POLLIN },
		{ .fd = vu_front_fd(b->f), .events = POLLIN },
		{ .fd = vu_front_backend_fd(b->f), .events = POLLIN },
	};
	int64_t left_ms = (end_us - g_get_monotonic_time()) / 1000;

	if (left_ms <= 0)
		return gone(b, "the back-end completes nothing", error);
	if (poll(fds, G_N_ELEMENTS(fds), (int)left_ms) <= 0)
		return true; /* the deadline, which is seen the next time, or a signal */
	if (fds[0].revents && eventfd_collect(b->call))
		return true; /* completions first: a back-end may finish and go */
	if (fds[1].revents) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_CANCELLED, "interrupted");
		return false;
	}
	if (fds[2].revents)
		return gone(b, "the back-end has gone", error);
	return !fds[3].revents || serve_channel(b, error);
}

struct blkio_request *blkio_wait(struct blkio *b, GError **error)
{
	int64_t end_us = g_get_monotonic_time() + (int64_t)b->options.timeout_ms * 1000;

	for (;;) {
		g_autoptr(GError) broken = NULL;
		struct blkio_request *r = blkio_reap(b, &broken);

		if (r)
			return r;
		if (broken) {
			g_propagate_error(error, g_steal_pointer(&broken));
			return NULL;
		}
		if (driver_ring_arm(b->ring))
			continue;
		if (!wait_for_call(b, end_us, error))
			return NULL;
		driver_ring_disarm(b->ring);
	}
}

bool blkio_check(const struct blkio_request *r, GError **error)
{
	const char *why = blk_status_name(r->status);
	g_autofree char *odd = NULL;

	if (r->status == VIRTIO_BLK_S_OK)
		return true;
	odd = g_strdup_printf("status %u", r->status);
	g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED, "%s of %u bytes at %" PRIu64 ": %s",
		blk_type_name(r->type), r->len, r->offset, why ? why : odd);
	return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See blkio.h. */
#include "tools/block/blkio.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/error.h"
#include "base/eventfd.h"
#include "base/util.h"
#include "tools/virtioctl.h"

static bool read_device(struct blkio *b, struct blkio_layout *l, GError **error)
{
	const struct blkio_options *o = &b->options;

	if (!blk_device_read(b->f, BLK_RING_FEATURES, &b->device, error) ||
		!blk_choose_feature(
			&b->device.features, VIRTIO_F_RING_PACKED, o->packed, "--packed", error))
		return false;
	*l = (struct blkio_layout){
		.features = b->device.features,
		.size = o->queue_size,
		.strict = o->strict,
	};
	if (!blk_device_fit(&b->device, o->queue_size, o->request_size, &l->segment_size,
		    &l->request_size, error))
		return false;
	l->depth = blkio_queue_depth(l, o->depth);
	return true;
}

static bool make_queue(struct blkio *b, const struct blkio_layout *l, GError **error)
{
	b->mem = driver_mem_new(blkio_queue_footprint(l), error);
	if (!b->mem || !blkio_queue_init(&b->queue, b->mem, l, error))
		return false;
	b->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return b->call >= 0 ||
		error_set(error, CTL_ERROR, CTL_ERROR_FAILED, "eventfd: %s", g_strerror(errno));
}

static bool start(struct blkio *b, GError **error)
{
	uint8_t status;

	if (!blk_driver_begin(b->f, b->device.features, b->mem, &status, error))
		return false;
	b->started = true;
	return blk_driver_start_queue(b->f, b->options.queue, &b->queue, b->call, error) &&
		vu_front_set_status(b->f, status | VIRTIO_CONFIG_S_DRIVER_OK, error);
}

struct blkio *blkio_new(struct vu_front *f, const struct blkio_options *o, GError **error)
{
	g_autoptr(blkio) b = g_new0(struct blkio, 1);
	struct blkio_layout layout;

	b->f = f;
	b->options = *o;
	b->queue.kick = b->call = -1;
	if (!read_device(b, &layout, error) || !make_queue(b, &layout, error) || !start(b, error))
		return NULL;
	return g_steal_pointer(&b);
}

void blkio_free(struct blkio *b)
{
	if (!b)
		return;
	blk_driver_end(b->f, b->options.queue, b->started);
	blkio_queue_clear(&b->queue);
	g_clear_pointer(&b->mem, driver_mem_free);
	fd_close(&b->call);
	g_free(b);
}

static bool gone(const struct blkio *b, const char *why, GError **error)
{
	return error_set(error, CTL_ERROR, CTL_ERROR_FAILED, "%s: %u requests are lost", why,
		driver_ring_outstanding(b->queue.ring));
}

static bool serve_channel(struct blkio *b, GError **error)
{
	g_autoptr(GError) why = NULL;

	if (blk_driver_serve(b->f, &why))
		return true;
	if (why->domain == CTL_ERROR)
		return gone(b, why->message, error);
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
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
	if (fds[1].revents)
		return error_set(error, CTL_ERROR, CTL_ERROR_CANCELLED, "interrupted");
	if (fds[2].revents)
		return gone(b, "the back-end has gone", error);
	return !fds[3].revents || serve_channel(b, error);
}

struct blkio_request *blkio_wait(struct blkio *b, GError **error)
{
	int64_t end_us = g_get_monotonic_time() + (int64_t)b->options.timeout_ms * 1000;

	for (;;) {
		g_autoptr(GError) broken = NULL;
		struct blkio_request *r = blkio_queue_reap(&b->queue, &broken);

		if (r)
			return r;
		if (broken) {
			g_propagate_error(error, g_steal_pointer(&broken));
			return NULL;
		}
		if (driver_ring_arm(b->queue.ring))
			continue;
		if (!wait_for_call(b, end_us, error))
			return NULL;
		driver_ring_disarm(b->queue.ring);
	}
}

bool blkio_check(const struct blkio_request *r, GError **error)
{
	uint8_t status = blkio_request_status(r);
	const char *why = blkio_status_name(status);
	g_autofree char *odd = NULL;

	if (status == VIRTIO_BLK_S_OK)
		return true;
	odd = g_strdup_printf("status %u", status);
	return error_set(error, CTL_ERROR, CTL_ERROR_FAILED, "%s of %u bytes at %" PRIu64 ": %s",
		blkio_type_name(r->type), r->len, r->offset, why ? why : odd);
}

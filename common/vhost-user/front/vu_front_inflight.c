/* SPDX-License-Identifier: Apache-2.0 */
/* The in-flight area (vhost-user.rst, "Inflight I/O tracking"): asked for, and handed over. */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/fd_kind.h"
#include "base/util.h"
#include "vhost-user/front/vu_front_impl.h"

/*
 * Checks that it is memory, and as much as the back-end claims: the front-end may want to clear
 * it.
 */
static bool check_area(struct vu_front *f, const struct vu_front_inflight *area, GError **error)
{
	enum fd_kind kind = fd_kind(area->fd);
	struct stat st;

	if (kind != FD_MEMORY)
		return vu_front_fail(f, error, VU_FRONT_ERROR_REFUSED,
			"in-flight area: %s instead of shared memory", fd_kind_name(kind));
	if (fstat(area->fd, &st) < 0)
		return vu_front_fail(
			f, error, VU_FRONT_ERROR_REFUSED, "in-flight area: %s", g_strerror(errno));
	return (area->offset <= (uint64_t)st.st_size &&
		       area->size <= (uint64_t)st.st_size - area->offset) ||
		vu_front_fail(f, error, VU_FRONT_ERROR_REFUSED,
			"in-flight area: %" PRIu64 " bytes at offset %" PRIu64
			" of a file of %" PRIu64,
			area->size, area->offset, (uint64_t)st.st_size);
}

static struct vu_msg *inflight_request(
	struct vu_front *f, uint32_t request, const struct vu_front_inflight *area)
{
	struct vu_msg *msg = vu_front_request(f, request);

	msg->payload.inflight = (struct vu_inflight){
		.mmap_size = area->size,
		.mmap_offset = area->offset,
		.num_queues = area->queues,
		.queue_size = area->queue_size,
	};
	msg->header.size = sizeof(msg->payload.inflight);
	return msg;
}

bool vu_front_get_inflight(struct vu_front *f, uint16_t queues, uint16_t queue_size,
	struct vu_front_inflight *area, GError **error)
{
	struct vu_front_inflight got = { .fd = -1, .queues = queues, .queue_size = queue_size };
	int fd;

	*area = got;
	if (!vu_front_acked(f, VU_F_INFLIGHT_SHMFD))
		return true;
	inflight_request(f, VU_GET_INFLIGHT_FD, &got);
	if (!vu_front_call(f, error))
		return false;
	/*
	 * Its counts are ours, or more than we need: what we say of the area stays what we asked.
	 */
	got.size = f->msg.payload.inflight.mmap_size;
	got.offset = f->msg.payload.inflight.mmap_offset;
	got.fd = fd = vu_msg_take_fd(&f->msg, 0);
	vu_msg_clear(&f->msg);
	if (got.size && check_area(f, &got, error)) {
		*area = got;
		return true;
	}
	fd_discard(fd);
	return !got.size;
}

bool vu_front_set_inflight(struct vu_front *f, const struct vu_front_inflight *area, GError **error)
{
	struct vu_msg *msg = inflight_request(f, VU_SET_INFLIGHT_FD, area);

	msg->fds[0] = area->fd;
	msg->n_fds = 1;
	return vu_front_call(f, error);
}

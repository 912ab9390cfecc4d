/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-flight area: asked of the back-end at the first DRIVER_OK after a reset of the device, and
 * handed to every later one until the next reset, which thus learns which requests the lost one had
 * taken and not completed, in whatever order it worked.
 *
 * Areas are numbered. A ring that ran with one has its number in the state, and goes on after a
 * loss only where the back-end has been handed that very one: what another knows is not enough, and
 * without any a back-end that worked out of order would be followed by one that guesses. The file
 * outlives us by ops->keep(); what it is, is said in the state while area_number is not 0.
 */
#include "vmm/vmm_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>

#include "base/util.h"
#include "virtio/inflight.h"

static void forget(struct vmm_dev *d)
{
	d->state->area_number = 0;
	vmm_order();
	fd_close(&d->area_fd);
}

static bool ask_for_area(struct vmm_dev *d, GError **error)
{
	struct vmm_state *s = d->state;
	struct vu_front_inflight area;

	if (!vu_front_get_inflight(
		    d->front, d->properties.probe.max_queues, d->queue_size_max, &area, error))
		return vmm_survived(d, error);
	if (area.fd < 0)
		return true;
	d->area_fd = fd_steal(&area.fd);
	if (d->ops->keep)
		d->ops->keep(d->opaque, d, d->area_fd);
	s->area = area;
	s->area_resets = d->desired.resets;
	vmm_order();
	s->area_number = ++s->areas;
	return true;
}

bool vmm_hand_over_area(struct vmm_dev *d, GError **error)
{
	struct vmm_state *s = d->state;
	struct vu_front_inflight area;

	if (d->area_settled || !vmm_status_has(d, VIRTIO_CONFIG_S_DRIVER_OK))
		return true;
	d->area_settled = true;
	if (!(vu_front_properties(d->front)->protocol_acked & VU_BIT(VU_F_INFLIGHT_SHMFD)))
		return true;
	if (s->area_number && d->area_fd < 0 && d->ops->keep)
		d->area_fd = d->ops->keep(d->opaque, d, -1);
	if (d->area_fd < 0 || s->area_resets != d->desired.resets)
		forget(d);
	if (!s->area_number && !ask_for_area(d, error))
		return false;
	if (!s->area_number)
		return true;
	area = s->area;
	area.fd = d->area_fd;
	d->area_given = vu_front_set_inflight(d->front, &area, error);
	return d->area_given || vmm_survived(d, error);
}

void vmm_area_untold(struct vmm_dev *d)
{
	d->area_settled = d->area_given = false;
}

bool vmm_has_record(const struct vmm_dev *d, unsigned i)
{
	return d->area_given && d->state->queue[i].area == d->state->area_number;
}

bool vmm_record_ring(struct vmm_dev *d, unsigned i, GError **error)
{
	struct vmm_queue_state *s = &d->state->queue[i];
	const struct vu_front_inflight *area = &d->state->area;
	uint64_t part = virtio_inflight_part(area->size, area->queues);

	/* A driver that began the queue anew since: what is recorded is of its former life. */
	if (vmm_has_record(d, i) && s->ran != d->desired.queue[i].epoch &&
		fallocate(d->area_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			area->offset + i * part, part) < 0) {
		g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(errno),
			"cannot clear its part of the in-flight area: %s", g_strerror(errno));
		return false;
	}
	s->area = d->area_given ? d->state->area_number : 0;
	return true;
}

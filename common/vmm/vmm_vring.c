/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting and stopping the back-end's rings.
 *
 * A queue's eventfds are made when it is first started and stay: what the kernel has been told of
 * them holds for every later back-end, and a kick without a back-end is not lost.
 *
 * A ring that starts for the first time since the queue became ready starts at 0. One that a lost
 * back-end has left goes on from the used index in guest memory: what was available but not used
 * is done again. Of a back-end that works out of order that index does not say enough, a packed
 * ring does not show it, and one that the guest granted we cannot see: there the in-flight area
 * says what remains to do (vmm_inflight.c), and the base matters only where nothing was begun. One
 * that a predecessor of ours has left in the back-end is stopped and goes on where the back-end
 * says that it was.
 */
#include "vmm/vmm_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/eventfd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "base/eventfd.h"
#include "base/util.h"
#include "memory/shm.h"
#include "virtio/ring_layout.h"

static bool stop_ring(struct vmm_dev *d, unsigned i, GError **error)
{
	enum vmm_vring_state state = d->vring[i].state;
	uint32_t base;

	d->vring[i].state = VMM_VRING_STOPPED;
	d->vring[i].resume = false;
	if ((state == VMM_VRING_SET_UP || state == VMM_VRING_RUNNING) &&
		!vu_front_stop_ring(d->front, i, &base, error) && !vmm_survived(d, error))
		return false;
	d->state->queue[i].phase = VMM_PHASE_NONE;
	return true;
}

bool vmm_stop_rings(struct vmm_dev *d, GError **error)
{
	for (unsigned i = 0; i < d->properties.probe.max_queues; i++)
		if (!stop_ring(d, i, error))
			return false;
	return true;
}

bool vmm_stop_unwanted_rings(struct vmm_dev *d, GError **error)
{
	for (unsigned i = 0; i < d->properties.probe.max_queues; i++)
		if ((!d->desired.queue[i].q.ready ||
			    d->state->queue[i].tried != d->desired.queue[i].epoch) &&
			!stop_ring(d, i, error))
			return false;
	return true;
}

static int make_fd(struct vmm_dev *d, unsigned i, enum vmm_eventfd which)
{
	if (d->ops->eventfd)
		return d->ops->eventfd(d->opaque, d, i, which);
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* Makes the queue's eventfds, and tells who else is to know them. */
static bool make_fds(struct vmm_dev *d, unsigned i)
{
	struct vmm_vring *r = &d->vring[i];
	autofd kick = -1;

	if (r->kick >= 0)
		return true;
	if (r->call < 0)
		r->call = make_fd(d, i, VMM_CALL);
	if (r->call >= 0)
		kick = make_fd(d, i, VMM_KICK);
	if (r->call < 0 || kick < 0)
		return false;
	r->irqfd = d->ops->irqfd && d->ops->irqfd(d->opaque, d, i, r->call, true);
	r->ioeventfd = d->ops->ioeventfd &&
		d->ops->ioeventfd(d->opaque, d, d->base + VIRTIO_MMIO_QUEUE_NOTIFY, i, kick, true);
	pthread_mutex_lock(&d->lock);
	r->kick = fd_steal(&kick);
	if (r->irqfd)
		virtio_mmio_used_always(d->mmio, true);
	pthread_mutex_unlock(&d->lock);
	return true;
}

static bool read_used_index(const struct mem_region_desc *region, int fd, uint64_t used,
	uint32_t *index, GError **error)
{
	g_autoptr(guest_mem) mem = guest_mem_new();
	struct mem_ring_map map = { 0 };

	if (!guest_mem_set(mem, region, &fd, 1, error) ||
		!guest_mem_map_ring(mem, used, 4, 4, "used ring", &map, error))
		return false;
	*index = shm_load16((const char *)map.host + 2); /* flags, idx */
	guest_mem_unmap_ring(mem, &map);
	return true;
}

static bool goes_on(const struct vmm_dev *d, unsigned i)
{
	return !d->vring[i].resume && d->state->queue[i].ran == d->desired.queue[i].epoch;
}

/* Finds where the ring starts; used: the region that holds the used ring. */
static bool find_base(struct vmm_dev *d, unsigned i, const struct mem_region_desc *used,
	struct vu_ring_setup *setup, GError **error)
{
	bool packed = d->desired.features & (UINT64_C(1) << VIRTIO_F_RING_PACKED);
	const struct vmm_queue_state *s = &d->state->queue[i];

	setup->base = virtio_initial_base(packed);
	if (d->vring[i].resume)
		setup->base = d->vring[i].resume_base;
	if (!goes_on(d, i))
		return true;
	if (s->area && !vmm_has_record(d, i)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"the back-end has no record of what the lost one had in flight");
		return false;
	}
	if (packed && !s->area) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"a packed ring does not show how far the lost back-end was");
		return false;
	}
	if (!packed &&
		read_used_index(
			used, d->table_fds[used - d->table], setup->used, &setup->base, error))
		return true;
	if (!s->area)
		return false;
	/* The record says how far it was, or that it has not begun. */
	g_clear_error(error);
	setup->base = s->base;
	return true;
}

/* Describes all but the fds. False, with an error: the ring cannot start. */
static bool describe_ring(
	struct vmm_dev *d, unsigned i, struct vu_ring_setup *setup, GError **error)
{
	bool packed = d->desired.features & (UINT64_C(1) << VIRTIO_F_RING_PACKED);
	const struct virtio_mmio_queue *q = &d->desired.queue[i].q;
	const struct mem_region_desc *used;
	struct virtio_ring_bytes bytes = virtio_ring_bytes(q->size, packed, true);

	used = vmm_to_user(d, q->device, bytes.device, &setup->used);
	if (!used || !vmm_to_user(d, q->desc, bytes.desc, &setup->desc) ||
		!vmm_to_user(d, q->driver, bytes.driver, &setup->avail)) {
		const char *needs = d->access_platform ? d->needs : NULL;

		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAULT,
			"not in guest memory (0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ", %" PRIu32
			" descriptors)%s%s",
			q->desc, q->driver, q->device, q->size, needs ? "; " : "",
			needs ? needs : "");
		return false;
	}
	setup->size = q->size;
	return find_base(d, i, used, setup, error);
}

static bool tell_ring(struct vmm_dev *d, unsigned i, struct vu_ring_setup *setup, GError **error)
{
	struct vmm_queue_state *s = &d->state->queue[i];

	setup->kick = d->vring[i].kick;
	setup->call = d->vring[i].call;
	/* While the phase is UP the base means nothing: so first the one, then the other. */
	s->base = setup->base;
	vmm_order();
	s->phase = VMM_PHASE_SETTING_UP;
	vmm_order();
	return vu_front_setup_ring(d->front, i, setup, error);
}

static bool set_up_ring(struct vmm_dev *d, unsigned i, GError **error)
{
	struct vmm_vring *r = &d->vring[i];
	struct vmm_queue_state *s = &d->state->queue[i];
	struct vu_ring_setup setup = { .err = -1 };
	g_autoptr(GError) why = NULL;
	bool call = goes_on(d, i);
	bool ok;

	r->state = VMM_VRING_BROKEN;
	s->tried = d->desired.queue[i].epoch;
	ok = make_fds(d, i);
	if (!ok)
		g_set_error(&why, G_FILE_ERROR, (gint)g_file_error_from_errno(errno), "eventfd: %s",
			g_strerror(errno));
	ok = ok && describe_ring(d, i, &setup, &why) && vmm_record_ring(d, i, &why) &&
		tell_ring(d, i, &setup, &why);
	if (!ok && !vu_front_is_alive(d->front)) {
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	r->resume = false;
	if (!ok) {
		s->phase = VMM_PHASE_NONE;
		vmm_needs_reset(d, "queue %u cannot start: %s", i, why->message);
		return true;
	}
	r->state = VMM_VRING_SET_UP;
	s->ran = d->desired.queue[i].epoch;
	vmm_order();
	/* It knows the base, and from ENABLE on it alone knows how far it is. */
	s->phase = VMM_PHASE_UP;
	vmm_order();
	/* The lost back-end may have used buffers and died before its call. */
	if (call)
		eventfd_signal(r->call);
	return true;
}

static bool enable_ring(struct vmm_dev *d, unsigned i, GError **error)
{
	if (vu_front_enable_ring(d->front, i, true, error))
		return true;
	if (!vu_front_is_alive(d->front))
		return false;
	vmm_needs_reset(d, "queue %u cannot start: %s", i, (*error)->message);
	g_clear_error(error);
	if (!stop_ring(d, i, error))
		return false;
	d->vring[i].state = VMM_VRING_BROKEN;
	return true;
}

bool vmm_start_rings(struct vmm_dev *d, GError **error)
{
	if (!(d->desired.status & VIRTIO_CONFIG_S_DRIVER_OK))
		return true;
	for (unsigned i = 0; i < d->properties.probe.max_queues; i++)
		if (d->desired.queue[i].q.ready && d->vring[i].state == VMM_VRING_STOPPED &&
			!set_up_ring(d, i, error))
			return false;
	for (unsigned i = 0; i < d->properties.probe.max_queues; i++)
		if (d->vring[i].state == VMM_VRING_SET_UP && !enable_ring(d, i, error))
			return false;
	return true;
}

void vmm_first_kicks(struct vmm_dev *d)
{
	for (unsigned i = 0; i < d->properties.probe.max_queues; i++) {
		struct vmm_vring *r = &d->vring[i];

		if (r->state != VMM_VRING_SET_UP)
			continue;
		r->state = VMM_VRING_RUNNING;
		eventfd_signal(r->kick);
	}
}

bool vmm_take_rings(struct vmm_dev *d, GError **error)
{
	for (unsigned i = 0; i < d->properties.probe.max_queues; i++) {
		struct vmm_queue_state *s = &d->state->queue[i];
		uint32_t base;

		if (s->phase == VMM_PHASE_NONE)
			continue;
		if (!vu_front_stop_ring(d->front, i, &base, error))
			return false;
		/* The phase stays: if we die, too, the same answer comes again. */
		d->vring[i].resume = vmm_status_has(d, VIRTIO_CONFIG_S_DRIVER_OK) &&
			d->desired.queue[i].q.ready && s->tried == d->desired.queue[i].epoch;
		d->vring[i].resume_base = s->phase == VMM_PHASE_UP ? base : s->base;
		if (!d->vring[i].resume)
			s->phase = VMM_PHASE_NONE;
	}
	return true;
}

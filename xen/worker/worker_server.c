/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's ioreq servers: which device an access goes to, and its answer's way back. */
#include "xen/worker/worker_impl.h"

static void *find(void *opaque, uint64_t addr, uint64_t *offset)
{
	struct xen_worker *w = ((struct worker_server *)opaque)->w;

	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++) {
		struct worker_device *d = w->device[i];

		if (d && !d->leaving && addr >= d->info.base &&
			addr - d->info.base < d->info.window) {
			*offset = addr - d->info.base;
			return d;
		}
	}
	return NULL;
}

static enum virtio_mmio_result access_device(void *opaque, void *device, uint64_t offset,
	unsigned size, bool write, uint64_t *value, void *token)
{
	return worker_device_access(device, offset, size, write, value, token);
}

/*
 * Back-ends that map on demand may hold pages of foreign memory; the guest itself revokes grants.
 * Xen informs all servers, and the vCPU waits for all; handling it once is enough.
 */
static unsigned invalidate(void *opaque, void *token)
{
	struct worker_server *s = opaque;
	struct xen_worker *w = s->w;
	unsigned later = 0;

	if (s != &w->server[IPC_REGISTERS])
		return 0;
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++) {
		struct worker_device *d = w->device[i];

		if (d && !d->leaving && !d->info.grants &&
			vmm_dev_invalidate(d->vmm, token) == VIRTIO_MMIO_LATER)
			later++;
	}
	return later;
}

static bool kernel_has(void *opaque, void *device, uint64_t offset, uint32_t queue)
{
	struct worker_server *s = opaque;

	/* A kick at the other server was on its way when the eventfd was assigned. */
	return s == &s->w->server[IPC_KICKS] && worker_device_kernel_has(device, queue);
}

static void notify(void *opaque, unsigned vcpu)
{
	struct worker_server *s = opaque;

	evtchn_notify(s->w->evtchn, s->server->port[vcpu]);
}

static const struct ioreq_ops server_ops = {
	.find = find,
	.access = access_device,
	.invalidate = invalidate,
	.kernel_has = kernel_has,
	.notify = notify,
};

bool worker_server_open(struct xen_worker *w, unsigned i, GError **error)
{
	struct worker_server *s = &w->server[i];
	void *page;

	s->w = w;
	s->server = &w->guest.server[i];
	s->foreign = foreign_memory_open(w->guest.domid, error);
	if (!s->foreign || !foreign_memory_restrict(s->foreign, error))
		return false;
	page = foreign_memory_map_ioreq(s->foreign, s->server->id, error);
	if (page)
		s->ioreq = ioreq_new(page, w->guest.vcpus, &w->journal[i], &server_ops, s);
	return page;
}

void worker_server_close(struct worker_server *s)
{
	ioreq_free(s->ioreq);
	foreign_memory_free(s->foreign);
}

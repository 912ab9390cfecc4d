/* SPDX-License-Identifier: Apache-2.0 */
/* One device of a guest: implements vmm_ops by the supervisor's services and the kernel's. */
#include <errno.h>
#include <inttypes.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <linux/virtio_ring.h>

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "xen/hypervisor/privcmd.h"
#include "xen/worker/worker_impl.h"

#define CHECK_MS 20
#define SMALL_RING 128
#define NEEDS "its kernel needs CONFIG_VIRTIO_MMIO"

/* Sends a request about the device. Returns false if the supervisor has gone. */
static bool ask(const struct worker_device *d, struct ipc_request *request, struct ipc_reply *reply,
	int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	request->device = d->info.device;
	return ipc_call(d->w->requests, request, reply, fds, n_fds);
}

static unsigned memory(void *opaque, struct vmm_dev *v, const struct virtio_mmio_queue *ready,
	unsigned n_ready, bool packed, const struct mem_region_desc **desc, const int **fds)
{
	struct worker_device *d = opaque;
	const struct ipc_guest *g = &d->w->guest;
	int fd = d->info.grants ? d->gntdev : d->w->privcmd;
	unsigned n;

	if (d->info.grants)
		n = memory_regions_grants(g->domid, ready, n_ready, packed, d->desc);
	else
		n = memory_regions_foreign(g->domid, g->bank, g->banks, d->desc);
	for (unsigned i = 0; i < n; i++)
		d->fds[i] = fd;
	*desc = d->desc;
	*fds = d->fds;
	return n;
}

/* Has the supervisor take a reply's file: a worker could not end while its close() waits. */
static bool take(void *opaque, const struct vu_header *header, struct vu_msg *msg, GError **error)
{
	struct ipc_request request = { .type = IPC_TAKE, .size = sizeof(*header) + header->size };
	struct ipc_reply reply;
	int fds[IPC_MAX_FDS];
	unsigned n_fds = 0;
	bool ok = request.size <= IPC_MAX_MESSAGE && ask(opaque, &request, &reply, fds, &n_fds);

	vu_msg_init(msg, header->request);
	if (!ok || reply.err) {
		g_set_error(error, VU_MSG_ERROR, VU_MSG_ERROR_GONE,
			"message %" PRIu32 " with %" PRIu32 " bytes cannot be read",
			header->request, header->size);
		fds_close(fds, n_fds);
		return false;
	}
	msg->header = *header;
	memcpy(msg->payload.bytes, reply.message + sizeof(*header), header->size);
	memcpy(msg->fds, fds, n_fds * sizeof(*fds));
	msg->n_fds = n_fds;
	return true;
}

static bool dial(void *opaque, struct vmm_dev *v, bool fresh, struct vu_front_options *options,
	struct vu_front_sockets *sockets, bool *kept, GError **error)
{
	struct worker_device *d = opaque;
	struct ipc_request request = { .type = IPC_DIAL, .fresh = fresh };
	struct ipc_reply reply;
	int fds[IPC_MAX_FDS];
	unsigned n_fds;

	if (!ask(d, &request, &reply, fds, &n_fds)) {
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_GONE, "the supervisor has ended");
		return false;
	}
	if (reply.err || n_fds < 2) {
		fds_close(fds, n_fds);
		g_set_error(error, VU_FRONT_ERROR, VU_FRONT_ERROR_GONE, "%s",
			*reply.text ? reply.text : g_strerror(reply.err ? reply.err : EPROTO));
		return false;
	}
	*kept = reply.kept;
	*sockets = (struct vu_front_sockets){
		.fd = fds[0],
		.channel = fds[1],
		.channel_peer = n_fds > 2 ? fds[2] : -1,
	};
	fds_close(fds + 3, n_fds > 3 ? n_fds - 3 : 0);
	options->take = take;
	options->take_opaque = d;
	options->probe = reply.probe;
	options->packed = reply.packed;
	options->device_id = reply.device_id;
	options->queues = reply.queues;
	options->config_size = reply.config_size;
	return true;
}

static int get_eventfd(void *opaque, struct vmm_dev *v, unsigned queue, enum vmm_eventfd which)
{
	struct ipc_request request = { .type = IPC_EVENTFD,
		.queue = queue,
		.which = which == VMM_KICK ? IPC_KICK : IPC_CALL };
	struct ipc_reply reply;
	int fds[IPC_MAX_FDS];
	unsigned n_fds;

	if (!ask(opaque, &request, &reply, fds, &n_fds)) {
		errno = EPIPE;
		return -1;
	}
	if (!reply.err && n_fds == 1)
		return fds[0];
	fds_close(fds, n_fds);
	errno = reply.err ? reply.err : EPROTO;
	return -1;
}

static int keep(void *opaque, struct vmm_dev *v, int fd)
{
	const struct worker_device *d = opaque;
	struct ipc_request request = { .type = IPC_KEEP, .device = d->info.device };
	struct ipc_reply reply;
	int fds[IPC_MAX_FDS];
	unsigned n_fds;

	if (!ipc_call_with(d->w->requests, &request, fd, &reply, fds, &n_fds))
		return -1;
	if (!reply.err && n_fds == 1)
		return fds[0];
	fds_close(fds, n_fds);
	return -1;
}

static bool assign(struct worker_device *d, unsigned queue, enum ipc_eventfd which, bool on)
{
	struct ipc_request request = {
		.type = IPC_ASSIGN,
		.queue = queue,
		.which = which,
		.on = on,
	};
	struct ipc_reply reply;
	int fds[IPC_MAX_FDS];
	unsigned n_fds;
	bool answered = ask(d, &request, &reply, fds, &n_fds);

	fds_close(fds, answered ? n_fds : 0);
	return answered && reply.err == 0;
}

static bool irqfd(void *opaque, struct vmm_dev *v, unsigned queue, int fd, bool on)
{
	return assign(opaque, queue, IPC_CALL, on);
}

static void set_kernel(struct worker_device *d, unsigned queue, bool has)
{
	uint64_t bit = UINT64_C(1) << queue % 64;

	if (has)
		__atomic_fetch_or(&d->kernel[queue / 64], bit, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&d->kernel[queue / 64], ~bit, __ATOMIC_RELAXED);
}

/* Sets the bit before the kernel serves kicks; what the kernel does not take, ioreq.c takes. */
static bool ioeventfd(
	void *opaque, struct vmm_dev *v, uint64_t addr, uint32_t queue, int fd, bool on)
{
	struct worker_device *d = opaque;
	bool ok;

	if (on)
		set_kernel(d, queue, true);
	ok = assign(d, queue, IPC_KICK, on);
	if (ok != on)
		set_kernel(d, queue, false);
	return ok;
}

static void interrupt(void *opaque, struct vmm_dev *v, bool level)
{
	struct worker_device *d = opaque;

	if (level && !privcmd_pulse_irq(d->w->privcmd, d->w->guest.domid, d->info.irq))
		log_warning(
			d->info.name, "interrupt %" PRIu32 ": %s", d->info.irq, g_strerror(errno));
}

static void access_done(void *opaque, void *token, uint64_t value)
{
	ioreq_done(token, value);
}

static const struct vmm_ops ops = {
	.memory = memory,
	.dial = dial,
	.eventfd = get_eventfd,
	.keep = keep,
	.interrupt = interrupt,
	.irqfd = irqfd,
	.ioeventfd = ioeventfd,
	.access_done = access_done,
};

static bool map_state(struct worker_device *d, int fd, GError **error)
{
	if (vmm_dev_state_size() > IPC_STATE_SIZE) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
			"%s: a device's state has %zu bytes, its memory %u", d->info.name,
			vmm_dev_state_size(), IPC_STATE_SIZE);
		return false;
	}
	d->state = mmap(NULL, vmm_dev_state_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (d->state != MAP_FAILED)
		return true;
	error_errno(error, errno, "%s: cannot map the device's state", d->info.name);
	d->state = NULL;
	return false;
}

/*
 * Returns ring features that are not offered. With grants an indirect table costs a third call to
 * Xen per request, as it must be fetched first. (With a small ring drivers may need them for large
 * requests.)
 */
static uint64_t withheld(const struct ipc_device *info)
{
	bool small = info->queue_size && info->queue_size < SMALL_RING;

	return info->grants && !small ? UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC : 0;
}

struct worker_device *worker_device_new(struct xen_worker *w, const struct ipc_device *info,
	int fds[IPC_MAX_FDS], unsigned n_fds, GError **error)
{
	struct worker_device *d = g_new0(struct worker_device, 1);
	struct vmm_dev_config config = {
		.name = d->info.name,
		.fd = -1,
		.front = { .xen_memory = true },
		.base = info->base,
		.window = info->window,
		.queue_size_max = info->queue_size,
		.access_platform = info->grants,
		.withheld = withheld(info),
		.needs = info->grants ? NEEDS ", and CONFIG_XEN_VIRTIO to grant its memory "
					      "(grant_usage=0 does without)"
				      : NEEDS,
	};

	d->w = w;
	d->info = *info;
	d->info.name[IPC_NAME - 1] = '\0';
	d->gntdev = n_fds > 1 ? fd_steal(&fds[1]) : -1;
	memset(d->kernel, 0xff, sizeof(d->kernel));
	if (info->wait_ms)
		d->give_up_at =
			g_get_monotonic_time() + info->wait_ms * (int64_t)G_TIME_SPAN_MILLISECOND;
	if (n_fds != (info->grants ? 2 : 1))
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"%s: invalid number of files: %u", d->info.name, n_fds);
	else if (map_state(d, fds[0], error)) {
		config.state = d->state;
		d->vmm = vmm_dev_new(&config, &ops, d, error);
	}
	if (!d->vmm) {
		worker_device_free(d);
		return NULL;
	}
	return d;
}

static void *leave_main(void *opaque)
{
	struct worker_device *d = opaque;
	int left = d->w->left;

	vmm_dev_free(d->vmm);
	/* Release: pairs with the loop's acquire, which then frees the rest. */
	__atomic_store_n(&d->gone, true, __ATOMIC_RELEASE);
	eventfd_write(left, 1);
	return NULL;
}

void worker_device_leave(struct worker_device *d)
{
	d->leaving = true;
	d->joinable = pthread_create(&d->leaver, NULL, leave_main, d) == 0;
	if (!d->joinable)
		leave_main(d);
}

void worker_device_free(struct worker_device *d)
{
	if (d->joinable)
		pthread_join(d->leaver, NULL);
	if (d->state)
		munmap(d->state, vmm_dev_state_size());
	fd_close(&d->gntdev);
	g_free(d);
}

int worker_device_check(struct worker_device *d)
{
	g_autoptr(GError) error = NULL;
	bool wait;

	if (d->decided || d->leaving)
		return -1;
	if (vmm_dev_wait(d->vmm, 0, &error)) {
		const struct vu_properties *properties = vmm_dev_properties(d->vmm);

		log_info(d->info.name, "device %" PRIu32 ", %" PRIu32 " queues, by %s",
			properties->probe.device_id, properties->probe.max_queues,
			d->info.grants ? "grants" : "foreign memory");
		d->decided = true;
		return -1;
	}
	wait = g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN) &&
		(!d->give_up_at || g_get_monotonic_time() < d->give_up_at);
	if (wait)
		return CHECK_MS;
	vmm_dev_give_up(d->vmm);
	d->decided = d->given_up = true;
	return -1;
}

enum virtio_mmio_result worker_device_access(struct worker_device *d, uint64_t offset,
	unsigned size, bool write, uint64_t *value, void *token)
{
	if (offset >= VIRTIO_MMIO_CONFIG_SPACE)
		d->config_accesses++;
	return vmm_dev_access(d->vmm, offset, size, write, value, token);
}

bool worker_device_kernel_has(const struct worker_device *d, uint32_t queue)
{
	return queue < VIRTIO_MAX_QUEUES &&
		(__atomic_load_n(&d->kernel[queue / 64], __ATOMIC_RELAXED) >> queue % 64 & 1);
}

void worker_device_log_counters(const struct worker_device *d)
{
	struct vmm_dev_counters c;
	uint64_t known;

	vmm_dev_counters(d->vmm, &c);
	known = c.notifies + c.status_reads + c.acks + d->config_accesses;
	log_info(NULL,
		"%s: accesses=%" PRIu64 " notifies=%" PRIu64 " status_reads=%" PRIu64
		" acks=%" PRIu64 " config=%" PRIu64 " other=%" PRIu64 " interrupts=%" PRIu64
		" config_interrupts=%" PRIu64 " later=%" PRIu64 " reconnects=%" PRIu64,
		d->info.name, c.accesses, c.notifies, c.status_reads, c.acks, d->config_accesses,
		c.accesses > known ? c.accesses - known : 0, c.interrupts, c.config_interrupts,
		c.later, c.reconnects);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers workers' requests. A worker may be controlled by its guest: numbers are checked, and it
 * gets only its own guest's files and eventfds, as many as its devices can have queues.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <linux/virtio_mmio.h>

#include "base/fd_kind.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "virtio/probe.h"
#include "xen/hypervisor/privcmd.h"
#include "xen/supervisor/broker_impl.h"

#define KICK_BYTES 4 /* of the register QueueNotify */

/* Returns whether an ioctl failed because the kernel lacks it. */
static bool is_missing(int err)
{
	return err == EOPNOTSUPP || err == ENOTTY || err == ENOSYS;
}

/* Routes the guest's writes to QueueNotify. On error (false) nothing changes. */
static bool route_kicks(struct broker *b, struct broker_device *d, bool to_kernel, GError **error)
{
	uint16_t server = b->server[IPC_KICKS].id;
	uint64_t addr = d->base + VIRTIO_MMIO_QUEUE_NOTIFY;

	if (d->kicks_mapped == to_kernel)
		return true;
	if (to_kernel && !devmodel_map_range(b->devmodel, server, addr, KICK_BYTES, error))
		return false;
	if (!to_kernel)
		devmodel_unmap_range(b->devmodel, server, addr, KICK_BYTES);
	d->kicks_mapped = to_kernel;
	return true;
}

static bool tell_kernel(struct broker *b, const struct broker_device *d, unsigned queue,
	enum ipc_eventfd which, int fd, bool assign)
{
	const struct privcmd_kick kick = {
		.domid = b->domid,
		.ioreq = b->server[IPC_KICKS].page,
		.ports = b->server[IPC_KICKS].port,
		.vcpus = b->vcpus,
		.addr = d->base + VIRTIO_MMIO_QUEUE_NOTIFY,
		.queue = queue,
	};

	if (which == IPC_CALL)
		return privcmd_irqfd(b->privcmd, b->domid, d->irq, fd, assign);
	return privcmd_ioeventfd(b->privcmd, &kick, fd, assign);
}

static int assign(
	struct broker *b, struct broker_device *d, unsigned queue, enum ipc_eventfd which, bool on)
{
	static bool said;
	g_autoptr(GError) error = NULL;
	struct broker_eventfd *e;
	int err;

	if (!b->eventfds)
		return EOPNOTSUPP;
	if (queue >= d->n_queues || d->queue[queue].eventfd[which].fd < 0)
		return ENOENT;
	e = &d->queue[queue].eventfd[which];
	if (e->assigned == on)
		return 0;
	/* The second server may only get kicks that the kernel serves. */
	if (which == IPC_KICK && !on)
		route_kicks(b, d, false, NULL);
	if (tell_kernel(b, d, queue, which, e->fd, on)) {
		e->assigned = on;
		if (which != IPC_KICK || !on || route_kicks(b, d, true, &error))
			return 0;
		log_warning(b->who, "%s: queue %u: %s", d->name, queue, error->message);
		tell_kernel(b, d, queue, which, e->fd, false);
		e->assigned = false;
		return EIO;
	}
	err = errno;
	if (!is_missing(err)) {
		log_warning(b->who, "%s: queue %u: the kernel's eventfds: %s", d->name, queue,
			g_strerror(err));
		return err;
	}
	b->eventfds = false;
	if (!said)
		log_info(NULL,
			"the kernel lacks eventfds for Xen guests (XEN_PRIVCMD_EVENTFD): "
			"kicks and interrupts go through the workers");
	said = true;
	return EOPNOTSUPP;
}

void broker_drop_eventfds(struct broker *b, struct broker_device *d)
{
	route_kicks(b, d, false, NULL);
	for (unsigned i = 0; i < d->n_queues; i++) {
		for (unsigned which = IPC_KICK; which <= IPC_CALL; which++) {
			struct broker_eventfd *e = &d->queue[i].eventfd[which];

			if (e->assigned && !tell_kernel(b, d, i, which, e->fd, false))
				log_warning(b->who, "%s: queue %u: cannot deassign an eventfd: %s",
					d->name, i, g_strerror(errno));
			fd_close(&e->fd);
		}
	}
	g_clear_pointer(&d->queue, g_free);
	d->n_queues = 0;
}

/* Appends a duplicate of fd to fds. Returns 0 or an errno. */
static int hand_out(int fd, int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return errno;
	fds[(*n_fds)++] = copy;
	return 0;
}

static int get_eventfd(struct broker_device *d, unsigned queue, enum ipc_eventfd which,
	int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	struct broker_eventfd *e;

	if (queue >= d->n_queues) {
		d->queue = g_renew(struct broker_queue, d->queue, queue + 1);
		for (; d->n_queues <= queue; d->n_queues++)
			d->queue[d->n_queues] =
				(struct broker_queue){ { { .fd = -1 }, { .fd = -1 } } };
	}
	e = &d->queue[queue].eventfd[which];
	if (e->fd < 0)
		e->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return e->fd < 0 ? errno : hand_out(e->fd, fds, n_fds);
}

void broker_drop_connection(struct broker_device *d)
{
	fd_close(&d->socket);
	fd_close(&d->channel);
}

/* Returns whether the back-end is still connected. */
static bool is_connected(const struct broker_device *d)
{
	struct pollfd pfd = { .fd = d->socket, .events = POLLRDHUP };

	return d->socket >= 0 && poll(&pfd, 1, 0) == 0;
}

static int dial(
	struct broker_device *d, struct ipc_reply *reply, int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	g_autoptr(GError) error = NULL;
	autofd socket = backend_process_connect(d->backend, &error);
	int pair[2], err;

	if (socket < 0) {
		g_strlcpy(reply->text, error->message, sizeof(reply->text));
		return EAGAIN;
	}
	if (!sock_pair(pair))
		return errno;
	d->socket = fd_steal(&socket);
	d->channel = pair[0];
	err = hand_out(d->socket, fds, n_fds);
	if (!err)
		err = hand_out(d->channel, fds, n_fds);
	/* Not kept: the back-end's end must close when back-end and worker close it. */
	fds[(*n_fds)++] = pair[1];
	return err;
}

static void tell_rule(const struct broker_device *d, struct ipc_reply *reply)
{
	const struct backend_rule *r = backend_process_rule(d->backend);

	reply->device_id = d->device_id;
	reply->config_size = -1;
	if (!r)
		return;
	reply->probe = r->front.probe;
	reply->packed = r->front.packed;
	reply->queues = r->front.queues;
	reply->config_size = r->front.config_size;
	/* The toolstack's id, which the guest knows, comes first. */
	if (!reply->device_id)
		reply->device_id = r->front.device_id;
}

static int connect_device(struct broker_device *d, bool fresh, struct ipc_reply *reply,
	int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	int err;

	reply->kept = !fresh && is_connected(d);
	if (reply->kept) {
		err = hand_out(d->socket, fds, n_fds);
		if (!err)
			err = hand_out(d->channel, fds, n_fds);
	} else {
		broker_drop_connection(d);
		err = dial(d, reply, fds, n_fds);
	}
	tell_rule(d, reply);
	return err;
}

static int keep(struct broker_device *d, int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	if (*n_fds == 0)
		return d->area < 0 ? ENOENT : hand_out(d->area, fds, n_fds);
	fd_close(&d->area);
	d->area = fds[0];
	*n_fds = 0;
	return 0;
}

/* Takes a reply; each file that the back-end sent is closed here, or is memory. */
static int take(struct broker *b, struct broker_device *d, uint32_t size, struct ipc_reply *reply,
	int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	int got[IPC_MAX_FDS];
	bool truncated = false;
	uint32_t have = 0;
	unsigned n = 0;
	ssize_t part = 1;

	while (have < size && part > 0) {
		part = sock_recv(d->socket, reply->message + have, size - have, got,
			G_N_ELEMENTS(got), &n, &truncated);
		have += part > 0 ? part : 0;
	}
	if (n == 1 && fd_kind(got[0]) == FD_MEMORY)
		fds[(*n_fds)++] = fd_steal(&got[0]);
	else if (n == 1)
		log_limited(&d->limit, LOG_LEVEL_WARNING, b->who,
			"%s: the back-end sent %s instead of shared memory", d->name,
			fd_kind_name(fd_kind(got[0])));
	else if (n)
		log_limited(&d->limit, LOG_LEVEL_WARNING, b->who,
			"%s: the back-end sent %u files instead of one", d->name, n);
	fds_discard(got, n);
	return have == size ? 0 : EPROTO;
}

/*
 * Accepts memory alone: only memory is kept, unread, for the next worker. Keeping a worker's own
 * socket, for example, would hide its death; the file system of another file might never answer.
 */
static bool is_sane(
	const struct broker *b, const struct ipc_request *r, const int *fds, unsigned n_fds)
{
	bool file = r->type == IPC_KEEP && n_fds == 1 && fd_kind(fds[0]) == FD_MEMORY;

	if (n_fds && !file)
		return false;
	if (r->device >= IPC_MAX_DEVICES || !b->device[r->device].backend)
		return false;
	switch ((enum ipc_request_type)r->type) {
	case IPC_DIAL:
		return r->fresh <= 1;
	case IPC_KEEP:
		return true;
	case IPC_TAKE:
		return r->size >= 1 && r->size <= IPC_MAX_MESSAGE;
	case IPC_EVENTFD:
	case IPC_ASSIGN:
		return r->queue < VIRTIO_MAX_QUEUES && r->which <= IPC_CALL && r->on <= 1;
	}
	return false;
}

bool broker_answer(struct broker *b, const struct ipc_request *request, struct ipc_reply *reply,
	int fds[IPC_MAX_FDS], unsigned *n_fds)
{
	struct broker_device *d;

	*reply = (struct ipc_reply){ 0 };
	if (!is_sane(b, request, fds, *n_fds)) {
		fds_discard(fds, *n_fds);
		*n_fds = 0;
		return false;
	}
	d = &b->device[request->device];
	switch ((enum ipc_request_type)request->type) {
	case IPC_DIAL:
		reply->err = connect_device(d, request->fresh, reply, fds, n_fds);
		break;
	case IPC_EVENTFD:
		reply->err = get_eventfd(d, request->queue, request->which, fds, n_fds);
		break;
	case IPC_KEEP:
		reply->err = keep(d, fds, n_fds);
		break;
	case IPC_TAKE:
		reply->err = take(b, d, request->size, reply, fds, n_fds);
		break;
	case IPC_ASSIGN:
		reply->err = assign(b, d, request->queue, request->which, request->on);
		break;
	}
	/* With an error no fds are sent. */
	while (reply->err && *n_fds > 0)
		fd_close(&fds[--*n_fds]);
	return true;
}

unsigned broker_assigned(const struct broker *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++) {
		const struct broker_device *d = &b->device[i];

		for (unsigned q = 0; q < d->n_queues; q++)
			n += d->queue[q].eventfd[IPC_KICK].assigned +
				d->queue[q].eventfd[IPC_CALL].assigned;
	}
	return n;
}

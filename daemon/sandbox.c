/* SPDX-License-Identifier: Apache-2.0 */
/* See sandbox.h. First what takes privileges, then the threads, then the filter for them all. */
#include "daemon/sandbox.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fd_kind.h"
#include "base/service.h"
#include "base/xen_abi.h"

/* Memory regions, eventfds of queues, fds on their way; those of devices come on top. */
#define FILES 2048
#define FILES_PER_QUEUE 4
/* The control socket and its clients. */
#define CONTROL_FILES 20

static const struct syscall_rule session_calls[] = {
	SYSCALL(accept4),
	SYSCALL(preadv2), /* a kick by a pipe (worker/queue.c) */
	SYSCALL_END,
};

/* Mapping what the front-end's descriptors of Xen's devices lead to; no other hypercall. */
static const struct syscall_rule xen_calls[] = {
	SYSCALL_IOCTL(XEN_IOCTL_MMAP_BATCH),
	SYSCALL_IOCTL(XEN_IOCTL_MAP_GRANTS),
	SYSCALL_IOCTL(XEN_IOCTL_UNMAP_GRANTS),
	SYSCALL_IOCTL(XEN_IOCTL_COPY_GRANTS),
	SYSCALL_END,
};

static const struct syscall_rule no_calls[] = { SYSCALL_END };
static const struct virtio_device_needs no_needs;

/*
 * Sets a name. The folder would lead out of another root directory, and, without Landlock, to all
 * others: the name is left behind then.
 */
static void name_socket(struct socket_name *name, const char *path, const struct options *o)
{
	bool sandboxed = o->privileges.sandbox != SANDBOX_NONE;

	daemon_socket_name(name, path, sandboxed);
	if (!sandboxed || (!o->privileges.chroot && landlock_is_there()))
		return;
	if (name->folder >= 0)
		close(name->folder);
	name->folder = -1;
}

/* What removing the sockets' names takes. */
struct removal {
	struct landlock_path paths[3];
	struct syscall_rule calls[3];
	unsigned n;
};

static void allow_removal(struct removal *r, const struct socket_name *name)
{
	if (name->folder < 0)
		return;
	r->paths[r->n] = (struct landlock_path){ name->folder, LANDLOCK_REMOVE };
	r->calls[r->n] =
		(struct syscall_rule)SYSCALL_IF(unlinkat, 0, UINT32_MAX, (uint32_t)name->folder);
	r->n++;
}

static bool drop(struct privileges *p, struct backend *b, GError **error)
{
	/* What is found by a path now will not be later. */
	if (p->chroot || p->sandbox != SANDBOX_NONE)
		service_notify_keep();
	if (p->sandbox != SANDBOX_NONE)
		fd_kind_keep_proc();
	return privileges_drop(p, error) && backend_start_workers(b, error) &&
		privileges_seal(p, error);
}

bool daemon_sandbox_enter(
	struct backend *b, struct options *o, struct socket_names *names, GError **error)
{
	const struct virtio_device_ops *ops = &virtio_device_ops;
	const struct virtio_device_needs *needs = ops->needs ? ops->needs : &no_needs;
	struct removal removal = { .calls = { SYSCALL_END, SYSCALL_END, SYSCALL_END } };
	const struct resource_limit limits[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_NOFILE,
			FILES + FILES_PER_QUEUE * ops->probe.max_queues + needs->files +
				(o->control ? CONTROL_FILES : 0) },
	};
	struct privileges *p = &o->privileges;

	name_socket(&names->front_end, o->socket_path, o);
	name_socket(&names->control, o->control, o);
	allow_removal(&removal, &names->front_end);
	allow_removal(&removal, &names->control);
	const struct syscall_rule *const calls[] = {
		syscall_core,
		session_calls,
		needs->calls ? needs->calls : no_calls,
		o->xen ? xen_calls : no_calls,
		removal.calls,
		NULL,
	};

	p->keep_network = needs->network;
	p->keep_code = needs->code;
	p->sockets = needs->sockets && *needs->sockets ? needs->sockets : NULL;
	p->socket_stems = needs->socket_stems && *needs->socket_stems ? needs->socket_stems : NULL;
	p->paths = removal.paths;
	p->limits = limits;
	p->n_limits = G_N_ELEMENTS(limits);
	p->calls = calls;
	return drop(p, b, error);
}

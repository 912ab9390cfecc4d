/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the worker's files:
 *
 *	worker.c	the guest and the loop: commands, event channels
 *	worker_server.c	the ioreq servers: the devices' windows
 *	worker_device.c	one device: implements vmm_ops
 *
 * The loop's thread owns all of this; devices' control threads enter by vmm_ops and ioreq_done(). A
 * device is removed in a thread of its own, as its back-end may be slow, and vCPUs and other
 * devices must not wait for it.
 */
#pragma once

#include <pthread.h>

#include "base/log.h"
#include "vmm/vmm_dev.h"
#include "xen/hypervisor/evtchn.h"
#include "xen/hypervisor/foreign_memory.h"
#include "xen/worker/ioreq.h"
#include "xen/ipc.h"
#include "xen/worker/memory_regions.h"

struct xen_worker;

/* An ioreq server. */
struct worker_server {
	struct xen_worker *w;
	const struct ipc_server *server;
	struct foreign_memory *foreign; /* with its page */
	struct ioreq *ioreq; /* NULL: before GUEST, or no such server */
};

struct xen_worker {
	struct ipc_guest guest;
	int commands;
	struct ipc_client *requests;
	struct evtchn *evtchn;
	int privcmd; /* for interrupts, and for back-ends; restricted to the guest */
	struct ipc_journal *journal; /* IPC_MAX_SERVERS */
	struct worker_server server[IPC_MAX_SERVERS];
	bool ready; /* GUEST is done */
	struct worker_device *device[IPC_MAX_DEVICES];
	int left; /* eventfd: a device has left */
	bool quit;
	struct log_limit limit;
	bool unread; /* a command waits that could not be received */
};

struct worker_device {
	struct xen_worker *w;
	struct ipc_device info;
	struct vmm_dev *vmm;
	void *state;
	int gntdev; /* -1: foreign memory */
	/* Results of vmm_ops.memory: valid until the next call. */
	struct mem_region_desc desc[MEMORY_REGIONS_MAX];
	int fds[MEMORY_REGIONS_MAX];
	/*
	 * Queues whose kicks the kernel serves, one bit each. Initially all: until vmm_dev has set
	 * each one, it may serve those that a predecessor assigned.
	 */
	uint64_t kernel[VIRTIO_MAX_QUEUES / 64];
	uint64_t config_accesses;
	bool decided; /* a back-end was found, or the slot was given up */
	bool given_up; /* the latter, and the supervisor has not been told */
	int64_t give_up_at; /* monotonic µs; 0: never */
	bool leaving;
	bool gone; /* atomic: its thread is done */
	bool joinable;
	pthread_t leaver;
};

/* Maps the page of the guest's server i and answers its accesses from now on. */
bool worker_server_open(struct xen_worker *w, unsigned i, GError **error);
/* Also for one that was not opened. */
void worker_server_close(struct worker_server *s);

/*
 * fds: the state's and, for grants, gntdev's; what it takes over is -1 then. Returns NULL with an
 * error.
 */
struct worker_device *worker_device_new(struct xen_worker *w, const struct ipc_device *info,
	int fds[IPC_MAX_FDS], unsigned n_fds, GError **error);
/* Stops the device in a thread, which signals w->left at its end. */
void worker_device_leave(struct worker_device *d);
/* Only for a device that has left. */
void worker_device_free(struct worker_device *d);

/* Gives the slot up if it is time. Returns the milliseconds until the next check; -1: none. */
int worker_device_check(struct worker_device *d);
enum virtio_mmio_result worker_device_access(struct worker_device *d, uint64_t offset,
	unsigned size, bool write, uint64_t *value, void *token);
bool worker_device_kernel_has(const struct worker_device *d, uint32_t queue);
void worker_device_log_counters(const struct worker_device *d);

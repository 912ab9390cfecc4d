/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of the worker, and nobody else.
 *
 *	worker.c	the guest and the loop: commands, event channels, slots
 *	worker_device.c	one device: what vmm_dev asks a hypervisor for
 *
 * The loop's thread owns all of this; a device's control thread comes in by vmm_ops and by
 * ioreq_done(). A device that is removed leaves in a thread of its own, as its back-end may take
 * its time, and vCPUs and other devices must not wait for that.
 */
#pragma once

#include <pthread.h>

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
	struct ioreq *ioreq; /* NULL: GUEST is still to come, or there is none */
};

struct xen_worker {
	struct ipc_guest guest;
	int commands;
	struct ipc_client *requests;
	struct evtchn *evtchn;
	int privcmd; /* for interrupts, and for back-ends; restricted to the guest */
	struct ipc_journal *journal; /* IPC_MAX_SERVERS */
	struct worker_server server[IPC_MAX_SERVERS];
	bool ready; /* GUEST is dealt with */
	struct worker_device *device[IPC_MAX_DEVICES];
	int left; /* eventfd: a device has left */
	bool quit;
};

struct worker_device {
	struct xen_worker *w;
	struct ipc_device info;
	struct vmm_dev *vmm;
	void *state;
	int gntdev; /* -1: foreign memory */
	/* For vmm_ops.memory: valid until the next call. */
	struct mem_region_desc desc[MEMORY_REGIONS_MAX];
	int fds[MEMORY_REGIONS_MAX];
	/*
	 * Queues whose kicks the kernel has. At first all: it may have some from the time of a
	 * predecessor, until vmm_dev has asked for each.
	 */
	uint64_t kernel[VIRTIO_MAX_QUEUES / 64];
	uint64_t config_accesses;
	bool decided; /* a back-end was there, or the slot is given up */
	int64_t give_up_at; /* monotonic µs; 0: never */
	bool leaving;
	bool gone; /* atomic: its thread has nothing more to do */
	bool joinable;
	pthread_t leaver;
};

/*
 * Takes over the fds: the state's and, for grants, gntdev's. NULL with an error.
 */
struct worker_device *worker_device_new(struct xen_worker *w, const struct ipc_device *info,
	int fds[IPC_MAX_FDS], unsigned n_fds, GError **error);
/* Stops, and tells w->left when that is done. */
void worker_device_leave(struct worker_device *d);
/* One that has left. */
void worker_device_free(struct worker_device *d);

/* Gives the slot up if there is reason. Returns the milliseconds until the next look, -1: none. */
int worker_device_check(struct worker_device *d);
enum virtio_mmio_result worker_device_access(struct worker_device *d, uint64_t offset,
	unsigned size, bool write, uint64_t *value, void *token);
bool worker_device_kernel_has(const struct worker_device *d, uint32_t queue);
void worker_device_log_counters(const struct worker_device *d);

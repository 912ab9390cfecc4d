/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of vmm_dev, and nobody else.
 *
 *	vmm_dev.c	vCPU side: registers, what the guest wants, accesses that wait
 *	vmm_control.c	the control thread: dial, poll, passes
 *	vmm_converge.c	one pass: makes the back-end what the guest wants
 *	vmm_ring.c	its rings
 *
 * The lock covers registers, wishes, the waiting accesses and the copy of the configuration; it is
 * never held across a request to the back-end. Every wish has a number (seq). A pass of the
 * control thread copies the wishes (struct vmm_want), does what they say, and then completes the
 * accesses whose number it has seen. It works from states, not from a list of events; where a
 * state may have gone there and back between two passes, a count (resets, epoch) tells.
 */
#pragma once

#include <pthread.h>

#include "base/log.h"
#include "vmm/vmm_dev.h"

/* An access that waits. */
struct vmm_pending {
	void *token;
	uint64_t seq; /* complete once this has been done */
	uint64_t off, value;
	unsigned size;
	bool write;
	bool raw; /* not put to the registers yet: the first probe is still to come */
};

/* A guest's write to the configuration space, on its way. */
struct vmm_config_write {
	uint32_t offset, size;
	uint64_t bytes; /* as in memory */
};

/* What the guest wants, as of seq. */
struct vmm_want {
	uint64_t seq;
	uint8_t status; /* without NEEDS_RESET */
	uint64_t features;
	unsigned resets; /* how often the guest has reset the device */
	unsigned memory; /* how often the memory changed, from 1 */
	unsigned config; /* how often the copy of the configuration was dropped */
	bool config_event; /* a CONFIG_CHANGE came */
	GArray *config_writes; /* struct vmm_config_write; NULL: none */
	struct {
		struct virtio_mmio_queue q;
		unsigned epoch; /* how often it became ready or unready */
	} queue[VIRTIO_MAX_QUEUES];
};

enum vmm_ring_state {
	VMM_RING_STOPPED,
	VMM_RING_SET_UP, /* the back-end has it, the first kick is still to come */
	VMM_RING_RUNNING,
	VMM_RING_BROKEN, /* could not be started; not tried again in this epoch */
};

/* One for each queue that was ever started; the eventfds stay until the device is freed. */
struct vmm_ring {
	int kick, call; /* -1 until first needed; kick is set under the lock */
	bool irqfd, ioeventfd; /* the kernel does it */
	enum vmm_ring_state state; /* on the present connection */
	unsigned tried; /* the epoch of the last attempt to start it */
	unsigned ran; /* likewise, one that succeeded: a start in the same one goes on */
};

enum vmm_slot {
	VMM_SLOT_PROBING, /* every access waits */
	VMM_SLOT_DEVICE,
	VMM_SLOT_EMPTY, /* given up */
};

struct vmm_dev {
	char *name, *socket_path;
	int fd; /* first and only connection without socket_path; -1: used up */
	struct vu_front_options options;
	uint64_t base, window;
	uint32_t queue_size_max;
	unsigned retry_ms;
	const struct vmm_ops *ops;
	void *opaque;
	pthread_t thread;
	int wake; /* eventfd: wishes, or quit */

	pthread_mutex_t lock;
	pthread_cond_t cond; /* slot, connected, done, failed */
	struct virtio_mmio *mmio;
	enum vmm_slot slot;
	bool connected; /* a back-end that fits is there */
	bool failed; /* the first probe will never succeed */
	bool quit;
	char *problem; /* why there is no back-end; NULL: none yet */
	uint64_t seq, done;
	unsigned resets, memory, config_drops;
	unsigned epoch[VIRTIO_MAX_QUEUES];
	bool config_event;
	GArray *config_writes; /* NULL: none */
	GArray *pending; /* struct vmm_pending */
	uint8_t *config; /* the last copy of all of it */
	uint8_t *config_written; /* bytes that the guest wrote since its last reset */
	unsigned config_read_at; /* the copy is good if this is config_drops */
	struct vmm_dev_counters counters;
	struct vu_facts facts; /* of the first probe; constant from then on */

	/* The control thread's alone. */
	struct vu_front *front; /* NULL: away */
	struct vmm_want want;
	struct vmm_ring *ring; /* facts.probe.max_queues */
	int64_t retry_at; /* monotonic µs */
	/* What the back-end has been told on this connection. */
	unsigned resets_done, memory_sent;
	bool features_sent;
	uint8_t status_sent;
	struct log_limit limit;
};

/* vmm_dev.c: under the lock. */
void vmm_wish(struct vmm_dev *d);
/* Puts the accesses that waited for the first probe to the registers. */
void vmm_replay(struct vmm_dev *d, GArray *done);
/* Moves what waits for at most seq to done. */
void vmm_take_done(struct vmm_dev *d, uint64_t seq, GArray *done);

/* vmm_dev.c: without it. Tells the hypervisor; frees done. */
void vmm_complete(struct vmm_dev *d, GArray *done);
/* An empty list for the above. */
GArray *vmm_done_new(void);
/* Status gets NEEDS_RESET, unless the guest has reset the device since the wishes were copied. */
void vmm_set_needs_reset(struct vmm_dev *d);
/* Likewise, and says why. */
void vmm_needs_reset(struct vmm_dev *d, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* vmm_control.c */
void *vmm_control_main(void *opaque);

/* All below: false, with an error, only if the connection is lost. */

/* vmm_converge.c */
bool vmm_converge(struct vmm_dev *d, GError **error);
/* After a request failed: may the pass go on? Then the error has been logged and cleared. */
bool vmm_survived(struct vmm_dev *d, GError **error);

/* vmm_ring.c */
bool vmm_stop_rings(struct vmm_dev *d, GError **error);
/* Those of queues that are not ready any more, or were not in between. */
bool vmm_stop_unwanted_rings(struct vmm_dev *d, GError **error);
/* Those of ready queues: set up and enabled. */
bool vmm_start_rings(struct vmm_dev *d, GError **error);
/* Drivers may have filled a queue, and kicked it, before anybody listened. */
void vmm_first_kicks(struct vmm_dev *d);

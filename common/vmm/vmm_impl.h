/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of vmm_dev, and nobody else.
 *
 *	vmm_dev.c	the object, and what its owner asks of it
 *	vmm_access.c	vCPU side: registers, what the guest wants, accesses that wait
 *	vmm_control.c	the control thread: poll, passes
 *	vmm_dial.c	from no back-end to one
 *	vmm_converge.c	one pass: makes the back-end what the guest wants
 *	vmm_memory.c	its memory
 *	vmm_ring.c	its rings
 *	vmm_inflight.c	its record of requests in flight
 *	vmm_shm.c	its shared memory regions
 *	vmm_state.c	what a successor needs
 *
 * The lock covers registers, wishes, the waiting accesses and the copy of the configuration; it is
 * never held across a request to the back-end. Every wish has a number (seq). A pass of the
 * control thread copies the wishes (struct vmm_want), does what they say, and then completes the
 * accesses whose number it has seen. It works from states, not from a list of events; where a
 * state may have gone there and back between two passes, a count (resets, epoch) tells.
 *
 * All that a successor needs is in struct vmm_state, and nowhere else, from the moment on when it
 * matters: plain stores, in an order (vmm_order()) that leaves it right whenever we are killed. A
 * request to the back-end that may have been sent or not is sent again. Accesses that were not
 * answered come again, from the start.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "vmm/vmm_dev.h"

/* An access that waits. */
struct vmm_pending {
	void *token;
	uint64_t seq; /* complete once this has been done */
	uint64_t off, value;
	unsigned size;
	bool write;
	bool raw; /* not put to the registers yet: the first probe, or settling, is still to come */
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
	unsigned invalidates; /* how often the same table was to be sent again */
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

/* One for each queue; the eventfds are made when it is first started, and stay. */
struct vmm_ring {
	int kick, call; /* -1 until first needed; kick is set under the lock */
	bool irqfd, ioeventfd; /* the kernel does it */
	enum vmm_ring_state state; /* on the present connection */
	bool resume; /* it was stopped for us, who go on with it */
	uint32_t resume_base;
};

enum vmm_slot {
	VMM_SLOT_PROBING, /* every access waits */
	VMM_SLOT_DEVICE,
	VMM_SLOT_EMPTY, /* given up */
};

/* Of a ring, as a successor must take it to be in the back-end. */
enum vmm_phase {
	VMM_PHASE_NONE, /* stopped */
	VMM_PHASE_SETTING_UP, /* some of it is there, perhaps not base; it has not run */
	VMM_PHASE_UP, /* it may have run: only the back-end knows how far */
};

struct vmm_queue_state {
	uint32_t epoch; /* how often it became ready or unready, from 1 */
	uint32_t tried; /* the epoch of the last attempt to start it */
	uint32_t ran; /* likewise, one that succeeded: a start in the same one goes on */
	uint32_t phase; /* enum vmm_phase */
	uint32_t base; /* where it is being set up to start, or was last */
	uint32_t area; /* the number of the in-flight area that it is recorded in; 0: in none */
};

/* What outlives us. */
struct vmm_state {
	uint32_t magic; /* 0: a new device */
	uint32_t size;
	uint32_t slot; /* enum vmm_slot */
	struct vu_facts facts; /* of the first probe */
	struct virtio_mmio_state mmio;
	uint32_t resets; /* how often the guest has reset the device */
	/* The in-flight area, but for its fd: vmm_inflight.c. */
	struct vu_front_inflight area;
	uint32_t area_number; /* 0: none */
	uint32_t area_resets; /* resets, when it was asked for */
	uint32_t areas; /* how many there have been */
	uint8_t config[VU_MAX_CONFIG]; /* the last copy of all of it */
	uint8_t config_written[VU_MAX_CONFIG]; /* bytes the guest wrote since its last reset */

	struct vu_front_state front;
	uint32_t has_front; /* all below is about a connection, and front is its state */
	uint32_t settled; /* one pass on it was complete */
	/* What the back-end has been told. */
	uint32_t resets_done, features_sent, status_sent;
	struct vmm_queue_state queue[VIRTIO_MAX_QUEUES];
};

/* Whoever finds in the state what is stored after this finds what was stored before, too. */
static inline void vmm_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

struct vmm_dev {
	char *name, *socket_path;
	int fd; /* first and only connection without socket_path; -1: used up */
	struct vu_front_options options;
	uint64_t base, window;
	uint32_t queue_size_max;
	unsigned retry_ms;
	bool access_platform;
	const struct vmm_ops *ops;
	void *opaque;
	pthread_t thread;
	int wake; /* eventfd: wishes, or quit */

	pthread_mutex_t lock;
	pthread_cond_t cond; /* slot, connected, done, failed */
	struct virtio_mmio *mmio;
	struct vmm_state *state, *own_state; /* own: NULL if it is the caller's */
	bool settling; /* a predecessor's device is not in line yet: every access waits */
	bool connected; /* a back-end that fits is there */
	bool failed; /* the first probe will never succeed */
	bool quit;
	char *problem; /* why there is no back-end; NULL: none yet */
	uint64_t seq, done;
	unsigned memory, invalidates, config_drops;
	bool config_event;
	GArray *config_writes; /* NULL: none */
	GArray *pending; /* struct vmm_pending */
	unsigned config_read_at; /* the copy is good if this is config_drops */
	struct vmm_dev_counters counters;
	struct vu_facts facts; /* of the first probe; constant from then on */

	/* The control thread's alone. */
	struct vu_front *front; /* NULL: away */
	struct vmm_want want;
	struct vmm_ring *ring; /* facts.probe.max_queues */
	int64_t retry_at; /* monotonic µs */
	bool kept; /* the predecessor's connection is still to be asked for */
	bool compare; /* has the configuration changed while nobody looked? */
	bool adopted; /* vu_front is about to say that it may have */
	/* The memory table, for these ready queues, and whether the back-end has it. */
	struct virtio_mmio_queue *table_ready;
	unsigned n_table_ready;
	struct mem_region_desc *table;
	const int *table_fds; /* the hypervisor's */
	unsigned n_table;
	bool table_told;
	unsigned memory_sent, invalidates_sent;
	GArray *shm; /* struct virtio_mmio_shm: the regions that the driver finds */
	int area_fd; /* -1: none, or not got from ops->keep() yet */
	bool area_settled, area_given; /* on this connection: it was tried; the back-end has it */
	struct log_limit limit;
};

/* vmm_access.c: under the lock. */
void vmm_wish(struct vmm_dev *d);
/* Puts the accesses that waited for the first probe, or for settling, to the registers. */
void vmm_replay(struct vmm_dev *d, GArray *done);
/* Moves what waits for at most seq to done. */
void vmm_take_done(struct vmm_dev *d, uint64_t seq, GArray *done);
/* Accesses need not wait any longer for what the predecessor left. */
void vmm_settle(struct vmm_dev *d, GArray *done);

/* vmm_access.c: without it. Tells the hypervisor; frees done. */
void vmm_complete(struct vmm_dev *d, GArray *done);
/* An empty list for the above. */
GArray *vmm_done_new(void);
/* Status gets NEEDS_RESET, unless the guest has reset the device since the wishes were copied. */
void vmm_set_needs_reset(struct vmm_dev *d);
/* Likewise, and says why. */
void vmm_needs_reset(struct vmm_dev *d, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
extern const struct virtio_mmio_ops vmm_mmio_ops;

/* vmm_state.c */

/* Makes d->state, or takes over what a predecessor left; memory: NULL, or the caller's. */
bool vmm_state_open(struct vmm_dev *d, void *memory, GError **error);
/* The device is gone for good: what is in the memory is of no use. */
void vmm_state_close(struct vmm_dev *d);
/* There is a device: its facts are known. */
void vmm_state_set_facts(struct vmm_dev *d, const struct vu_facts *facts);
/* There is no connection, or a new one that has not been told anything. */
void vmm_state_forget_front(struct vmm_dev *d);

/* vmm_control.c: the control thread's. */
void *vmm_control_main(void *opaque);
/* Copies the wishes. */
void vmm_snapshot(struct vmm_dev *d);
/* From here on the back-end is away: what waits for it is complete. */
void vmm_hang_up(struct vmm_dev *d);
/* Notes why there is no back-end; true if that is news. Final: there will never be one. */
bool vmm_note_problem(struct vmm_dev *d, const char *problem, bool final);

/* vmm_dial.c: the control thread's. */
bool vmm_can_dial_again(const struct vmm_dev *d);
/* Tries once. */
void vmm_dial(struct vmm_dev *d);

/* All below: false, with an error, only if the connection is lost. */

/* vmm_converge.c */
bool vmm_converge(struct vmm_dev *d, GError **error);
/* After a request failed: may the pass go on? Then the error has been logged and cleared. */
bool vmm_survived(struct vmm_dev *d, GError **error);
static inline bool vmm_wants(const struct vmm_dev *d, uint8_t status)
{
	return d->want.status & status;
}

/* vmm_memory.c */

/* Tells the back-end, if there is a driver and it is news. */
bool vmm_set_memory(struct vmm_dev *d, GError **error);
/* Does the back-end have it? */
bool vmm_memory_is_set(const struct vmm_dev *d);
/* Where the back-end finds [addr, addr + len) of the guest; which region, or NULL. */
const struct mem_region_desc *vmm_to_user(
	const struct vmm_dev *d, uint64_t addr, uint64_t len, uint64_t *user);

/* vmm_inflight.c */

/* If there is a driver, and it is news: the back-end has an area that is right for it, or none. */
bool vmm_hand_over_area(struct vmm_dev *d, GError **error);
/* The back-end knows of none (any more). */
void vmm_area_untold(struct vmm_dev *d);
/* Can the back-end know how far the last one was with the ring, and what it left? */
bool vmm_has_record(const struct vmm_dev *d, unsigned i);
/* Before the ring starts: from here on it is recorded, if there is an area. False: it cannot start. */
bool vmm_record_ring(struct vmm_dev *d, unsigned i, GError **error);

/* vmm_shm.c */

extern const struct vu_front_shm_ops vmm_shm_ops;
/* Reserves guest addresses for the regions of the first back-end; fills d->shm. */
void vmm_reserve_shm(struct vmm_dev *d);
/* Does a back-end that came back have the regions that the driver may have found? */
bool vmm_shm_fits(const struct vmm_dev *d, const struct vu_front *f, GError **error);

/* vmm_ring.c */
bool vmm_stop_rings(struct vmm_dev *d, GError **error);
/* Those of queues that are not ready any more, or were not in between. */
bool vmm_stop_unwanted_rings(struct vmm_dev *d, GError **error);
/* Those of ready queues: set up and enabled. */
bool vmm_start_rings(struct vmm_dev *d, GError **error);
/* Drivers may have filled a queue, and kicked it, before anybody listened. */
void vmm_first_kicks(struct vmm_dev *d);
/* Those that the predecessor left: stopped, to be started where they are. False: it cannot be. */
bool vmm_take_rings(struct vmm_dev *d, GError **error);

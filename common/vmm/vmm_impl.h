/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internals of vmm_dev, shared by its files.
 *
 *	vmm_dev.c	the object, and what its owner asks of it
 *	vmm_access.c	vCPU side: registers, desired state, accesses that wait
 *	vmm_control.c	the control thread: poll, passes
 *	vmm_dial.c	from no back-end to one
 *	vmm_idle.c	a guest that does not use its device
 *	vmm_converge.c	one pass: brings the back-end to the desired state
 *	vmm_memory.c	its memory
 *	vmm_vring.c	its rings
 *	vmm_inflight.c	its record of requests in flight
 *	vmm_shm.c	its shared memory regions
 *	vmm_state.c	what a successor needs
 *
 * The lock covers registers, desired state, waiting accesses and the copy of the configuration; it
 * is never held across a request to the back-end. Every change of the desired state has a number
 * (seq). A pass of the control thread copies the desired state (struct vmm_desired), brings the
 * back-end to it, and then completes the accesses up to that number. It compares states and keeps
 * no list of events; where a state may have changed and changed back between two passes, a count
 * (resets, epoch) shows it.
 *
 * All that a successor needs is in struct vmm_state, and only there: plain stores, in an order
 * (vmm_order()) that leaves it consistent whenever this process is killed. A request to the
 * back-end that may have been sent is sent again. Accesses without an answer are repeated from the
 * start.
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

/* The desired state as of seq: what the guest has asked for. */
struct vmm_desired {
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

enum vmm_vring_state {
	VMM_VRING_STOPPED,
	VMM_VRING_SET_UP, /* the back-end has it, the first kick is still to come */
	VMM_VRING_RUNNING,
	VMM_VRING_BROKEN, /* could not be started; not tried again in this epoch */
};

/* One for each queue; the eventfds are made when it is first started, and stay. */
struct vmm_vring {
	int kick, call; /* -1 until first needed; kick is set under the lock */
	bool kick_full; /* atomic: the back-end has filled it: eventfd_signal_fast() */
	bool irqfd, ioeventfd; /* the kernel does it */
	enum vmm_vring_state state; /* on the present connection */
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

/* What outlives this process. */
struct vmm_state {
	uint32_t magic; /* 0: a new device */
	uint32_t size;
	uint32_t slot; /* enum vmm_slot */
	struct vu_properties properties; /* of the first probe */
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
	/* What was sent to the back-end. */
	uint32_t resets_done, features_sent, status_sent;
	struct vmm_queue_state queue[VIRTIO_MAX_QUEUES];
};

/*
 * Orders stores: a successor that finds in the state what is stored after this also finds what
 * was stored before.
 */
static inline void vmm_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

struct vmm_dev {
	char *name, *socket_path, *needs;
	int fd; /* first and only connection without socket_path; -1: used up */
	struct vu_front_options options;
	uint64_t base, window;
	uint32_t queue_size_max;
	unsigned retry_ms, idle_ms;
	bool access_platform;
	const struct vmm_ops *ops;
	void *opaque;
	pthread_t thread;
	int wake; /* eventfd: the desired state has changed, or quit */
	int cancel; /* likewise: the control thread must not wait for the back-end any more */

	pthread_mutex_t lock;
	pthread_cond_t cond; /* slot, connected, done, failed */
	struct virtio_mmio *mmio;
	struct vmm_state *state, *own_state; /* own: NULL if it is the caller's */
	bool settling; /* a predecessor's device is not in line yet: every access waits */
	bool connected; /* a back-end that fits is there */
	bool failed; /* the first probe will never succeed */
	bool quit, ended; /* the control thread is to end; has ended */
	int64_t end_by; /* quit: when waiting for the back-end ends, monotonic µs */
	char *problem; /* why there is no back-end; NULL: none yet */
	uint64_t seq, done;
	unsigned memory, invalidates, config_drops;
	bool config_event;
	GArray *config_writes; /* NULL: none */
	GArray *pending; /* struct vmm_pending */
	unsigned config_read_at; /* the copy is good if this is config_drops */
	bool used; /* a driver has set DRIVER_OK */
	struct vmm_dev_counters counters;
	struct log_limit mistakes; /* of the driver */
	struct vu_properties properties; /* of the first probe; constant from then on */

	/* The control thread's alone. */
	struct vu_front *front; /* NULL: away */
	bool probe_warned; /* vu_front_options */
	struct vmm_desired desired;
	struct vmm_vring *vring; /* properties.probe.max_queues */
	int64_t retry_at; /* monotonic µs */
	unsigned first_answer_ms; /* vu_front_options: of the next dial */
	int64_t idle_at; /* likewise: a device without a driver is named; 0: no more */
	bool kept; /* the predecessor's connection is still to be asked for */
	bool compare; /* the configuration may have changed unnoticed: compare it */
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

/* Numbers a change of the desired state, and wakes the control thread. */
void vmm_changed(struct vmm_dev *d);
/* Puts the accesses that waited for the first probe, or for settling, to the registers. */
void vmm_replay(struct vmm_dev *d, GArray *done);
/* Moves what waits for at most seq to done. */
void vmm_take_done(struct vmm_dev *d, uint64_t seq, GArray *done);
/* Likewise, but for reads. */
void vmm_take_writes_done(struct vmm_dev *d, uint64_t seq, GArray *done);
/* Ends the wait of accesses for what the predecessor left. */
void vmm_settle(struct vmm_dev *d, GArray *done);

/* vmm_access.c: without the lock. */

/* Completes these accesses; frees done. */
void vmm_complete(struct vmm_dev *d, GArray *done);
/* Returns an empty list for the above. */
GArray *vmm_done_new(void);
/* Sets NEEDS_RESET in Status, unless the guest has reset the device since the last snapshot. */
void vmm_set_needs_reset(struct vmm_dev *d);
/* Likewise, and logs why. */
void vmm_needs_reset(struct vmm_dev *d, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
extern const struct virtio_mmio_ops vmm_mmio_ops;

/* vmm_state.c */

/* Makes d->state, or takes over what a predecessor left. memory: NULL, or the caller's. */
bool vmm_state_open(struct vmm_dev *d, void *memory, GError **error);
/* Makes the memory a new device's again. */
void vmm_state_close(struct vmm_dev *d);
/* Stores the properties of the first probe. */
void vmm_state_set_properties(struct vmm_dev *d, const struct vu_properties *properties);
/* Drops what is about the connection: there is none, or a new one. */
void vmm_state_forget_front(struct vmm_dev *d);

/* vmm_control.c: the control thread's. */
void *vmm_control_main(void *opaque);
/* Returns whether vmm_dev_free() waits for the thread: what fails now is not worth a line. */
bool vmm_is_ending(struct vmm_dev *d);
/* Copies the desired state to d->desired. */
void vmm_snapshot(struct vmm_dev *d);
/* Closes the connection, and completes what waits for the back-end. */
void vmm_hang_up(struct vmm_dev *d);
/* Stores why there is no back-end; true if that is new. final: there will never be one. */
bool vmm_note_problem(struct vmm_dev *d, const char *problem, bool final);

/* vmm_idle.c: the control thread's. */

/* Says, once, that the guest has not set the device up, when it is time for that. */
void vmm_check_idle(struct vmm_dev *d);
/* Milliseconds until then; -1: never. */
int vmm_next_idle(const struct vmm_dev *d);

/* vmm_dial.c: the control thread's. */
bool vmm_can_dial_again(const struct vmm_dev *d);
/* Tries to connect, once. */
void vmm_dial(struct vmm_dev *d);

/* All below return false, with an error, only if the connection is lost. */

/* vmm_converge.c */
bool vmm_converge(struct vmm_dev *d, GError **error);
/* Returns whether the pass may go on after a failed request; then logs and clears the error. */
bool vmm_survived(struct vmm_dev *d, GError **error);
/* Returns whether the driver has set this bit of Status. */
static inline bool vmm_status_has(const struct vmm_dev *d, uint8_t status)
{
	return d->desired.status & status;
}

/* vmm_memory.c */

/* Sends the memory table, if there is a driver and the table has changed. */
bool vmm_set_memory(struct vmm_dev *d, GError **error);
/* Returns whether the back-end has the present table. */
bool vmm_memory_is_set(const struct vmm_dev *d);
/* Translates [addr, addr + len) of the guest for the back-end; returns the region, or NULL. */
const struct mem_region_desc *vmm_to_user(
	const struct vmm_dev *d, uint64_t addr, uint64_t len, uint64_t *user);

/* vmm_inflight.c */

/* Gives the back-end the right area, or none, once for each connection and reset. */
bool vmm_hand_over_area(struct vmm_dev *d, GError **error);
/* Records that the back-end has no area (any more). */
void vmm_area_untold(struct vmm_dev *d);
/* Returns whether the area shows how far the last back-end was with the ring. */
bool vmm_has_record(const struct vmm_dev *d, unsigned i);
/* Before the ring starts: it is recorded from here on. False: it cannot start. */
bool vmm_record_ring(struct vmm_dev *d, unsigned i, GError **error);

/* vmm_shm.c */

extern const struct vu_front_shm_ops vmm_shm_ops;
/* Reserves guest addresses for the regions of the first back-end; fills d->shm. */
void vmm_reserve_shm(struct vmm_dev *d);
/* Returns whether a back-end that came back has the regions that the driver may have found. */
bool vmm_shm_fits(const struct vmm_dev *d, const struct vu_front *f, GError **error);

/* vmm_vring.c */
bool vmm_stop_rings(struct vmm_dev *d, GError **error);
/* Stops those of queues that are not ready, or were not at some time since they started. */
bool vmm_stop_unwanted_rings(struct vmm_dev *d, GError **error);
/* Sets up and enables those of ready queues. */
bool vmm_start_rings(struct vmm_dev *d, GError **error);
/* Kicks rings that have just started: a driver may have filled and kicked them before. */
void vmm_first_kicks(struct vmm_dev *d);
/* Stops the rings that the predecessor left, to be resumed where they are. */
bool vmm_take_rings(struct vmm_dev *d, GError **error);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtqueue as its owner runs it: start, stop, bursts, publication. One thread at a time. The
 * vring formats lie under it (vq_impl.h); chains go out by vq.h.
 *
 * A burst, after a kick or anything else that gave the device something to do:
 *
 *	do {
 *		vq_burst_begin(q);
 *		device's kick(q)		// vq_pop(), vq_push() ...
 *	} while (vq_burst_end(q) == VQ_MORE);	// publishes; VQ_IDLE: a kick will come
 *
 * An owner that polls for a while instead of being kicked pauses, and ends the burst
 * when it goes to sleep:
 *
 *	do {
 *		vq_burst_begin(q);
 *		vq_announce(q);
 *		device's kick(q)
 *	} while (vq_burst_pause(q) == VQ_MORE || vq_has_more(q) || vq_has_more(q) ...);
 *	if (vq_burst_end(q) == VQ_IDLE)
 *		sleep
 */
#pragma once

#include "memory/guest_mem.h"
#include "ring/vq.h"
#include "virtio/ring_layout.h"

#define VQ_MAX_SIZE VIRTIO_MAX_QUEUE_SIZE

/* What the engine asks of its owner. Called on the owning thread. */
struct vq_hooks {
	/* Used buffers were published and the driver asked for a call: signal the call fd. */
	void (*call)(void *opaque);
	/* The queue has just broken, for this reason (already logged). */
	void (*broken)(void *opaque, const char *reason);
};

/* A vring as SET_VRING_NUM, _ADDR and _BASE and SET_FEATURES describe it. */
struct vq_setup {
	uint32_t size; /* descriptors: 1 to VQ_MAX_SIZE, split: a power of two */
	uint64_t
		features; /* negotiated: RING_PACKED, EVENT_IDX, INDIRECT_DESC, IN_ORDER are read */
	uint64_t desc; /* user addresses: descriptor table, avail (driver) and used (device) area */
	uint64_t avail;
	uint64_t used;
	uint32_t base; /* SET_VRING_BASE: where to go on (virtio/ring_layout.h) */
	/*
	 * With a dirty log (guest_mem_set_log()), where the used ring (packed: the device area) is
	 * in it, by guest addresses; writes to the vring are marked only if logs_ring is set.
	 */
	bool logs_ring;
	uint64_t log_addr;
	/*
	 * Requests that a previous owner took and never completed are run again. The in-flight area
	 * tells which ones; without one, only the used index of a split vring does, and only if
	 * requests are completed in the order they came. So a split vring without an area publishes
	 * them in that order, unless any_order is set: for queues whose requests wait for long, and
	 * not for each other. What was in flight there when a back-end died remains unanswered.
	 */
	bool any_order;
	/* Requests that are published together, at most VQ_BATCH; 0: VQ_PUBLISH_REQS. */
	unsigned batch;
	/*
	 * This queue's part of the in-flight area (virtio/inflight.h): all zeroes, or as a previous
	 * owner left it, and as hostile as the vring. Accessible until vq_stop(). Where to go on is
	 * then in it, and base counts only at the first start. NULL: requests in flight are not
	 * recorded.
	 */
	void *inflight;
	size_t inflight_len;
};

/* Returns a stopped queue; hooks and opaque must outlive it. */
struct vq *vq_new(
	unsigned index, struct guest_mem *mem, const struct vq_hooks *hooks, void *opaque);
/* What the requests of a device's queues take of our memory. Zeroed at first. */
struct vq_memory {
	size_t bytes; /* atomic */
};
/*
 * Before the first start: the queue shares the limit of requests' memory with all others that are
 * given the same; else it has one of its own.
 */
void vq_share_memory(struct vq *q, struct vq_memory *memory);
/* Returns the opaque that vq_new() was given. */
void *vq_opaque(const struct vq *q);
/* Frees a queue that is stopped, or was never started. NULL is ignored. */
void vq_free(struct vq *q);
typedef struct vq vq; /* for g_autoptr */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vq, vq_free)

/*
 * Maps the vrings and begins at setup->base. False, and nothing mapped, if the size, an address or
 * the base is wrong; the error names it. A burst must follow, kick or no kick: what came before is
 * not announced again, and only a burst asks for kicks. If the start is not fresh, it calls: a
 * previous owner may not have lived to do so.
 */
bool vq_start(struct vq *q, const struct vq_setup *setup, GError **error);
bool vq_is_started(const struct vq *q);
/* Returns the descriptors of a vring that is started. */
unsigned vq_size(const struct vq *q);
/*
 * Returns true if this start was that of a freshly initialised driver: base and used index both at
 * their beginning, and no trace in the vring (packed) of turns before. A split vring's indices are
 * there again after each 65536 requests.
 */
bool vq_is_fresh(const struct vq *q);
/*
 * Ends the intake: vq_pop() returns NULL; what was fetched but not popped goes back to the vring.
 * Then, once vq_in_flight() is 0, vq_stop().
 */
void vq_drain(struct vq *q);
/*
 * Publishes what is completed, unmaps the vrings, and returns the base to go on from. No chain may
 * be in flight.
 */
uint32_t vq_stop(struct vq *q);
bool vq_is_broken(const struct vq *q);

void vq_burst_begin(struct vq *q);
/*
 * Announces the device's kick(q), which comes next: requests that it leaves are left to it, and
 * are no reason for another burst.
 */
void vq_announce(struct vq *q);
enum vq_more {
	/* Wait for a kick; a device that left requests waits for what made it leave them. */
	VQ_IDLE,
	VQ_MORE, /* more is available: another burst, now or after others had their turn */
};
enum vq_more vq_burst_end(struct vq *q);
/* Ends a burst as vq_burst_end(), but asks for no kick: vq_burst_end() must follow. */
enum vq_more vq_burst_pause(struct vq *q);
/* Returns true if there is something new after a pause. Cheap: a load of shared memory. */
bool vq_has_more(const struct vq *q);

/*
 * Since the queue was made, for statistics. Other threads than the owner's load them, and
 * vq_in_flight(), one by one, atomically (relaxed), to see what is about right. The owner alone
 * writes, and only after the driver can see what is counted.
 */
#define VQ_MAX_TYPES 8
#define VQ_LATENCIES 28
struct vq_type_stats {
	uint64_t requests; /* those that were published, as all that follows */
	uint64_t bytes; /* moved either way, without vq_type.overhead, by those that did not fail */
	uint64_t errors; /* vq_set_failed() */
	/*
	 * From when a request was taken until it was published. latency[i] counts those that took
	 * less than 2^(i + VQ_LATENCY_SHIFT) ns and no less than half of that, the first one also
	 * all shorter ones, and the last one all longer ones. The clock is read when a burst takes
	 * its first request, and at each publication: a request begins at the last reading.
	 */
	uint64_t latency_ns; /* the sum */
	uint64_t latency[VQ_LATENCIES];
};
#define VQ_LATENCY_SHIFT 9
struct vq_stats {
	uint64_t popped, published, publications, calls, breaks;
	struct vq_type_stats type[VQ_MAX_TYPES];
};
const struct vq_stats *vq_stats(const struct vq *q);

/* Before the first start: the types of requests, at most VQ_MAX_TYPES; NULL: there is one. */
void vq_set_types(struct vq *q, const struct vq_type *types);

/* A request in flight, as another thread than the owner's sees it. */
struct vq_flight {
	uint64_t since; /* when it was taken: monotonic ns */
	unsigned type;
	unsigned id; /* what the driver knows it by */
};
/*
 * Copies the oldest requests in flight, at most max, the oldest one first; returns how many. For
 * the thread that starts and stops the queue, while another one may own it.
 */
unsigned vq_oldest(const struct vq *q, struct vq_flight *to, unsigned max);

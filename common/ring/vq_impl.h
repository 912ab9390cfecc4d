/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the engine (vq.c, vq_burst.c, vq_fetch.c, vq_publish.c, vq_req.c), a vring format
 * (vq_split.c, vq_packed.c) and the in-flight area (vq_inflight*.c). No other file includes this.
 *
 * A request's way:
 *
 *	 free --fetch--> ready --vq_pop()--> flight --vq_push()--> done --vq_publish()--> free
 *	      <-unfetch-       <-vq_unpop()-
 *
 * Fetched requests are copied, checked and borrowed, a batch at a time. A bad one ends its batch
 * early and is looked at again when it is the first of one: only then it breaks the queue, and what
 * came before it has been served by then.
 */
#pragma once

#include <sys/queue.h>

#include "base/log.h"
#include "base/util.h"
#include "memory/shm.h"
#include "ring/vq_engine.h"

/* The most requests fetched, and borrowed in one call, at a time. */
#define VQ_BATCH 32
/*
 * Publishing at burst end only is best when driver and device share a CPU, after each request when
 * they do not; every 8, or about 10 µs of work, comes near the better of the two in both cases.
 * The bytes moved measure the work without a clock: a 128k read from the page cache takes 19 µs.
 */
#define VQ_PUBLISH_REQS 8
#define VQ_PUBLISH_BYTES 65536
/* Where giving memory back takes a call to the hypervisor, batches are larger. */
#define VQ_PUBLISH_MAPPED 16
/*
 * One burst: pops, and, as a driver decides how long a request takes, time. Other queues of the
 * thread, and whatever else it does, get their turn after it.
 */
#define VQ_BURST 256
#define VQ_BURST_US 20000
/*
 * What the requests of all queues of a device may take of our memory before no more are fetched
 * until some are completed: a hostile driver can let every request name the same long indirect
 * table. One request of each queue is fetched whatever the others take, so that none waits for
 * another.
 */
#define VQ_POOL_MAX (32u << 20)
/* With more than this in use, the memory of a completed request is freed, and not kept for more. */
#define VQ_POOL_KEEP (VQ_POOL_MAX / 2)

/* The most iovecs of one request: four for each of the most buffers. */
#define VQ_MAX_IOV (4 * VQ_MAX_SIZE)

/* A descriptor, copied. Packed vrings have no next; it is the id then. */
struct vq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* What the descriptors of a request come to; apart from it while they are walked. */
struct vq_sum {
	uint64_t len, out_len; /* bytes in all, and of those that the device only reads */
	unsigned n, n_out; /* ranges likewise */
	bool writable; /* the last descriptor was */
};

#define VQ_REQ_INLINE 4

/* One request; a device sees its first member. */
struct vq_req {
	struct vq_chain chain;
	struct vq_req *next; /* ready or free */
	TAILQ_ENTRY(vq_req) link; /* flight */
	uint64_t order; /* of the pop */
	uint64_t since; /* when it was popped: vq.now */
	uint16_t id; /* what the driver knows it by; split: head */
	uint16_t head; /* index of the first descriptor */
	uint16_t n_desc; /* descriptors of the vring itself that it takes up */
	uint16_t entry, last; /* of the in-flight area; packed: the list's first and last */
	bool retry; /* it was in flight, or kept, before the queue started */
	bool detached; /* put back after a later one was popped: the vring has moved on */
	bool done; /* pushed */
	bool joined; /* published together with the one that was pushed before it */
	bool failed; /* as type, for statistics */
	uint8_t type;

	struct mem_range table; /* the indirect table; len 0: none */
	uint16_t table_desc; /* the descriptor that names it */
	uint64_t frame_end; /* in order: the last request that it must be published with */

	struct mem_mapping mapping; /* first for the indirect table, then for the data */
	struct vq_sum sum;
	struct mem_range *range;
	unsigned max_range;
	struct mem_range range_inline[VQ_REQ_INLINE];
	struct iovec iov_inline[VQ_REQ_INLINE];
};

TAILQ_HEAD(vq_req_list, vq_req);

struct vq_split {
	struct mem_ring_map desc, avail, used;
	uint16_t mask;
	uint16_t last_avail; /* the next entry of the available ring to fetch */
	uint16_t avail_idx; /* the driver's index as last read: not behind last_avail */
	uint16_t used_idx; /* the next used entry; the vring's own index lags until publication */
	uint16_t decided; /* used_idx when it was last decided whether to call */
	bool decided_valid; /* false: never since the start */
};

/* Positions as in the vring's event areas: an index, and in bit 15 the wrap counter. */
struct vq_packed {
	struct mem_ring_map desc, driver, device;
	uint16_t avail; /* the next descriptor to fetch */
	uint16_t used; /* where the next completed request goes */
	bool unpublished; /* used descriptors are written, and not to be seen before */
	uint16_t first, first_flags; /* those of the first of them are */
	uint16_t decided; /* used when it was last decided whether to call */
	bool decided_valid; /* false: never since the start */
	bool armed; /* the device area names a position that was never taken back */
};

/* A request that was kept, where neither the in-flight area nor the vring tells it any more. */
struct vq_saved {
	uint16_t id, head, n_desc;
	struct vq_sum sum;
	struct mem_range range[];
};

/* A request that the run before, or a previous owner, has left in flight. */
struct vq_retry {
	uint64_t counter; /* tells the order */
	struct vq_saved *saved; /* NULL: the area's */
	uint16_t entry; /* of the area */
};

enum vq_notify { VQ_NOTIFY_UNKNOWN, VQ_NOTIFY_ARMED, VQ_NOTIFY_OFF };

struct vq {
	/* For life. */
	unsigned index;
	char name[16];
	const struct vq_hooks *hooks;
	void *opaque;
	void *data;
	unsigned overhead[VQ_MAX_TYPES]; /* vq_type.overhead */
	struct log_limit log_limit;
	int64_t burst_us; /* VQ_BURST_US, but in tests */
	struct mem_borrower borrower;
	const int *poison; /* of its memory: see guest_mem_poison() */
	struct vq_memory *memory; /* shared with other queues, or own_memory */
	struct vq_memory own_memory;

	/* From start to stop. */
	const struct vq_ops *ops;
	uint32_t size;
	uint64_t features;
	bool event_idx, indirect, in_order;
	unsigned publish_reqs; /* VQ_PUBLISH_REQS, or as the device has it */
	bool started, fresh, broken;
	bool taking; /* started, not broken, not draining: vq_pop() may give something */
	bool drained; /* the last look of vq_pop() found the vring empty */
	bool stalled; /* VQ_POOL_MAX, or GUEST_MEM_MAPPED_MAX, was reached with requests left */
	bool wants_memory; /* the latter: until some is given back */
	bool owes_call; /* a previous owner may have died between publishing and calling */
	bool burst_over; /* vq_pop() was asked for more than a burst may have */
	enum vq_notify notify;
	unsigned budget; /* pops left in this burst */
	size_t unclocked; /* bytes of the requests popped since the clock was looked at */
	int64_t burst_start; /* monotonic µs, at the first look; 0: not yet */
	unsigned in_flight;
	bool clocked; /* now was read in this burst */
	uint64_t now; /* monotonic ns, as last read */
	uint64_t order;
	struct mem_window window; /* where memory was found last, if it needs no borrowing */

	struct dirty_log *log; /* NULL: none */
	bool logs_ring;
	uint64_t log_addr; /* vq_setup */

	/* The in-flight area; without track, there is none. */
	const struct vq_track *track;
	void *area;
	uint64_t counter; /* of the next request taken */

	/*
	 * Run before all others, in this order. NULL with n_retry > 0: these are the next ones of
	 * the vring. From stop to start the list holds what was saved, for a start at stop_base.
	 */
	struct vq_retry *retry;
	unsigned n_retry, next_retry;
	bool left; /* the last stop left requests unanswered */
	uint32_t stop_base;

	struct vq_req *free;
	struct vq_req *ready, **ready_end; /* in the order of the vring */
	struct vq_req_list flight; /* all of them with in_order; else those left for the next run */
	struct vq_req **done; /* room for the size of the vring: the most that can be out */
	unsigned n_done;
	size_t done_bytes;
	unsigned reqs_used; /* not on the free list */
	unsigned desc_used; /* sum of their n_desc: at most size, or the driver cheats */
	size_t pool_bytes; /* of memory->bytes, this queue's */

	/*
	 * For other threads to see: when the request of each id was popped, and in the lowest
	 * bits its type; 0: it is not in flight. As many as a mask of ids needs.
	 */
	uint64_t *since;
	unsigned since_mask;

	char bad[160]; /* why the last fetch failed */
	union {
		struct vq_split split;
		struct vq_packed packed;
	};

	/* Its own cache lines: other threads read them. */
	struct vq_stats stats __attribute__((aligned(CACHE_LINE)));
};

/* A vring format. All but start and read_table are called on started queues only. */
struct vq_ops {
	/*
	 * Checks size, maps the areas, begins at setup->base; sets fresh. Nothing mapped on error.
	 */
	bool (*start)(struct vq *q, const struct vq_setup *setup, GError **error);
	void (*stop)(struct vq *q);
	uint32_t (*base)(const struct vq *q);
	/*
	 * Copies and checks the vring's descriptors of the next request: 1, r is filled; 0, there
	 * is none; -1, it is bad, q->bad says why, and the position is as before. Unless it is to
	 * look, what has become available since it last did may be left for the next time.
	 */
	int (*fetch)(struct vq *q, struct vq_req *r, bool look);
	/* Takes back the fetch of r, the last one fetched. */
	void (*unfetch)(struct vq *q, const struct vq_req *r);
	/*
	 * Copies and checks the entries of r->table, which r->mapping has borrowed: 0, or -1 as
	 * fetch.
	 */
	int (*read_table)(struct vq *q, struct vq_req *r);
	/* Writes the used entries of n requests; the driver does not see them before publish. */
	void (*put_used)(struct vq *q, struct vq_req *const *reqs, unsigned n);
	void (*publish)(struct vq *q);
	/* Does the driver want a call for what was published since this was last asked? */
	bool (*wants_call)(struct vq *q);
	/* Asks for kicks; true if something is available already. */
	bool (*arm)(struct vq *q);
	/* No kicks, please: the device is busy and will look by itself. */
	void (*disarm)(struct vq *q);
	/* May something have become available since fetch returned 0? */
	bool (*peek)(const struct vq *q);
};

extern const struct vq_ops vq_split_ops, vq_packed_ops;

/* A layout of the in-flight area. */
struct vq_track {
	/* The device gets r, or gives it back untouched: the one taken last. */
	void (*take)(struct vq *q, struct vq_req *r);
	void (*untake)(struct vq *q, const struct vq_req *r);
	/* n requests, whose used entries are written: before, and after they are published. */
	void (*give)(struct vq *q, struct vq_req *const *reqs, unsigned n);
	void (*given)(struct vq *q, struct vq_req *const *reqs, unsigned n);
	/* As vq_ops.fetch, by r->entry. */
	int (*fetch_retry)(struct vq *q, struct vq_req *r);
};

extern const struct vq_track vq_track_split, vq_track_packed;

/* vq_inflight.c */

/* Sets q->track, if there is an area large enough. */
void vq_track_start(struct vq *q, const struct vq_setup *setup);
void vq_track_stop(struct vq *q);

/*
 * What the area says of a previous owner: how many requests (packed: descriptors) are in flight,
 * all of them before the next available one; or -1: nothing, and it has been made ready to be used
 * from used_idx on. They become q->retry.
 */
int vq_track_recover_split(struct vq *q, uint16_t used_idx, uint16_t avail_idx);
/* used: receives the used position, unless -1 is returned. */
int vq_track_recover_packed(struct vq *q, uint16_t base_used, uint16_t *used);

/* vq_log.c: what was written, for the dirty log. All but the first are called if q->log is set. */

void vq_log_start(struct vq *q, const struct vq_setup *setup);
/* All of the vring that the device writes: an owner may have died before it marked its writes. */
void vq_log_ring(const struct vq *q);
/* What the device wrote into n requests that are completed; or may have written. */
void vq_log_written(const struct vq *q, struct vq_req *const *reqs, unsigned n);
void vq_log_buffers(const struct vq *q, const struct vq_req *r);
/* The used entries of n requests, and what published them. */
void vq_log_used(const struct vq *q, struct vq_req *const *reqs, unsigned n);
/* The wish for kicks. */
void vq_log_notify(const struct vq *q);

/* vq_retry.c */

/* Drops what was saved, unless the start is where the last run stopped. */
void vq_retry_start(struct vq *q, const struct vq_setup *setup);
/* Empties the flight list; saves what is in it if nothing else does. base: of the stop. */
void vq_retry_stop(struct vq *q, uint32_t base);
void vq_retry_clear(struct vq *q);
/* As vq_ops.fetch: the next one to be run again. */
int vq_retry_fetch(struct vq *q, struct vq_req *r, bool look);
/* Compares counters, for qsort(). */
int vq_retry_by_order(const void *a, const void *b);
/* Leaves a request, which is on no list but the flight list, for the next run. */
void vq_retry_leave(struct vq *q, struct vq_req *r);

/* Counters that other threads read; the owner alone writes. */
#define vq_count(counter, n) __atomic_store_n(&(counter), (counter) + (n), __ATOMIC_RELAXED)

/* vq.c */

/* Nothing more is taken or published. */
void vq_break_now(struct vq *q, const char *reason);
/* Breaks the queue because memory went away under it; returns true. */
bool vq_break_poisoned(struct vq *q);

/* Returns true if the queue is broken because memory went away under it. */
static inline bool vq_break_if_poisoned(struct vq *q)
{
	return G_UNLIKELY(__atomic_load_n(q->poison, __ATOMIC_RELAXED)) && vq_break_poisoned(q);
}

/* vq_fetch.c */

/*
 * Fetches a batch into q->ready: how many; 0: none is available or the pool or what may be borrowed
 * is used up (q->stalled);
 * -1: the next request is bad.
 */
int vq_fetch(struct vq *q);
/* Gives up what is ready: memory back, position back. */
void vq_unfetch_ready(struct vq *q);
/* Gives up the request fetched last, which is on no list. */
void vq_unfetch_one(struct vq *q, struct vq_req *r);
/* Gives back the memory of n requests in one call; mapping.status of each says how it went. */
void vq_give_back(struct vq *q, struct vq_req *const *reqs, unsigned n);

static inline struct vq_req *vq_req_of(struct vq_chain *c)
{
	return container_of(c, struct vq_req, chain);
}

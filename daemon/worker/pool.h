/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool: the worker threads that run the device's queues. This is all of worker/ that the
 * session includes, and worker/ includes nothing of the session: the boundary between the threads
 * is this header. Every function here is for the control thread, never waits for a worker, and
 * reports what happens on workers by callbacks on the main loop.
 *
 * Who owns a queue. One thread at a time touches a queue's struct vq and what the device keeps for
 * it:
 *
 *	state		owner		until
 *	QUEUE_STOPPED	control thread	pool_queue_run()
 *	QUEUE_RUNNING	its worker	pool_queue_drain()
 *	QUEUE_DRAINING	its worker	callbacks.drained(): the requests in flight have ended
 *
 * The state is the control thread's view. While any queue is not stopped, guest memory's table, the
 * negotiated features and the in-flight area do not change. A queue keeps its worker,
 * and so have all queues of its group (device.h), so that no lock is taken on a request's way.
 *
 * What orders the threads. Commands go to a worker, and events come back, as bits of atomic words,
 * each with an eventfd that wakes the other side:
 *
 *	the control thread			the worker
 *	queue.commands |= ...	(release)
 *	worker.commands |= ...	(release)
 *	write(worker.wakeup)			worker.commands = 0	(acquire)
 *						queue.commands = 0	(acquire)
 *						...
 *						queue.events |= ...	(release)
 *	queue.events = 0	(acquire)	write(pool.wakeup)
 *
 * What one side wrote before it set a bit, the other side sees when it has taken the bit. Bits of
 * one word that are taken together are obeyed in the order of their numbers; a worker obeys
 * commands after it has served what had been kicked before they were given.
 *
 * Two things cross without this: the call fd (pool_queue_set_call(); call.c), and statistics
 * (vq_stats, vq_in_flight(), vq_oldest() and numbers of kicks, relaxed loads).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/device.h"
#include "memory/guest_mem.h"
#include "ring/vq_engine.h"

enum queue_state {
	QUEUE_STOPPED,
	QUEUE_RUNNING,
	QUEUE_DRAINING, /* no request is taken any more; those in flight end */
};

struct pool_callbacks {
	/*
	 * The driver broke the rules; the queue goes on RUNNING (or DRAINING), but serves nothing.
	 */
	void (*broke)(void *opaque, unsigned queue);
	/*
	 * A kick came, of the first two since the queue was run: pool_queue_kicks(). It may have
	 * stopped since.
	 */
	void (*kicked)(void *opaque, unsigned queue);
	/* The queue has stopped; base: where to go on (struct vq_setup). */
	void (*drained)(void *opaque, unsigned queue, uint32_t base);
	/* The configuration space has changed: the driver is to read it again. */
	void (*config_changed)(void *opaque);
	/*
	 * The device wants something mapped, or unmapped, on behalf of the queue. pool_shm_done()
	 * follows, and until then the queue does not stop.
	 */
	void (*shm_map)(void *opaque, unsigned queue, struct virtio_shm_map *m);
	/* An event of the device (virtio_event_begin()), as a line of JSON. */
	void (*event)(void *opaque, const char *line, size_t len);
};

struct pool_setup {
	struct virtio_device *device; /* everything here outlives the pool */
	struct guest_mem *mem;
	unsigned workers; /* at least 1; no more are started than the device has groups */
	const unsigned *cpus; /* worker i runs on cpus[i % n_cpus] */
	unsigned n_cpus; /* 0: anywhere */
	unsigned poll_us; /* the longest that a worker polls before it sleeps; 0: never */
	const struct pool_callbacks *callbacks;
	void *opaque; /* for them */
};

struct pool;

/*
 * Makes a pool without threads, before the device is opened: open() may register what it waits for.
 */
struct pool *pool_new(const struct pool_setup *setup, GError **error);
/* Makes the queues that the open device has, all stopped, and starts the threads. */
bool pool_start(struct pool *pool, GError **error);
bool pool_is_started(const struct pool *pool);
/*
 * Ends the threads, before the device is closed; all queues are stopped. Pending verbs are dropped.
 */
void pool_stop(struct pool *pool);
/* After pool_stop() and close(). NULL is nothing. */
void pool_free(struct pool *pool);

/*
 * Maps a stopped queue as vq_start() does. On success pool_queue_run() follows before control
 * returns to the main loop.
 */
bool pool_queue_map(struct pool *pool, unsigned i, const struct vq_setup *setup, GError **error);
/*
 * The mapped queue runs from now on; a first burst follows, kick or no kick. kick stays the
 * caller's, until drained(); -1: the ring is polled.
 */
void pool_queue_run(struct pool *pool, unsigned i, int kick);
/* Begins to stop a queue that runs; drained() follows. Nothing in any other state. */
void pool_queue_drain(struct pool *pool, unsigned i);
/* Returns how many requests the device holds; since when: monotonic µs, valid if there are any. */
unsigned pool_held(const struct pool *pool, int64_t *since);
/* Returns how many kicks have come since the queue was run, up to two. */
unsigned pool_queue_kicks(const struct pool *pool, unsigned i);
/* Returns how many have been noticed in all: those that come together are one. */
uint64_t pool_queue_total_kicks(const struct pool *pool, unsigned i);
enum queue_state pool_queue_state(const struct pool *pool, unsigned i);
/* Returns whether any queue is in this state. */
bool pool_any(const struct pool *pool, enum queue_state state);
/* Returns whether any queue is not stopped. */
bool pool_is_active(const struct pool *pool);

/*
 * In any state: the driver is called by this fd from now on, which is the pool's; -1: it is not
 * called. If it may have missed a call on the fd before, it is called.
 */
void pool_queue_set_call(struct pool *pool, unsigned i, int fd);
/* The queue, for its name, its statistics, and vq_is_fresh() while the control thread owns it. */
const struct vq *pool_queue_vq(const struct pool *pool, unsigned i);

/* Ends what callbacks.shm_map() began, with 0 or -errno. m is the device's again. */
void pool_shm_done(struct virtio_shm_map *m, int result);

/* Whether the device's events are made, and callbacks.event() called; at first they are not. */
void pool_want_events(struct pool *pool, bool wanted);
/* Returns how many were lost since the last call: they came faster than the main loop took them. */
uint64_t pool_lost_events(struct pool *pool);

/* Work on the device as a whole. Zeroed at first but for its first four members. */
struct pool_verb {
	/*
	 * A device verb: no queue verb runs meanwhile. What it completes is published afterwards.
	 */
	void (*run)(struct virtio_device *d, void *opaque);
	/* On the main loop, after run(), if the verb was pending; NULL: nothing. */
	void (*done)(void *opaque);
	void *opaque;
	bool late; /* runs after queues that were run before, not ahead of them */
	bool pending; /* from pool_run() until run() has returned, read-only to others */
	struct pool_verb *next; /* the pool's */
};

/*
 * Runs the verb in the right thread: on worker 0, if one thread owns all queues; else here, at once
 * if no queue is active, or while all workers pause. If it has not run when this returns it is
 * pending. Verbs run in the order given, and before any queue that is run later. Nothing if this
 * one is pending already.
 */
void pool_run(struct pool *pool, struct pool_verb *verb);

/*
 * The configuration space, which callbacks change on any thread: all of a change is read, or none.
 */
void pool_config_read(struct pool *pool, uint32_t offset, void *to, uint32_t size);
void pool_config_write(struct pool *pool, uint32_t offset, const void *from, uint32_t size);

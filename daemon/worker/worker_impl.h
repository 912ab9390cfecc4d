/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: a thread that runs rings. owner.h is how the control thread speaks to it; this is what
 * the two, and the worker's own files, share.
 */
#pragma once

#include <glib.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "daemon/device.h"
#include "daemon/worker/poll_window.h"

struct backend;
struct ring;

/* Struct members that different threads write are so far apart. */
#define CACHE_LINE 64

enum ring_state {
	RING_STOPPED,
	RING_RUNNING,
	RING_DRAINING, /* nothing new is taken; waits for the requests in flight */
};

/* An fd that the worker waits for. */
struct worker_watch {
	struct ring *ring; /* NULL: the worker's own */
	int fd; /* -1: none */
	uint32_t events;
	void (*seen)(struct worker_watch *watch, uint32_t revents);
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents); /* the device's */
	struct worker_watch *next;
};

/* A ring as its worker sees it; the worker's alone, but in a pause. */
struct ring_run {
	enum ring_state state;
	bool ready; /* a burst is due */
	bool call_due; /* the driver is to be called when the pause is over */
	struct ring *group, *group_end; /* the rings that a callback may concern */
	struct worker_watch kick;
};

/* What the control thread wants of a ring; atomic bits, in the order they are obeyed. */
enum ring_order { RING_START = 1 << 0, RING_CALL = 1 << 1, RING_DRAIN = 1 << 2 };
/* What the control thread is to know of a ring; atomic bits, in their order. */
enum ring_news { RING_BROKE = 1 << 0, RING_DRAINED = 1 << 1 };

/* What the control thread wants of a worker; atomic bits. */
enum worker_order {
	WORKER_RINGS = 1 << 0, /* look at the rings' orders */
	WORKER_PAUSE = 1 << 1, /* stand still until worker.go is posted */
	WORKER_QUIT = 1 << 2, /* all rings are stopped */
};

#define WORKER_EVENTS 32

struct worker {
	/* For life. */
	struct backend *backend;
	pthread_t thread;
	int epoll;
	sem_t go;
	struct worker_watch bell; /* an eventfd: there are orders */

	/* Atomic, from here and there. */
	unsigned orders __attribute__((aligned(CACHE_LINE)));

	/* The worker's. */
	bool calling __attribute__((aligned(CACHE_LINE))); /* atomic: in a write() that may block */
	bool quit;
	bool paused;
	bool ready; /* some ring is */
	struct ring **active; /* not stopped */
	unsigned n_active;
	struct poll_window window;
	int64_t idle_since; /* asleep for want of requests since then; 0: not, or for other reasons */
	struct worker_watch *watches; /* the device's, in use or not */
	unsigned n_watches; /* in use */
	struct epoll_event event[WORKER_EVENTS];
	int n_events; /* not looked at yet, from event[0] on */
	struct log_limit log_limit;
};

/* worker.c */

/* The thread. */
void *worker_main(void *worker);
/* Begins to wait for watch->events of watch->fd; false: that is impossible. */
bool worker_watch(struct worker *w, struct worker_watch *watch);
/* Ends it: not even an event that has come already is heeded. Nothing if it is not watched. */
void worker_unwatch(struct worker *w, struct worker_watch *watch);

/* worker_ring.c */

/* Obeys what the control thread wants of the rings. */
void worker_obey_rings(struct worker *w);
/* One burst for every ring that is ready. */
void worker_serve(struct worker *w);
/* What the device did to any ring while the worker paused is published, and so on. */
void worker_pause_begin(struct worker *w);
void worker_pause_end(struct worker *w);
/* ops->poll() for this ring: was there any completion? */
bool worker_poll_device(struct ring *r);
/* virtio_queue_watch(). */
void worker_watch_device(struct ring *r, int fd, uint32_t events,
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents));
/* The engine's hooks. */
void worker_on_call(void *ring);
void worker_on_broken(void *ring, const char *reason);

/* worker_poll.c */

/* Has any ring got something new? It is ready then. */
bool worker_look(struct worker *w);
/* Looks for a while; false: nothing came. */
bool worker_poll(struct worker *w);
/* Asks for kicks, before the worker sleeps; false: something has come just now. */
bool worker_arm(struct worker *w);
/* Something came while the worker slept. */
void worker_woken(struct worker *w);

static inline bool worker_has_orders(const struct worker *w)
{
	return __atomic_load_n(&w->orders, __ATOMIC_RELAXED);
}

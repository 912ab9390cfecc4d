/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of worker/ share: the pool, its threads and their queues. The protocol between the
 * control thread and the workers is pool.h's.
 *
 *	pool.c		the control thread's side: commands, events, verbs
 *	threads.c	the threads' beginning and end; which queue belongs to which
 *	worker.c	a worker's loop
 *	queue.c		a queue on its worker, from start to drained
 *	call.c		how the driver is called: the one fd that changes while a queue runs
 *	poll.c		a worker that has nothing to do
 *	services.c	what device.h declares
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/loop.h"
#include "daemon/worker/poll_window.h"
#include "daemon/worker/pool.h"

/* Struct members that different threads write are so far apart. */
#define CACHE_LINE 64

/* Atomic bits, in the order in which they are obeyed. */
enum queue_command {
	QUEUE_COMMAND_RUN = 1 << 0,
	QUEUE_COMMAND_CALL = 1 << 1, /* call the driver, whether there is a reason or not */
	QUEUE_COMMAND_DRAIN = 1 << 2,
};
enum queue_event { QUEUE_EVENT_BROKE = 1 << 0, QUEUE_EVENT_DRAINED = 1 << 1 };
enum worker_command {
	WORKER_COMMAND_QUEUES = 1 << 0, /* queues have commands */
	WORKER_COMMAND_PAUSE = 1 << 1, /* pause until worker.go is posted */
	WORKER_COMMAND_QUIT = 1 << 2, /* all queues are stopped */
};

/* An fd that a worker waits for. */
struct worker_watch {
	struct queue *queue; /* NULL: the worker's own */
	int fd; /* -1: none */
	uint32_t events;
	void (*seen)(struct worker_watch *watch, uint32_t revents);
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents); /* the device's */
	struct worker_watch *next;
};

struct queue {
	/* For life. */
	struct pool *pool;
	struct worker_thread *worker;
	struct vq *vq;
	struct queue *group, *group_end; /* the queues that a callback may concern */

	/* The control thread's. */
	enum queue_state state;
	int kick; /* from pool_queue_run() to drained, the worker's to read */
	uint64_t published_at_start; /* vq_stats */

	/* Between the threads: all atomic. */
	int call; /* -1: none */
	bool call_may_block; /* it is no eventfd, or one that a front-end has filled */
	unsigned commands; /* enum queue_command */
	unsigned events; /* enum queue_event */

	/* The worker's, except in a pause. */
	struct {
		enum queue_state state;
		bool ready; /* a burst is due */
		bool call_due; /* the driver is to be called when the pause is over */
		struct worker_watch kick;
	} run __attribute__((aligned(CACHE_LINE)));
};

#define WORKER_EVENTS 32

struct worker_thread {
	/* For life. */
	struct pool *pool;
	pthread_t thread;
	int epoll;
	sem_t go;
	struct worker_watch wakeup; /* an eventfd: there are commands */

	/* Between the threads: atomic. */
	unsigned commands __attribute__((aligned(CACHE_LINE))); /* enum worker_command */

	/* The worker's. */
	bool calling __attribute__((aligned(CACHE_LINE))); /* atomic: in a write() that may block */
	bool quit;
	bool paused;
	bool ready; /* some queue is */
	struct queue **active; /* not stopped */
	unsigned n_active;
	struct poll_window window;
	int64_t idle_since; /* asleep since then for want of requests; 0: not */
	struct worker_watch *watches; /* the device's, in use or not */
	unsigned n_watches; /* in use */
	struct epoll_event event[WORKER_EVENTS];
	int n_events; /* not looked at yet, from event[0] on */
	struct log_limit log_limit;
};

struct pool {
	/* For life; queues and workers from pool_start() on. */
	struct pool_setup setup;
	struct virtio_device *device;
	const struct virtio_device_ops *ops;
	struct guest_mem *mem;
	struct queue *queues;
	unsigned n_queues;
	struct worker_thread *workers;
	unsigned n_workers;

	/* The control thread's. */
	unsigned n_active; /* queues that are not stopped */
	struct pool_verb *verbs; /* pending, in their order; the workers pause for them */
	struct loop_watch *wakeup_watch;
	struct loop_watch *interrupt; /* a timer; NULL: no worker is waited for */

	/* Between the threads. */
	int wakeup; /* an eventfd: a queue has events, or a worker pauses */
	unsigned paused; /* atomic: workers that pause */
};

/* pool.c */

/* Makes events of a queue known to the control thread; any worker. */
void pool_report(struct queue *q, enum queue_event event);
/* Gives a command to a worker. */
void worker_command(struct worker_thread *w, enum worker_command command);
void queue_command(struct queue *q, enum queue_command command);

/* threads.c */

bool threads_start(struct pool *pool, GError **error);
void threads_end(struct pool *pool);
/* Interrupts workers that sit in a write() to a call fd. */
void threads_interrupt(struct pool *pool);

/* worker.c */

/* The thread. */
void *worker_main(void *worker);
/* Begins to wait for watch->events of watch->fd; false: that is impossible. */
bool worker_watch(struct worker_thread *w, struct worker_watch *watch);
/* Ends it, events that have come already included. Nothing if it is not watched. */
void worker_unwatch(struct worker_thread *w, struct worker_watch *watch);

/* queue.c */

/* Obeys the commands of the worker's queues. */
void worker_obey_queues(struct worker_thread *w);
/* One burst for every queue that is ready. */
void worker_serve(struct worker_thread *w);
/* What the device does to any queue while the worker pauses is published, and so on. */
void worker_pause_begin(struct worker_thread *w);
void worker_pause_end(struct worker_thread *w);
/* ops->poll() for this queue: was there any completion? */
bool queue_poll_device(struct queue *q);
/* virtio_queue_watch(). */
void queue_watch_device(struct queue *q, int fd, uint32_t events,
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents));
/* The engine's hook. */
void queue_on_broken(void *queue, const char *reason);

/* call.c: the engine's hook. */
void queue_on_call(void *queue);

/* poll.c */

/* Looks at all queues: those that have something new are ready then. */
bool worker_look(struct worker_thread *w);
/* Looks for a while; false: nothing came. */
bool worker_poll(struct worker_thread *w);
/* Asks for kicks, before the worker sleeps; false: something has come just now. */
bool worker_arm(struct worker_thread *w);
/* Something came while the worker slept. */
void worker_woken(struct worker_thread *w);

static inline bool worker_has_commands(const struct worker_thread *w)
{
	return __atomic_load_n(&w->commands, __ATOMIC_RELAXED);
}

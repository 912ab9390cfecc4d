/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of worker/ share: the pool, its threads and their queues. The protocol between the
 * control thread and the workers is pool.h's.
 *
 *	pool.c		the control thread's side: queues' commands and events
 *	verbs.c		work on the device as a whole, in the right thread
 *	threads.c	the threads' beginning and end; which queue belongs to which
 *	worker.c	a worker's loop
 *	queue.c		a queue on its worker, from start to drained
 *	call.c		how the driver is called: the one fd that changes while a queue runs
 *	poll.c		a worker that has nothing to do
 *	sources.c	what a thread waits for: the set of its watches, timers and wake-ups
 *	watch.c timer.c wakeup.c shm.c pages.c services.c	what device.h declares
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/loop.h"
#include "daemon/worker/pace.h"
#include "daemon/worker/poll_window.h"
#include "daemon/worker/pool.h"

/* Atomic bits, in the order in which they are obeyed. */
enum queue_command {
	QUEUE_COMMAND_RUN = 1 << 0,
	QUEUE_COMMAND_CALL = 1 << 1, /* call the driver, whether there is a reason or not */
	QUEUE_COMMAND_DRAIN = 1 << 2,
};
#define MAX_KICKS 2
enum queue_event {
	QUEUE_EVENT_BROKE = 1 << 0,
	QUEUE_EVENT_KICKED = 1 << 1, /* queue.kicks */
	QUEUE_EVENT_DRAINED = 1 << 2,
};
enum worker_command {
	WORKER_COMMAND_VERBS = 1 << 0, /* run pool.posted, and pool.posted_late after QUEUES */
	WORKER_COMMAND_QUEUES = 1 << 1, /* queues have commands */
	WORKER_COMMAND_WAKEUPS = 1 << 2, /* run sources.signalled */
	WORKER_COMMAND_PAUSE = 1 << 3, /* pause until worker.go is posted */
	WORKER_COMMAND_QUIT = 1 << 4, /* all queues are stopped */
};

#define SOURCES_EVENTS 32

/*
 * What a thread waits for. Each worker has a set. So has the device as a whole: that of its one
 * worker, if threads is ONE; else one that the control thread watches, and delivers while the
 * workers pause.
 */
struct sources {
	struct pool *pool;
	int epoll; /* -1: none */
	struct virtio_watch wakeup; /* an eventfd: there are commands, or wake-ups */

	/* The thread's. */
	struct virtio_watch *watches; /* all, the core's own included */
	struct virtio_watch **by_fd; /* the one whose core.fd that is, or NULL */
	unsigned n_fds; /* of by_fd */
	unsigned n_watches; /* of the device */
	bool stale; /* the epoll set may have fds that can't be removed one by one */
	struct epoll_event event[SOURCES_EVENTS];
	int n_events; /* not delivered yet, from event[0] on */
	struct virtio_timer *timers; /* a pairing heap: its root expires first */
	struct virtio_wakeup *deferred; /* signalled while their queue is stopped */
	struct log_limit log_limit;

	/* Between the threads: atomic. */
	struct virtio_wakeup *signalled
		__attribute__((aligned(CACHE_LINE))); /* the last one first */
	unsigned commands; /* enum worker_command */
};

struct queue {
	/* Constant. */
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
	unsigned kicks; /* since the queue was run, up to MAX_KICKS */

	/* The worker's, except in a pause. */
	struct {
		enum queue_state state;
		bool ready; /* a burst is due */
		bool call_due; /* call the driver after the pause */
		uint64_t kicks; /* that came, until now; other threads load it */
		unsigned n_shm; /* virtio_shm_map's that are not done: the queue does not stop */
		struct virtio_watch kick;
	} run __attribute__((aligned(CACHE_LINE)));
};

struct worker_thread {
	struct sources sources;

	/* Constant. */
	struct pool *pool;
	pthread_t thread;
	sem_t go;

	/* The worker's. */
	bool calling __attribute__((aligned(CACHE_LINE))); /* atomic: in a write() that may block */
	bool quit;
	bool paused;
	bool ready; /* some queue is */
	struct queue **active; /* not stopped */
	unsigned n_active;
	struct poll_window window;
	struct pace pace;
	uint64_t idle_since; /* asleep since then for want of requests; 0: not */
};

struct pool {
	/* Constant; queues from pool_start() on. */
	struct pool_setup setup;
	struct virtio_device *device;
	const struct virtio_device_ops *ops;
	struct guest_mem *mem;
	struct queue *queues;
	unsigned n_queues;
	struct worker_thread *workers;
	unsigned max_workers, n_workers; /* that there are, that run */
	struct sources *device_sources; /* those of worker 0, or own_sources */
	struct sources own_sources;

	/* The control thread's. */
	unsigned n_active; /* queues that are not stopped */
	bool trim_due; /* when all are stopped: there was much memory in use */
	unsigned n_verbs; /* pending */
	struct pool_verb *verbs; /* the workers pause for them; in their order */
	struct pool_verb device_events; /* own_sources has something */
	struct loop_watch *device_watch; /* NULL while device_events is pending */
	struct loop_watch *device_timer;
	struct loop_watch *wakeup_watch;
	struct loop_watch *interrupt; /* a timer; NULL: no worker is waited for */

	/* Between the threads. */
	int wakeup; /* an eventfd: there are events */
	unsigned paused; /* atomic: workers that pause */
	/* Atomic: for worker 0, and by it; the last one first. */
	struct pool_verb *posted, *posted_late, *finished;
	bool config_changed; /* atomic */
	struct pool_event *events; /* atomic: for the control thread; the last one first */
	unsigned n_events; /* atomic: of these, about */
	bool events_wanted; /* atomic */
	uint64_t events_lost; /* atomic */
	unsigned held; /* atomic: requests, by virtio_count_held() */
	int64_t held_since; /* atomic: when it became more than 0 */
	struct virtio_shm_map *shm_maps; /* atomic: for the control thread; the last one first */
	pthread_mutex_t config_lock; /* for bytes of device->config */
	/* Written by workers only when requests become larger. */
	struct vq_memory memory __attribute__((aligned(CACHE_LINE)));
};

/* pool.c */

/* Makes an event of a queue known to the control thread; on its worker. */
void pool_report(struct queue *q, enum queue_event event);
/* Wakes the control thread; any thread. */
void pool_wake(struct pool *pool);
/* Gives a command to a worker, about one of its queues. */
void worker_command(struct worker_thread *w, enum worker_command command);
void queue_command(struct queue *q, enum queue_command command);
/* Interrupts workers now and then while they are waited for. */
void pool_update_interrupt(struct pool *pool);

/* verbs.c */

/* Begins, and ends, to deliver what the device as a whole waits for, if the control thread does. */
void verbs_open(struct pool *pool);
void verbs_close(struct pool *pool);
/* The control thread: all workers pause, or worker 0 has finished verbs. */
void verbs_continue(struct pool *pool);
/* Worker 0: runs a list of those that were posted. */
void verbs_run_posted(struct pool *pool, struct pool_verb **list);
/* The control thread: a timer of own_sources has changed. */
void verbs_update_timer(struct pool *pool);

/* threads.c */

/* Makes room for as many workers as the device may need. */
void threads_init(struct pool *pool);
bool threads_start(struct pool *pool, GError **error);
void threads_end(struct pool *pool);
void threads_free(struct pool *pool);
/* Interrupts workers that sit in a write() to a call fd. */
void threads_interrupt(struct pool *pool);

/* worker.c: the thread. */
void *worker_main(void *worker);

/* queue.c */

static inline struct queue *queue_of(const struct vq *q)
{
	return vq_opaque(q);
}

/*
 * The two ends of whatever makes the device do something on behalf of a queue: in between it may
 * pop from and push to all queues of the group, and in the end that is published.
 */
void group_begin(const struct queue *of);
void group_end(const struct queue *of);
/* Returns the queue, or, while it is stopped, another one of its group; NULL: all are. */
struct queue *group_active(struct queue *of);
/* Obeys the commands of the worker's queues. */
void worker_obey_queues(struct worker_thread *w);
/* One burst for every queue that is ready. */
void worker_serve(struct worker_thread *w);
/* What the device does to any queue while the worker pauses is published, and so on. */
void worker_pause_begin(struct worker_thread *w);
void worker_pause_end(struct worker_thread *w);
/* ops->poll() for this queue: was there any completion? */
bool queue_poll_device(struct queue *q);
/* The engine's hook. */
void queue_on_broken(void *queue, const char *reason);

/* call.c: the engine's hook. */
void queue_on_call(void *queue);

/* sources.c */

bool sources_open(struct sources *s, struct pool *pool);
void sources_close(struct sources *s);
/* The set of a queue's thread; q NULL: of the device as a whole. */
struct sources *sources_of(struct virtio_device *d, struct vq *q);
/*
 * The two ends of a callback for *q, or for the device as a whole. *q becomes the queue that the
 * callback gets; false: its group is stopped, and there is no callback.
 */
bool sources_begin(struct sources *s, struct vq **q);
void sources_end(struct sources *s, struct vq *q);
/* Removes what was registered for queues of a group, all of which are stopped. */
void sources_drop(struct sources *s, const struct queue *of);
/* Sees what is there, for at most timeout milliseconds (-1: any); returns whether there is any. */
bool sources_wait(struct sources *s, int timeout);
/* Calls back for all that was seen, and for timers that have expired. */
void sources_deliver(struct sources *s);

/* watch.c */

/* Begins to watch w->fd; false, and errno, if that is impossible. */
bool watch_add(struct sources *s, struct virtio_watch *w, uint32_t events);
/* Nothing if it is not watched. */
void watch_remove(struct virtio_watch *w);
/* Watches the fds of a new epoll set in the place of one that has become stale. */
void watch_renew(struct sources *s);
void watch_deliver(struct sources *s, struct virtio_watch *w, uint32_t revents);
void watch_drop(struct sources *s, const struct queue *of);
/* The queue has started: its watches are as the device set them. */
void watch_restore(struct sources *s, struct vq *q);

/* timer.c */

/* Returns in how many milliseconds the first timer expires, at most `timeout` (-1: any). */
int timer_bound(const struct sources *s, int timeout);
void timer_deliver(struct sources *s);
void timer_drop(struct sources *s, const struct queue *of);

/* wakeup.c */

void wakeup_deliver(struct sources *s);
/* The queue has started: delivers what was signalled before. */
void wakeup_resume(struct sources *s, struct vq *q);

/* shm.c: the control thread takes pool.shm_maps. */
void shm_take(struct pool *pool);

/* events.c: the control thread takes pool.events, or drops them at the end. */
void events_take(struct pool *pool);
void events_drop(struct pool *pool);

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
	return __atomic_load_n(&w->sources.commands, __ATOMIC_RELAXED);
}

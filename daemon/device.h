/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of a device: one folder in daemon/devices/ whose sources end in one const table
 * named virtio_device_ops; the build links it with the core into virtiod-<name>. Properties are
 * data, verbs are functions. The core owns the wire, the vrings, memory, the configuration space's
 * bounds, features and reconnects; a device owns one thing of the host and its request format.
 *
 * A device includes this header, ring/vq.h, base/ and host libraries, and nothing else of virtiod.
 *
 * Threads. The core decides, within ops->threads, which thread owns a queue. Queue verbs run on the
 * owner, which is the same thread each time the queue runs. Device verbs run while no queue verb
 * runs; with VIRTIO_DEVICE_ONE all verbs but open() and close() run on the one owner. Device code
 * never needs to know which thread it is on.
 *
 * Groups. The queues of one thread are a group. A callback on behalf of one of them may pop from
 * and push to all of them; the core publishes all of them when the callback returns.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/iov.h"
#include "base/json.h"
#include "base/option.h"
#include "base/log.h"
#include "base/syscall_rule.h"
#include "base/util.h"
#include "control/param.h"
#include "ring/vq.h"
#include "virtio/probe.h"

/* Which queues may be served at the same time by different threads. */
enum virtio_device_threads {
	VIRTIO_DEVICE_ONE, /* none: one thread owns all */
	VIRTIO_DEVICE_PER_PAIR, /* queues 2n and 2n+1 go together */
	VIRTIO_DEVICE_PER_QUEUE, /* all of them */
};

/* A stretch of the configuration space that the driver may write. */
struct virtio_config_range {
	uint16_t offset, size;
};

/* A shared memory region that the device offers to the driver (virtio 1.2 §2.10). */
struct virtio_shm_region {
	uint8_t id;
	uint64_t size; /* bytes: whole pages, at most 1 TiB; 0 ends the list */
};

struct virtio_device;

/*
 * Device-specific vhost-user messages. These are device verbs. A verb that is present offers the
 * protocol feature that its message needs; sessions and the state need both of their verbs. A verb
 * that returns false refuses the message, with an error: the front-end gets it as acknowledgement,
 * or, where the message has a reply of its own, is disconnected.
 */
struct virtio_device_wire {
	/* SEND_RARP: announces the MAC address of a guest that has moved to this host. */
	bool (*announce)(struct virtio_device *d, const uint8_t mac[6], GError **error);
	/* NET_SET_MTU: at most 65535. */
	bool (*mtu)(struct virtio_device *d, unsigned mtu, GError **error);
	/* GPU_SET_SOCKET (vhost-user-gpu.rst): the device owns fd from now on, also on error. */
	bool (*display)(struct virtio_device *d, int fd, GError **error);
	/*
	 * CREATE_CRYPTO_SESSION, answered in place: a session that cannot be opened is reported
	 * there. The layout of the payload is the front-end's; size is at least 16.
	 */
	bool (*session_open)(struct virtio_device *d, void *payload, size_t size, GError **error);
	/* CLOSE_CRYPTO_SESSION. */
	void (*session_close)(struct virtio_device *d, uint64_t id);
	/* GET_SHARED_OBJECT: returns an fd that the caller owns, or -1: there is no such object. */
	int (*object)(struct virtio_device *d, const uint8_t uuid[16]);
	/*
	 * SET_DEVICE_STATE_FD, while all queues are stopped: appends all state that the driver
	 * relies on, with a version number of the device's own; at most 64 MiB. An error is the
	 * answer to CHECK_DEVICE_STATE.
	 */
	bool (*save)(struct virtio_device *d, GByteArray *to, GError **error);
	/*
	 * Likewise: replaces the state by what save() wrote, perhaps in another version. It is
	 * complete and of this type of device, and hostile all the same.
	 */
	bool (*load)(struct virtio_device *d, const void *from, size_t size, GError **error);
	/*
	 * The front-end has disconnected (not merely paused), and all queues are stopped: peers on
	 * the host may be told. Not for a connection on which nothing came.
	 */
	void (*left)(struct virtio_device *d);
};

/*
 * A method that the control socket has for this device, besides those of every daemon:
 * "virtioctl call SOCKET set line=3 value=1". A device verb.
 */
struct virtio_method {
	const char *name; /* lower case; NULL ends the table */
	const char *summary; /* one line, for the method "help" */
	struct virtio_param params[VIRTIO_MAX_PARAMS + 1];
	/*
	 * args[i] is what was given for params[i], checked. result is an open object that the
	 * device adds members to, at most 1 MiB. False, with an error: the caller gets its message.
	 */
	bool (*call)(struct virtio_device *d, const struct virtio_arg *args, struct json *result,
		GError **error);
};

/*
 * What a device goes on needing of the host once it is open: all else is out of reach then
 * (--sandbox). Without such a table: only open files, sockets and memory, by read, write, sendmsg,
 * recvmsg and the like.
 */
struct virtio_device_needs {
	const struct syscall_rule *calls; /* besides those of the core; NULL: none */
	unsigned files; /* that it opens or receives later, at a time */
	/*
	 * Unix sockets that sock_connect_now() is to reach later: paths; and for sock_maker_ask()
	 * (base/sock_maker.h) paths but for a decimal number at the end. Lists that end in NULL and
	 * that open() may fill; NULL: none.
	 */
	const char *const *sockets, *const *socket_stems;
	bool network; /* the host's network: for sockets that it makes later */
	bool code; /* memory that is executable: for libraries that compile */
};

struct virtio_device {
	const struct virtio_device_ops *ops;
	/* open() may clear bits here (or set those that an option asks for), and set num_queues. */
	uint64_t features;
	unsigned num_queues; /* probe.min_queues to probe.max_queues */
	/* Little-endian, as the driver reads it; config_size bytes of it are shown. */
	uint8_t config[VIRTIO_MAX_CONFIG] __attribute__((aligned(8)));
	uint32_t config_size;
	uint64_t driver_features; /* negotiated; valid while a queue runs */
	unsigned workers; /* the most threads that serve queues */
	void *data; /* the device's own */
	struct pool *pool; /* the core's */
};

struct virtio_device_ops {
	/* Properties. */
	const char *name; /* "rng": the program is virtiod-rng */
	const char *type; /* the name in QEMU's vhost-user.json; NULL: not in its list */
	const char *summary; /* one line for --help */
	/* features: the device's own bits; those of ring and transport are the core's. */
	struct virtio_probe probe;
	enum virtio_device_threads threads;
	const struct virtio_config_range *config_writable; /* ends with size 0; NULL: read-only */
	/* The first common_queues queues (control, events) share the thread of queue 0. */
	unsigned common_queues;
	/*
	 * Requests wait for events of the host, and not for each other (an interrupt line each).
	 * False: without an in-flight area a split vring publishes them in the order they came, so
	 * that what was in flight when a back-end died can be derived from its used index.
	 */
	bool any_order;
	/*
	 * So many requests are made visible to the driver together, while there are more: for those
	 * that take less than a microsecond each, and whose completion nobody waits for: where they
	 * come densely the thread naps instead of polling (worker/pace.h). At most 32; 0: 8.
	 */
	unsigned batch;
	/*
	 * Packed virtqueues are offered only if asked for (--packed=on). For drivers that add and
	 * take requests without a lock, as those of Linux for SPI, I2C and GPIO do: Linux makes a
	 * packed descriptor available before it stores whose it is, so an answer that comes in
	 * between breaks the driver's queue ("id 0 is not a head"). A split one has no such gap.
	 */
	bool prefers_split;
	unsigned stack; /* bytes of stack that a verb may need (a shader compiler); 0: 256 KiB */
	const struct virtio_shm_region *shm; /* shared memory regions; NULL: none */
	const struct virtio_device_wire *wire; /* device-specific messages; NULL: none */
	const struct option_entry *options; /* a table (base/option.h); NULL: none */
	const struct virtio_method *methods; /* of the control socket; NULL: only the core's */
	/*
	 * Names for the statistics (ring/vq.h: vq_set_type()), at most 8, the first one for
	 * requests of which the device says nothing; ends with a NULL; NULL: one type.
	 */
	const struct vq_type *request_types;
	const struct virtio_device_needs *needs; /* once it is open; NULL: nothing */
	const char *const *capabilities; /* for --print-capabilities; NULL-terminated; NULL: none */

	/* Verbs. Only kick is mandatory. */

	/* Opens the host side, fills config, features, num_queues. Before the socket listens. */
	bool (*open)(struct virtio_device *d, GError **error);
	/* After open() succeeded or failed; no queue runs. */
	void (*close)(struct virtio_device *d);
	/*
	 * The device model goes back to its initial state (RESET_DEVICE, or a driver that starts
	 * afresh).
	 */
	void (*reset)(struct virtio_device *d);
	/* The driver wrote these bytes, inside one config_writable range; they are in d->config. */
	void (*config_written)(struct virtio_device *d, uint32_t offset, uint32_t size);
	/* SIGHUP: look at the host side again. */
	void (*reload)(struct virtio_device *d);

	/*
	 * What only one process can have, such as the lock of a disk image, on the way of a guest
	 * to another host. Both run on the control thread while all queues are stopped, whatever
	 * thread other verbs run on, and touch nothing that those do.
	 */
	/* Takes it, before the first queue runs after open() or release(). False: no queue runs. */
	bool (*claim)(struct virtio_device *d, GError **error);
	/* Gives it up: the last queue has stopped while the guest's memory is being copied. */
	void (*release)(struct virtio_device *d);

	/* The queue runs from now on. */
	void (*queue_start)(struct virtio_device *d, struct vq *q);
	/*
	 * The queue stops: completes the requests in flight (vq_push()) as soon as possible. The
	 * core waits for them without blocking.
	 */
	void (*queue_stop)(struct virtio_device *d, struct vq *q);
	/* Requests may be there: vq_pop() until NULL, or until the host side is full. */
	void (*kick)(struct virtio_device *d, struct vq *q);
	/* While the owner polls: reap the host side's completions; true if there was any. */
	bool (*poll)(struct virtio_device *d, struct vq *q);
	/* Are requests in the kernel's hands, so that polling would only take its CPU? */
	bool (*busy)(struct virtio_device *d, struct vq *q);
};

/* The one table of the program's device. */
extern const struct virtio_device_ops virtio_device_ops;

/* Services. */

/* Queue i while it runs, else NULL; for what the host side starts (input, network reception). */
struct vq *virtio_device_queue(struct virtio_device *d, unsigned i);
/*
 * In the services below, q selects the thread: that of the queue and its group; or NULL, the device
 * as a whole: the callback is then a device verb and may come at any time from open() to close(),
 * with or without a front-end. Call them from a verb of that thread. What is registered for a queue
 * is removed when the last queue of its group stops, and is ignored while all are stopped; if only
 * its own is stopped, the callback gets another queue of the group. Sources are members of the
 * device's own structs (container_of()), zeroed at first. No call allocates memory, or makes a
 * system call unless noted.
 */

/*
 * Watches an fd. One watch serves both directions and every queue of its group. Once it is removed
 * ready() is not called any more, not even for what has been seen already, and the struct may be
 * freed.
 *
 * The fd may be closed before its watch is removed: another watch of a new fd with the same number
 * gets that one's events. For the new fd to have the same struct, remove the watch in between.
 *
 * While its queue is broken, with no request in flight, or stopped, it is an edge-triggered one:
 * there is nothing that ready() could do about an fd that stays ready.
 */
struct virtio_watch {
	int fd;
	void (*ready)(
		struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents);
	struct virtio_watch_core {
		void *owner; /* NULL: not registered */
		struct virtio_watch *next, *prev;
		struct vq *q;
		uint32_t events;
		int fd; /* as registered; -1: it was closed, and another watch has its number */
		bool internal; /* the core's own */
		bool edge; /* edge-triggered for now */
	} core;
};
/*
 * Sets the EPOLL* events that w->fd is watched for; 0 removes the watch. One system call if they
 * change. With EPOLLET it is set once, and kick() tries the fd again.
 */
void virtio_watch(struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t events);

struct virtio_timer {
	void (*expired)(struct virtio_device *d, struct vq *q, struct virtio_timer *t);
	struct virtio_timer_core {
		void *owner; /* NULL: not armed */
		struct vq *q;
		int64_t at;
		/*
		 * The owner's heap: the first child, the next sibling, and the one that links here.
		 */
		struct virtio_timer *child, *next, **link;
	} core;
};
/* Arms the timer for a time (monotonic µs), once, in the place of an earlier one; -1 disarms it. */
void virtio_timer(struct virtio_device *d, struct vq *q, struct virtio_timer *t, int64_t at);

/*
 * Wakes a thread from any other thread (a library's, another queue's). Any number of signals cause
 * one call of run(), soon; a signal while the queue is stopped is delivered after the start. A
 * wake-up that has been initialised lives until close(); to do it again, in each queue_start() for
 * example, does nothing.
 */
struct virtio_wakeup {
	void (*run)(struct virtio_device *d, struct vq *q, struct virtio_wakeup *w);
	struct virtio_wakeup_core {
		void *owner;
		struct vq *q;
		struct virtio_wakeup *next;
		unsigned pending;
	} core;
};
void virtio_wakeup_init(struct virtio_device *d, struct vq *q, struct virtio_wakeup *w);
/* From any thread, from virtio_wakeup_init() to close(). At most one system call. */
void virtio_wakeup_signal(struct virtio_wakeup *w);

/*
 * Changes bytes of the configuration space and notifies the driver, which sees all of the change or
 * none of it (ConfigGeneration). From any callback; one system call.
 */
void virtio_config_set(struct virtio_device *d, uint32_t offset, const void *from, uint32_t size);

/*
 * Counts n more requests, or -n fewer, that wait for the host to be able to carry them out, for who
 * operates it (stats: "held"). Returns how many there were before. From any callback.
 */
unsigned virtio_count_held(struct virtio_device *d, int n);

/*
 * An event for the clients of the control socket that asked for them (method "watch"), such as
 * {"method":"edge","params":{"line":3,"value":1}}: params is the open object that the first of the
 * two returns, for the device to add members to; NULL: no client has asked. From any callback.
 * Events that no client reads are dropped. Allocates memory.
 */
struct json *virtio_event_begin(struct virtio_device *d, const char *name);
/* At most one system call. */
void virtio_event_end(struct virtio_device *d, struct json *event);

/*
 * Guest memory that a request's payload names (the backing of a GPU resource, a balloon's pages),
 * for reading and writing. A hold belongs to the thread of the queue that it was made for, and
 * lasts until it is released, also while the queue is stopped. When guest memory changes, between
 * two verbs, its ranges are looked up again: one that no longer exists reads as zeroes and discards
 * writes. The number of holds is for the device to limit.
 */
struct virtio_pages;
struct virtio_pages_range {
	uint64_t addr, len; /* guest address and bytes, in host byte order; 0 bytes: skipped */
};
/*
 * Holds n ranges, which may overlap. Returns 0, or -errno and *pages is NULL: -EFAULT (a range is
 * not all in guest memory), -E2BIG (more than 16384 ranges, or than 4 GiB), -EOPNOTSUPP (memory
 * that cannot be held), -ENOMEM. Allocates memory.
 */
int virtio_pages_hold(
	struct vq *q, const struct virtio_pages_range *r, unsigned n, struct virtio_pages **pages);
/* Returns where the ranges are, in their order. Valid until the callback returns. */
const struct iovec *virtio_pages_iov(struct virtio_pages *p, unsigned *n);
/*
 * Where len bytes from an offset into all ranges on were written: the guest may be on its way to
 * another host. After the write, in the same callback.
 */
void virtio_pages_written(struct virtio_pages *p, uint64_t offset, uint64_t len);
/* NULL is allowed. */
void virtio_pages_release(struct virtio_pages *p);
/*
 * Returns the whole pages in the ranges to the host; their contents are lost. Never fails: where
 * that is impossible nothing happens. A system call or two each.
 */
void virtio_pages_discard(struct vq *q, const struct virtio_pages_range *r, unsigned n);

/*
 * Maps len bytes of fd, from fd_offset on, at offset `at` of a shared memory region; fd -1 unmaps
 * what was mapped there, by the same `at` and len. The struct is the core's, and fd stays open,
 * until done() runs, on q's owner, with the result:
 *	0		done
 *	-EINVAL		not whole pages inside the region, on top of another mapping, or nothing to
 *			unmap
 *	-EOPNOTSUPP	the front-end has no shared memory
 *	-ECANCELED	the queue stopped before the answer; nothing is mapped then
 *	-ECONNRESET	the front-end closed its channel before the answer
 *	-EBUSY		too many requests await an answer
 *	another -errno	of the front-end
 * Requests are carried out in their order, and may be made before earlier ones are done. A reset
 * unmaps everything. q runs; if it does not, done() runs at once, with -ECANCELED.
 */
struct virtio_shm_map {
	uint8_t id;
	bool writable;
	int fd; /* stays the device's */
	uint64_t at, len, fd_offset;
	void (*done)(struct virtio_device *d, struct vq *q, struct virtio_shm_map *m, int result);
	struct virtio_shm_map_core {
		struct virtio_wakeup wakeup; /* of the owner, when it is done */
		struct virtio_shm_map *next;
		int result;
	} core;
};
void virtio_shm_map(struct vq *q, struct virtio_shm_map *m);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * THE contract of a device: one file in daemon/devices/ that ends in one const table named
 * virtio_device_ops; the build links it with the core into virtiod-<name>. Facts are data, verbs
 * are functions. The core owns the wire, the rings, memory, the configuration space's bounds,
 * features and reconnects; a device owns one thing of the host and its request format.
 *
 * A device includes this header, base/ and host libraries: nothing else of ours.
 *
 * Threads. The core decides, within ops->threads, which thread owns a queue. Per-queue verbs run
 * on the owner, which is the same thread each time the queue runs; device verbs on the control
 * thread while no queue verb runs. Device code never needs to know.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/iov.h"
#include "base/log.h"
#include "base/util.h"
#include "virtio/probe.h"
#include "ring/vq.h"

/* Which queues may be served at the same time by different threads. */
enum virtio_device_threads {
	VIRTIO_DEVICE_ONE, /* none: one thread owns all */
	VIRTIO_DEVICE_PER_PAIR, /* queues 2n and 2n+1 go together */
	VIRTIO_DEVICE_PER_QUEUE, /* all of them */
};

/* What open() leaves to be done later, so that a sandbox may allow it. */
enum virtio_device_needs {
	VIRTIO_DEVICE_NEEDS_NOTHING = 0,
	VIRTIO_DEVICE_NEEDS_UNIX_CONNECT = 1 << 0, /* connect() to Unix sockets while serving */
};

/* A stretch of the configuration space that the driver may write. */
struct virtio_config_range {
	uint16_t offset, size;
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
};

struct virtio_device_ops {
	/* Facts. */
	const char *name; /* "rng": the program is virtiod-rng */
	const char *type; /* the name in QEMU's vhost-user.json; NULL: not in its list */
	const char *summary; /* one line for --help */
	/* features: the device's own bits; those of ring and transport are the core's. */
	struct virtio_probe probe;
	enum virtio_device_threads threads;
	const struct virtio_config_range *config_writable; /* ends with size 0; NULL: read-only */
	bool rerun; /* may a request that a crash left in flight be run again? */
	unsigned needs; /* enum virtio_device_needs */
	const GOptionEntry *options; /* NULL: none */
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

	/* The queue runs from now on. */
	void (*queue_start)(struct virtio_device *d, struct vq *q);
	/*
	 * Hurry: requests in flight are to be completed (vq_push()), by and by. The core waits
	 * without blocking, removes the queue's watches then, and goes on.
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
 * On the queue's owner, calls cb whenever fd has one of events (EPOLLIN …); events 0 ends it. An
 * fd is watched for one queue at a time, the one named last. Everything that cb completes is
 * published when it returns. Ends by itself when the queue has stopped. The fd stays the device's.
 */
void virtio_queue_watch(struct vq *q, int fd, uint32_t events,
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents));
/* d->config has changed: tells the driver. From the control thread. */
void virtio_device_config_changed(struct virtio_device *d);

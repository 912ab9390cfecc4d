/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back-end: one device, its vrings and its configuration space, and at most one front-end that
 * is connected to it. Lives as long as the process; front-ends come and go. Control thread only.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "daemon/device.h"

typedef struct backend backend; /* for g_autoptr */

struct backend_options {
	bool probe; /* offer PROBE */
	bool xen; /* offer XEN_MMAP */
	bool split_only; /* do not offer packed vrings */
	unsigned workers; /* threads that run queues: at least 1 */
	const unsigned *cpus; /* worker i runs on cpus[i % n_cpus]; outlives the back-end */
	unsigned n_cpus; /* 0: anywhere */
	unsigned poll_us; /* the longest that workers poll before they sleep; 0: never */
	unsigned quiet_ms; /* a vring kicked in vain for longer is named in the log; 0: 5000 */
};

/* Opens the device. */
struct backend *backend_new(
	const struct virtio_device_ops *ops, const struct backend_options *options, GError **error);
const struct virtio_device_ops *backend_ops(const struct backend *b);
/* Starts its threads: before it serves, and after privileges were dropped. */
bool backend_start_workers(struct backend *b, GError **error);
/* Closes the device; the back-end is idle. NULL is nothing. */
void backend_free(struct backend *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(backend, backend_free)

/*
 * Serves the front-end at the other end of a connected socket, which is the back-end's from now
 * on. The back-end was idle, and is again when closed() is called: then the socket is closed, no
 * vring runs and no memory is mapped. heard: something came from the front-end.
 */
void backend_serve(
	struct backend *b, int fd, void (*closed)(void *opaque, bool heard), void *opaque);
/*
 * Closes the connection now and waits for requests in flight; closed() follows, perhaps
 * before this returns. Nothing if no front-end is connected.
 */
void backend_disconnect(struct backend *b);

enum backend_state {
	BACKEND_IDLE,
	BACKEND_SERVING,
	BACKEND_CLOSING, /* the front-end has left; closed() comes when all of it is done with */
};
enum backend_state backend_state(const struct backend *b);
/*
 * Returns for how many µs the front-end has sent nothing since it connected, or no more of a
 * message that has begun; -1: it has, or none is connected.
 */
int64_t backend_silent_us(const struct backend *b);

/* SIGHUP: the device looks at its host side again. */
void backend_reload(struct backend *b);
/* stats.c: what was done until now, as log lines. */
void backend_log_stats(const struct backend *b);
/* The same, and what is connected, as members of an open JSON object. */
void backend_json_stats(const struct backend *b, struct json *j);
/* What is in flight, and since when, likewise. */
void backend_json_inflight(const struct backend *b, struct json *j);
void backend_json_status(const struct backend *b, struct json *j);

/* method.c: the device's methods of the control socket. */

struct backend_call {
	const struct virtio_method *method;
	struct virtio_arg args[VIRTIO_MAX_PARAMS];
	struct json *result; /* an open object */
	/* Gets the call, on the main loop, perhaps before backend_call() returns. */
	void (*done)(void *call);
	bool ok; /* what the method returned; if false, the caller frees the error */
	GError *error;
};
/*
 * Runs the method, as a device verb. call and what it points to live until done(), or until the
 * back-end is freed. One at a time.
 */
void backend_call(struct backend *b, struct backend_call *call);
/* Calls event() on the main loop for each event of the device, from now on; NULL: for none. */
void backend_watch_events(
	struct backend *b, void (*event)(void *opaque, const char *line, size_t len), void *opaque);
/* Returns how many were lost since the last call. */
uint64_t backend_lost_events(struct backend *b);

/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the back-end share; nobody else includes this. */
#pragma once

#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/loop.h"
#include "daemon/session/backend.h"
#include "daemon/worker/worker_impl.h"
#include "memory/guest_mem.h"
#include "ring/vq_engine.h"
#include "vhost-user/wire/vu_msg.h"
#include "vhost-user/wire/vu_proto.h"

/* An error of this domain has an errno as its code: the front-end gets it as acknowledgement. */
#define BACKEND_ERROR backend_error_quark()
GQuark backend_error_quark(void);
/* Sets *error; false, so that a handler can end by it. */
bool refuse(GError **error, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

struct ring {
	struct backend *backend;
	unsigned index;
	struct vq *vq;

	/* What the front-end said. */
	uint32_t size; /* 0: nothing yet */
	uint32_t base; /* where to go on: from SET_VRING_BASE or vq_stop() */
	bool has_addr, has_kick; /* SET_VRING_ADDR, SET_VRING_KICK came */
	bool enabled;
	struct vu_vring_addr addr;
	int kick, call, err; /* -1: none. A ring with has_kick and no fd is polled */
	bool call_may_block; /* atomic: it is no eventfd, or one that a front-end has filled */

	/* How it goes, for the control thread. */
	enum ring_state state;
	bool dead; /* broke, and is not run again before a reset or GET_VRING_BASE */
	bool moved; /* when it stopped last it had left the beginning, and no reset came since */
	uint64_t published_at_start; /* vq_stats */

	/* See worker.h. */
	struct worker *worker; /* the same for life */
	unsigned orders; /* atomic: enum ring_order */
	unsigned news; /* atomic: enum ring_news */
	struct ring_run run __attribute__((aligned(CACHE_LINE)));
};

/* The message that is being read or served. */
struct request {
	struct vu_msg in;
	struct vu_msg out; /* its reply: empty, ready to be filled */
	const struct vu_shape *shape;
	const struct handler *handler;
	struct ring *ring; /* the one that the message names, or NULL */
	bool waits; /* for rings to stop, or workers to pause */
	bool pauses; /* the latter: owner_pause() has been asked for it */
};

/* The in-flight area that the front-end handed over. */
struct inflight {
	struct guest_mem *mem; /* NULL: none */
	struct mem_ring_map map;
	size_t part; /* bytes of each queue's */
	unsigned queues;
};

struct backend {
	struct virtio_device device;
	struct backend_options options;
	struct guest_mem *mem;
	struct ring *rings; /* device.num_queues of them */
	struct inflight inflight; /* changes while all rings are stopped */
	struct log_limit refusals, visits;

	/* owner.h */
	struct worker *workers;
	unsigned n_workers;
	int news; /* an eventfd: a ring has some, or a worker pauses */
	struct loop_watch *news_watch;
	struct loop_watch *nudge; /* NULL: no worker is waited for */
	unsigned paused; /* atomic: workers that stand still */
	void (*pauser[4])(struct backend *b); /* what is to be done when all do */
	unsigned n_pausers;

	/* The connection. */
	enum backend_state state;
	int fd;
	struct loop_watch *watch; /* NULL while the request waits for rings to stop */
	void (*closed)(void *opaque, bool heard);
	void *opaque;
	struct vu_reader reader;
	bool heard; /* a message, or what was to be one */
	struct request request;

	/* What was negotiated. */
	uint64_t protocol_features;
	uint64_t features; /* bit 30 included */
	bool has_features; /* SET_FEATURES came */
	uint8_t status; /* as the front-end set it */
	bool needs_reset;

	/* The back-end channel. */
	int channel;
	struct loop_watch *channel_watch;
	bool channel_full; /* the watch waits for room */
	bool config_change_told; /* to this front-end, which may not have read it yet */
	bool config_change_due; /* to be sent when a ring runs and the channel has room */
};

static inline struct backend *backend_of(struct virtio_device *d)
{
	return container_of(d, struct backend, device);
}

/* backend.c */
/* A ring has stopped: goes on with what waits for it. */
void backend_ring_stopped(struct backend *b);
/* Nothing is read from the front-end until backend_listen(). */
void backend_pause(struct backend *b);
void backend_listen(struct backend *b);
/* The device model, back to its initial state. */
void backend_reset_device(struct backend *b);

/* dispatch.c */

/* Which rings a message concerns. */
enum scope {
	SCOPE_NONE,
	SCOPE_RING, /* the one that it names */
	SCOPE_ALL,
};

/* False: refused; the error does not name the message. */
typedef bool handle_fn(struct backend *b, struct request *rq, GError **error);
typedef bool must_stop_fn(const struct backend *b, const struct request *rq);

struct handler {
	handle_fn *handle;
	/* These are quiescent while handle runs, and started afterwards if they are complete. */
	enum scope scope;
	/* NULL: always; else rings may go on running if this says so. */
	must_stop_fn *must_stop;
	/* A ring that cannot be started afterwards is not this message's fault. */
	bool lenient;
	/* No worker runs a verb of the device while handle runs. */
	bool pauses;
};

/* Serves b->request.in, now or when the rings that it concerns have stopped. */
void dispatch(struct backend *b);
/* Goes on with the request that waits for rings, if there is one. */
void dispatch_resume(struct backend *b);

/* backend_*.c: the handlers. */
handle_fn on_nothing, on_get_features, on_set_features, on_get_protocol_features,
	on_set_protocol_features, on_get_queue_num, on_probe, on_get_shared_object, on_set_status,
	on_get_status, on_reset_device, on_set_mem_table, on_add_mem_reg, on_rem_mem_reg,
	on_get_max_mem_slots, on_vring_num, on_vring_addr, on_vring_base, on_get_vring_base,
	on_vring_kick, on_vring_call, on_vring_err, on_vring_enable, on_get_config, on_set_config,
	on_backend_req_fd, on_get_inflight_fd, on_set_inflight_fd;
must_stop_fn changes_features, clears_status, disables_ring;

/* backend_negotiate.c: what is offered. */
uint64_t backend_protocol_features(const struct backend *b);

/* backend_config.c */
/* The driver is to look at the configuration space and the status again. */
void config_change(struct backend *b);
/* Sends what is due, if it can be sent now. */
void config_change_flush(struct backend *b);
void channel_close(struct backend *b);

/* backend_inflight.c */
void inflight_drop(struct backend *b);
/* Names the ring's part of the area, if there is one, to the engine. */
void inflight_find(struct ring *r, struct vq_setup *setup);

/* ring.c */
void rings_new(struct backend *b);
void rings_free(struct backend *b);
/* Starts the ring if it is complete. False: it is, and cannot be started. */
bool ring_start(struct ring *r, GError **error);
/* Begins to stop it; backend_ring_stopped() follows. */
void ring_drain(struct ring *r);
/* The owner: no request is in flight any more. */
void ring_drained(struct ring *r);
/* The owner: the driver broke the rules. */
void ring_broke(struct ring *r);
/* Whatever state it is in, calls go to this fd, which is the ring's, from now on; -1: nowhere. */
void ring_set_call(struct ring *r, int fd);
/*
 * An eventfd, in all likelihood, and nothing that could keep us waiting for other reasons than its
 * count.
 */
bool ring_is_eventfd(int fd);
/* The stopped ring waits for SET_VRING_KICK from here on; if it was broken, it is no more. */
void ring_take_back(struct ring *r);
/* Forgets everything that the front-end said. */
void ring_forget(struct ring *r);
bool rings_any(const struct backend *b, enum ring_state state);
/* Adds one to an eventfd, and never waits; -1 is nothing. */
void ring_signal(int fd);

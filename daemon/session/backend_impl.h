/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the session share. All of it is the control thread's. */
#pragma once

#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/loop.h"
#include "daemon/session/backend.h"
#include "daemon/worker/pool.h"
#include "memory/guest_mem.h"
#include "vhost-user/wire/vu_msg.h"
#include "vhost-user/wire/vu_proto.h"

/* An error of this domain has an errno as its code, which the front-end gets as acknowledgement. */
#define BACKEND_ERROR backend_error_quark()
GQuark backend_error_quark(void);
/* Sets *error; false, so that a handler can end by it. */
bool refuse(GError **error, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A vring as the front-end describes it; what runs it is the pool's queue of the same index. */
struct backend_vring {
	struct backend *backend;
	unsigned index;

	/* What the front-end set. */
	uint32_t size; /* 0: nothing yet */
	uint32_t base; /* where to go on: from SET_VRING_BASE, or where it stopped */
	bool has_addr, has_kick; /* SET_VRING_ADDR, SET_VRING_KICK came */
	bool enabled;
	struct vu_vring_addr addr;
	int kick, err; /* -1: none. A vring with has_kick and no fd is polled */

	/* What became of it. */
	bool dead; /* broke, and does not run again before a reset or GET_VRING_BASE */
	bool moved; /* when it stopped last it had left the beginning, and no reset came since */
	bool has_run; /* since the front-end connected */

	/* quiet.c */
	unsigned quiet; /* rounds of the timer until it is looked at; 0: no more */
	uint64_t popped; /* vq_stats, when it started */
};

/* The message that is being read or served. */
struct backend_request {
	struct vu_msg in;
	struct vu_msg out; /* its reply: empty, ready to be filled */
	const struct vu_shape *shape;
	const struct handler *handler;
	struct backend_vring *vring; /* the one that the message names, or NULL */
	bool open; /* has begun and is not answered yet: dispatch() */
	unsigned step; /* of dispatch.c */
	GError *error; /* NULL: not refused */
};

/* The in-flight area that the front-end handed over. */
struct inflight_area {
	struct guest_mem *mem; /* NULL: none */
	struct mem_ring_map map;
	size_t part; /* bytes of each queue's */
	unsigned queues;
};

/* What was asked of the front-end about shared memory regions (shm.c). */
struct shm_state {
	GQueue requests; /* of struct shm_request: those sent come first, in their order */
	unsigned n_sent; /* of these: answers that are awaited */
	GArray *mapped; /* of struct shm_range: mapped, or about to be */
	uint64_t serial; /* of the last request */
};

/* The device's state on its way (device_state.c). */
struct state_transfer {
	bool load; /* else save */
	bool busy; /* goes on; else it has ended, or there is none */
	bool awaits_check; /* CHECK_DEVICE_STATE is still to come */
	int fd; /* the pipe; -1 */
	struct loop_watch *watch, *left; /* the pipe; the front-end, while it waits */
	GByteArray *bytes;
	size_t done; /* of these, written */
	struct pool_verb verb;
	GError *error; /* why it failed */
};

struct backend {
	struct virtio_device device;
	struct backend_options options;
	struct guest_mem *mem;
	struct pool *pool;
	struct backend_vring *vrings; /* device.num_queues of them */
	struct inflight_area inflight; /* changes while all queues are stopped */
	struct dirty_log *log; /* likewise; NULL: none. In use while VHOST_F_LOG_ALL is set */
	int log_call; /* SET_LOG_FD; -1 */
	struct pool_verb reset, reload, left;
	struct pool_verb verb; /* of the request */
	struct pool_verb call; /* method.c */
	void (*event)(void *opaque, const char *line, size_t len); /* NULL: not asked for */
	void *event_opaque;
	struct log_limit refusals, visits;
	bool queues_hinted;
	int64_t started_at; /* monotonic µs */
	uint64_t connections; /* on which something came, since then */
	bool claimed; /* ops->claim() came, and not ops->release() since */

	/* The connection. */
	enum backend_state state;
	int fd;
	struct loop_watch *watch; /* NULL while a request is open over several rounds of the loop */
	void (*closed)(void *opaque, bool heard);
	void *opaque;
	struct vu_reader reader;
	int64_t connected_at; /* monotonic µs */
	bool heard; /* a message, or what was to be one */
	uint32_t last; /* message that came; 0: none did */
	struct loop_watch *quiet; /* a timer; NULL: nothing is expected of any vring */
	bool quiet_told; /* why no request comes */
	struct loop_watch *unfinished; /* a timer: a message has begun; NULL: none has */
	int64_t silent_since; /* monotonic µs: that message began, or the connection */
	bool left_told; /* the device has been told that the front-end has left */
	struct backend_request request;

	/* What was negotiated. */
	uint64_t protocol_features;
	uint64_t features; /* bit 30 included */
	bool has_features; /* SET_FEATURES came */
	bool migrates; /* the last one, also if the status is 0 since, had VHOST_F_LOG_ALL */
	uint8_t status; /* as the front-end set it */
	bool needs_reset;

	/* The back-end channel. */
	int channel;
	struct loop_watch *channel_watch;
	bool channel_full; /* the watch waits for room */
	struct vu_reader channel_reader;
	struct vu_msg channel_msg; /* that is being read */
	bool config_change_told; /* to this front-end, which may not have read it yet */
	bool config_change_due; /* to be sent when a queue runs and the channel has room */
	bool config_change_logged; /* that what is due cannot be sent */
	bool config_resumed; /* a vring began where another connection, or process, had stopped */
	struct shm_state shm;

	struct state_transfer transfer;
};

/* backend.c */

/* A pool_verb's done(): goes on with what waits for queues or the device. */
void backend_resume(void *opaque);
/* Something was read from the connection or the channel: limits how long a message may take. */
void backend_note_unfinished(struct backend *b);
/* Nothing is read from the front-end until backend_listen(). */
void backend_pause(struct backend *b);
void backend_listen(struct backend *b);
/* Begins to reset the device model to its initial state; over when b->reset is not pending. */
void backend_reset_device(struct backend *b);

/* dispatch.c: from a message to its answer. */

/* Which vrings a message concerns. */
enum scope {
	SCOPE_NONE,
	SCOPE_VRING, /* the one that it names */
	SCOPE_ALL,
};

/* False: refused; the error does not name the message. */
typedef bool handle_fn(struct backend *b, struct backend_request *rq, GError **error);
/*
 * The same as a device verb, which may run on another thread: it knows the device and the message.
 */
typedef bool verb_fn(struct virtio_device *d, struct backend_request *rq, GError **error);
typedef bool must_stop_fn(const struct backend *b, const struct backend_request *rq);
typedef bool ready_fn(struct backend *b);

/* What serves a message, in this order. */
struct handler {
	/* These are stopped first, and started in the end if they are complete. */
	enum scope scope;
	/* NULL: always; else vrings may go on running if this returns false. */
	must_stop_fn *must_stop;
	ready_fn *ready; /* the request waits until this returns true; NULL: it does not wait */
	handle_fn *handle;
	/* After handle has taken the message; NULL: nothing. */
	verb_fn *verb;
	/* A vring that cannot be started in the end is not this message's fault. */
	bool lenient;
};

void dispatch_init(struct backend *b);
/* Begins to serve b->request.in. */
void dispatch(struct backend *b);
/* Goes on with a request that waits, if there is one and what it waits for has come. */
void dispatch_resume(struct backend *b);

/* msg_*.c, and so on: the handlers. */
handle_fn on_nothing, on_get_features, on_set_features, on_get_protocol_features,
	on_set_protocol_features, on_get_queue_num, on_probe, on_set_status, on_get_status,
	on_reset_device, on_set_mem_table, on_add_mem_reg, on_rem_mem_reg, on_get_max_mem_slots,
	on_vring_num, on_vring_addr, on_vring_base, on_get_vring_base, on_vring_kick, on_vring_call,
	on_vring_err, on_vring_enable, on_get_config, on_set_config, on_backend_req_fd,
	on_get_inflight_fd, on_set_inflight_fd, on_get_shmem_config, on_net_set_mtu,
	on_gpu_set_socket, on_answered_in_place, on_set_device_state_fd, on_check_device_state,
	on_set_log_base, on_set_log_fd;
verb_fn verb_set_config, verb_send_rarp, verb_net_set_mtu, verb_gpu_set_socket,
	verb_create_crypto_session, verb_close_crypto_session, verb_get_shared_object;
must_stop_fn changes_features, clears_status, disables_vring, is_logging;

/* msg_log.c */

/* The features have changed: what is written is marked in the dirty log from now on, or is not. */
void log_apply(struct backend *b);
void log_drop(struct backend *b);

/* msg_negotiate.c: what is offered. */
uint64_t backend_protocol_features(const struct backend *b);

/* msg_device.c */

/* Returns what is offered for the device's own messages; wire may be NULL. */
uint64_t wire_protocol_features(const struct virtio_device_wire *wire);
/* A pool_verb's run(). */
void wire_left(struct virtio_device *d, void *opaque);

/* device_state.c */

void transfer_init(struct backend *b);
/* Gives up a transfer, if there is one; one whose verb is pending ends after that. */
void transfer_drop(struct backend *b);
ready_fn transfer_has_ended;

/* msg_config.c */

/* The configuration space or the status has changed: tells the driver to read them again. */
void config_change(struct backend *b);
/*
 * A vring is about to run. Tells a driver that goes on, once for each connection, to read the
 * configuration space again: it has read that of another process perhaps.
 */
void config_vring_starts(struct backend_vring *v);

/* channel.c: requests to the front-end. */

/* Refuses what is not a Unix socket, or is the front-end's own: its end would not be seen. */
bool may_keep_socket(const struct backend *b, int fd, GError **error);

void channel_close(struct backend *b);
/* Sends what is due, if it can be sent now. */
void channel_flush(struct backend *b);
/* Takes the answers that have arrived. */
void channel_read(struct backend *b);

/* shm.c */

void shm_init(struct backend *b);
void shm_free(struct backend *b);
/* The pool: the device wants something mapped. */
void shm_map(struct backend *b, unsigned queue, struct virtio_shm_map *m);
/* The queue stops: its requests end, and nothing that they asked for is mapped. */
void shm_cancel(struct backend *b, unsigned queue);
/* Returns the message to be sent next, or false. Its fd, if it has one, remains the device's. */
bool shm_next(struct backend *b, struct vu_msg *msg);
/* The message that shm_next() returned was sent. */
void shm_sent(struct backend *b);
/* Returns whether answers are awaited. */
bool shm_awaits(const struct backend *b);
/* Takes a message from the channel; false, and an error: it is not the answer that is awaited. */
bool shm_answered(struct backend *b, const struct vu_msg *msg, GError **error);
/* The channel is closed: what was sent is not answered any more. */
void shm_lost(struct backend *b);
/* The device is reset: nothing is mapped any more. */
void shm_forget(struct backend *b);

/* msg_inflight.c */

void inflight_drop(struct backend *b);
/* Names the vring's part of the area, if there is one, to the engine. */
void inflight_find(struct backend_vring *v, struct vq_setup *setup);

/* quiet.c: vrings that are kicked, and have no request. */

/* The vring got a part of its description. */
void quiet_described(struct backend_vring *v);
/* The vring runs. */
void quiet_started(struct backend_vring *v);
/* One of the first kicks since then came. */
void quiet_kicked(struct backend_vring *v);
/* The front-end has left. */
void quiet_forget(struct backend *b);

/* vring.c */

void vrings_new(struct backend *b);
/* "queue 0", for log lines. */
const char *vring_name(const struct backend_vring *v);
/* Starts the vring if it is complete and stopped. False: it is, and cannot be started. */
bool vring_start(struct backend_vring *v, GError **error);
/* Begins to stop a vring that runs; nothing in any other state. */
void vring_drain(struct backend_vring *v);
/*
 * The vring has been stopped for good. If it was the last one, and the guest's memory is being
 * copied, the guest may go on elsewhere: the device gives up what only one process can have.
 */
void vring_yield(struct backend *b);
/* The pool: the vring has stopped. */
void vring_stopped(struct backend_vring *v, uint32_t base);
/* The pool: the driver broke the rules. */
void vring_broke(struct backend_vring *v);
/* The stopped vring waits for SET_VRING_KICK from here on; if it was broken, it is no more. */
void vring_take_back(struct backend_vring *v);
/* Forgets everything that the front-end set. */
void vring_forget(struct backend_vring *v);

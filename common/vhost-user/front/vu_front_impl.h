/* SPDX-License-Identifier: Apache-2.0 */
/* Internals of the front-end library. */
#pragma once

#include <sys/types.h>

#include "base/log.h"
#include "vhost-user/front/vu_front.h"
#include "vhost-user/wire/vu_msg.h"

/*
 * How long the rest of a message may take that is, or may be, with fds; no longer than a reply.
 *
 * A trade-off. Whether an fd that waits to be read is the back-end's own end of the socket is known
 * only by reading it, and as long as it waits the end of the back-end is not seen: the next one
 * would not be served within a second. An honest back-end sends the rest with its next system call,
 * but a host so busy that it does not run for this long in between costs it the connection.
 */
#define VU_FRONT_REST_MS 500
#define VU_FRONT_CANCELLED "the wait for the back-end was cancelled"

/* A region that the back-end has; the same addresses backed by another file are another one. */
struct vu_front_region {
	struct mem_region_desc desc;
	dev_t dev;
	ino_t ino;
};

struct vu_front {
	char *name; /* for messages */
	char *path; /* to dial again; NULL: unknown */
	struct vu_front_options options;
	struct vu_properties properties;

	/* The connection. */
	int fd; /* -1: closed */
	/* An epoll of socket and channel, edge-triggered: vu_front_watch(); and *options.cancel */
	int arrivals;
	bool answered; /* at least one reply came on it */
	unsigned first_ms; /* how long that took */
	gint64 half_until; /* monotonic µs: half a reply with fds must be whole by then; 0: none */
	unsigned reply_fds; /* that the reply which is waited for may have */
	void (*late)(void *opaque); /* vu_front_on_late(), at late_at (monotonic µs) */
	void *late_opaque;
	gint64 late_at;
	struct vu_msg msg; /* a request while it is made, then its reply; its fds are not ours */

	/* The back-end channel: vu_front_channel.c. */
	int channel; /* our end */
	int channel_peer; /* not handed over yet, of a channel that was made elsewhere */
	int changed; /* an eventfd: a CONFIG_CHANGE was read and is not yet reported */
	int channel_timer; /* a timerfd: half a message must be whole by then */
	gint64 channel_half_until; /* likewise, monotonic µs; 0: there is none */
	int channel_poll; /* an epoll of changed, channel_timer and arrivals */
	struct vu_msg channel_msg;
	struct log_limit channel_log;

	/* Shared memory: vu_front_shm.c. */
	uint64_t shm_size[VU_MAX_SHMEM_REGIONS]; /* by id; 0: none */
	GArray *mappings; /* struct vu_front_mapping */

	/* What the back-end has for memory: struct vu_front_region. */
	GArray *regions;
	bool regions_unknown; /* what it has is from our predecessor */

	/* Negotiation, over all connections that it takes: vu_front_negotiate.c. */
	bool probing;
	bool redial; /* this connection is spoilt, another try makes sense */
	gint64 patience; /* until then a back-end that is dialled again may still say "busy" */
	uint32_t config_answered; /* the largest GET_CONFIG that was answered */
	uint32_t config_refused; /* the smallest that was not */
};

static inline bool vu_front_acked(const struct vu_front *f, enum vu_protocol_feature feature)
{
	return f->properties.protocol_acked & VU_BIT(feature);
}

/* vu_front.c */

/*
 * Sets an error that begins with the back-end's name; unless code leaves the connection alive
 * (REFUSED, PROPERTIES), closes it. Returns false.
 */
bool vu_front_fail(struct vu_front *f, GError **error, enum vu_front_error code, const char *format,
	...) __attribute__((format(printf, 4, 5)));
/* Without a connection. */
struct vu_front *vu_front_alloc(
	const char *name, const char *path, const struct vu_front_options *options);
/* Gives the connection up: closes socket and channel, and lets no process adopt it. */
void vu_front_close(struct vu_front *f);
/* Takes over a new connection; there is none. */
bool vu_front_open(struct vu_front *f, int fd, GError **error);

/* vu_front_arrivals.c */

/* Makes f->arrivals at the first connection. Returns false with errno. */
bool vu_front_open_arrivals(struct vu_front *f);
/*
 * Adds fd (f->fd or f->channel) to f->arrivals, or makes that report again what is there already.
 * Half a message stays in the socket, for which poll() would always return at once: so the watch is
 * edge-triggered, and each reader takes all whole messages before it waits.
 */
bool vu_front_watch(struct vu_front *f, int fd);
/*
 * Removes fd. Call it before the fd is closed: another process may have it open, and events would
 * still be reported.
 */
void vu_front_unwatch(struct vu_front *f, int fd);
/*
 * Waits for input, until deadline, which is timeout_ms from where the wait began. Meanwhile serves
 * the channel: some back-ends wait there for an answer of ours before they answer us. what names
 * the request that is to be answered. False: it is too late, or the caller cancels.
 */
bool vu_front_wait_for_input(
	struct vu_front *f, const char *what, unsigned timeout_ms, gint64 deadline, GError **error);

/* f->msg, empty, to be filled with payload and fds (which stay the caller's). */
struct vu_msg *vu_front_request(struct vu_front *f, uint32_t request);
/* Sends f->msg as it is and waits for nothing. */
bool vu_front_send(struct vu_front *f, GError **error);
/*
 * Waits for a whole message in f->msg, until deadline, which is timeout_ms from where the wait
 * began; what names the request that it answers.
 */
bool vu_front_receive_until(
	struct vu_front *f, const char *what, unsigned timeout_ms, gint64 deadline, GError **error);
bool vu_front_receive(struct vu_front *f, const char *what, unsigned timeout_ms, GError **error);
/*
 * Sends f->msg and waits for its reply, which is in f->msg then, or (where it can) for its
 * acknowledgement: not zero is REFUSED.
 */
bool vu_front_call(struct vu_front *f, GError **error);
/* The whole of a request without payload whose reply is a u64. */
bool vu_front_get_u64(struct vu_front *f, uint32_t request, uint64_t *value, GError **error);
/* The whole of a request with a u64 that is acknowledged at most. */
bool vu_front_set_u64(struct vu_front *f, uint32_t request, uint64_t value, GError **error);

/* vu_front_ring.c */

/* Returns once the back-end has processed what was sent. */
bool vu_front_barrier(struct vu_front *f, GError **error);
/* Leaves the first len bytes of configuration in f->msg.payload. */
bool vu_front_ask_config(struct vu_front *f, uint32_t len, GError **error);

/* vu_front_cancel.c */

/* Waits until fd has one of these events (-1: none has), or timeout_ms; false: cancelled. */
bool vu_front_wait(const struct vu_front_options *o, int fd, short events, unsigned timeout_ms);
/* Connects to the socket at path; -1: error. */
int vu_front_dial(const struct vu_front_options *o, const char *path, GError **error);

/* vu_front_negotiate.c: queries all properties of a connected back-end, dials again if needed. */
bool vu_front_negotiate(struct vu_front *f, GError **error);

/* vu_front_channel.c */

/* Makes the channel unless it was given, and hands the other end to the back-end. */
bool vu_front_channel_open(struct vu_front *f, GError **error);
/* Goes on with the channel that was given; answers what our predecessor read and did not. */
bool vu_front_channel_adopt(struct vu_front *f, GError **error);
void vu_front_channel_close(struct vu_front *f);
/* Reads and answers what is there, and notes a change of configuration in f->changed. */
bool vu_front_channel_serve(struct vu_front *f);
/*
 * The channel broke during a call: vu_front_backend_event() reports it. Nothing unread is left in
 * it: another process may have it open, too.
 */
void vu_front_channel_lose(struct vu_front *f);

/* vu_front_adopt.c: from here on a successor could go on with the connection. */
void vu_front_publish(struct vu_front *f);

/* vu_front_shm.c */

/* Asks for the regions' sizes, if SHMEM was acked. */
bool vu_front_shm_learn(struct vu_front *f, GError **error);
/* Serves SHMEM_MAP or SHMEM_UNMAP, of a sound shape and acked. Returns 0 or an errno to answer. */
int vu_front_shm_serve(struct vu_front *f, const struct vu_msg *msg);
/* Unmaps everything. */
void vu_front_shm_drop(struct vu_front *f);

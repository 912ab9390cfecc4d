/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the front-end library share; nobody else includes this. */
#pragma once

#include <sys/types.h>

#include "base/log.h"
#include "vhost-user/vu_front.h"
#include "vhost-user/vu_msg.h"

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
	struct vu_facts facts;

	/* The connection. */
	int fd; /* -1: closed */
	bool answered; /* at least one reply came on it */
	struct vu_reader reader;
	struct vu_msg msg; /* a request while it is made, then its reply; its fds are not ours */

	/* The back-end channel: vu_front_channel.c. */
	int channel; /* our end */
	int changed; /* an eventfd: a CONFIG_CHANGE was read and is still to be told */
	int channel_poll; /* an epoll of those two */
	struct vu_reader channel_reader;
	struct vu_msg channel_msg;
	struct log_limit channel_log;

	/* What the back-end has for memory: struct vu_front_region. */
	GArray *regions;

	/* Negotiation, over all connections that it takes: vu_front_negotiate.c. */
	bool probing;
	bool redial; /* this connection is spoilt, another try makes sense */
	gint64 patience; /* until then a back-end that is dialled again may still say "busy" */
	uint32_t config_answered; /* the largest GET_CONFIG that was answered */
	uint32_t config_refused; /* the smallest that was not */
};

static inline bool vu_front_acked(const struct vu_front *f, enum vu_protocol_feature feature)
{
	return f->facts.protocol_acked & VU_BIT(feature);
}

/* vu_front.c */

/*
 * Sets an error that begins with the back-end's name; unless code leaves the connection alive
 * (REFUSED, FACTS), closes it. Returns false.
 */
bool vu_front_fail(struct vu_front *f, GError **error, enum vu_front_error code, const char *format,
	...) __attribute__((format(printf, 4, 5)));
/* Closes socket and channel. */
void vu_front_close(struct vu_front *f);
/* Takes over a new connection. */
void vu_front_open(struct vu_front *f, int fd);

/* f->msg, empty, to be filled with payload and fds (which stay the caller's). */
struct vu_msg *vu_front_request(struct vu_front *f, uint32_t request);
/* Sends f->msg as it is and waits for nothing. */
bool vu_front_send(struct vu_front *f, GError **error);
/* Waits for a whole message in f->msg; what names the request that it answers. */
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

/* vu_front_negotiate.c: from a connected socket to all facts, dialling again where it helps. */
bool vu_front_negotiate(struct vu_front *f, GError **error);

/* vu_front_channel.c */

/* Makes the channel and hands the other end to the back-end. */
bool vu_front_channel_open(struct vu_front *f, GError **error);
void vu_front_channel_close(struct vu_front *f);
/* Reads and answers what is there, and notes a change of configuration in f->changed. */
bool vu_front_channel_serve(struct vu_front *f);
/* The channel broke during a call: vu_front_backend_event() will say so. */
void vu_front_channel_lose(struct vu_front *f);

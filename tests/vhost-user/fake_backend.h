/* SPDX-License-Identifier: Apache-2.0 */
/* A back-end of no device, in a thread: it answers as told, wrongly if told so, and takes notes. */
#pragma once

#include <pthread.h>

#include "vhost-user/wire/vu_msg.h"

/* What it does instead of the right thing. */
enum fake_quirk {
	FAKE_RIGHT,
	FAKE_SILENT,
	FAKE_CLOSE,
	FAKE_REFUSE, /* an acknowledgement of 22, or a reply without payload */
	FAKE_OWN_SIZE, /* a reply of the request's own size, and an fd: libvhost-user's to 41 */
	FAKE_U64, /* the right u32 as a u64 */
	FAKE_OTHER_NUMBER, /* a reply to another request */
	FAKE_HALF_HEADER, /* part of the reply, then the end */
	FAKE_HALF_PAYLOAD,
	FAKE_CHANNEL_FIRST, /* sends a change of configuration and waits for its ack before */
	FAKE_IN_TWO, /* half of the reply, and the rest when the next request is there */
	FAKE_CHANNEL_CLOSE, /* closes the channel before */
};

struct fake_note {
	uint32_t request, flags, size;
	unsigned n_fds;
	uint64_t u64[5]; /* the payload's beginning */
};

struct fake {
	/* What it is; set before the start. */
	uint64_t features, protocol_features, queues, slots;
	uint32_t device_id, config_size, min_queues;
	bool busy; /* closes what it accepts */
	unsigned busy_until; /* after the first connection so does it with all up to this one */
	enum fake_quirk quirk[VU_REQUEST_END];
	unsigned quirky_connections; /* the first so many have the quirks; 0: all */

	/* What it saw; read after fake_stop(), or while it waits for the next request. */
	struct fake_note notes[128];
	unsigned n_notes, connections;
	uint64_t acked;
	uint8_t table[VU_MAX_PAYLOAD]; /* the last SET_MEM_TABLE's payload */
	uint8_t config[256]; /* byte i is i at the start */
	struct vu_shmem_config shm; /* with protocol bits 10 and 22 */
	struct vu_inflight area; /* what GET_INFLIGHT_FD is answered, with the next */
	int area_fd; /* -1: none */

	int channel;
	int listener, conn;
	pthread_t thread;
	struct vu_msg msg;
};

/* A back-end with everything; change it before the start. */
struct fake *fake_new(void);
/* Starts it on one connection; returns the front-end's end. */
int fake_start(struct fake *b);
/* Starts it at a socket path, one connection after another. */
void fake_listen(struct fake *b, const char *path);
/* Ends it; the front-end has left. */
void fake_stop(struct fake *b);
void fake_free(struct fake *b);
/* How many of these requests it saw, and the first of them (NULL: none). */
unsigned fake_count(const struct fake *b, uint32_t request);
const struct fake_note *fake_note(const struct fake *b, uint32_t request);
/* Sends a request on the back-end channel; returns the ack, or -1 if none comes. */
int64_t fake_channel_send(struct fake *b, uint32_t request, uint32_t flags, uint32_t size);
int64_t fake_channel_ack(struct fake *b);

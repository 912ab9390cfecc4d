/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A back-end of no device, in a thread: it notes what it is asked, and answers as it should, or
 * wrongly on a test's demand.
 */
#pragma once

#include <glib.h>
#include <pthread.h>

#include "vhost-user/wire/vu_msg.h"

#define FAKE_QUEUES 8
#define FAKE_CONFIG 16 /* bytes, at first */
#define FAKE_REGIONS 8

/* What it does instead of the right thing. */
enum fake_quirk {
	FAKE_RIGHT,
	FAKE_SILENT, /* no answer */
	FAKE_LATE, /* answers after late_ms */
	FAKE_CLOSE,
	FAKE_REFUSE, /* does not obey; an acknowledgement of EINVAL, or a reply without payload */
	FAKE_ECHO, /* does not obey; the request itself as its reply */
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

struct fake_ring {
	uint32_t num, base, from; /* from: where it was told to start */
	struct vu_vring_addr addr;
	int kick, call;
	bool enabled;
	unsigned kicks; /* how many wake-ups; reading drains */
};

struct fake_backend {
	/* What it is; set while it is down. */
	uint32_t device_id, config_size, min_queues, queues, slots;
	uint64_t features, protocol;
	uint8_t status_bits; /* GET_STATUS shows them in any case */
	bool selector; /* SET_CONFIG makes byte 1 twice byte 0 */
	struct vu_shmem_config shm; /* with protocol bits 10 and 22 */
	bool area_is_given; /* GET_INFLIGHT_FD is answered with these, else with one that is made */
	struct vu_inflight given_area;
	int given_area_fd; /* the test's; -1: none */
	bool busy; /* closes what it accepts */
	unsigned busy_until; /* after the first connection so does it with all up to this one */
	unsigned late_ms; /* FAKE_LATE */
	unsigned quirky_connections; /* the first so many have the quirks; 0: all */
	/* Serves a ring that was kicked, and moves its base on; under the lock. */
	void (*device)(struct fake_backend *b, struct fake_ring *r);
	/* A ring was enabled, its acknowledgement is still to come; may use the channel. */
	void (*enabled)(struct fake_backend *b, unsigned ring);
	void *opaque; /* theirs */

	enum fake_quirk quirk[VU_REQUEST_END]; /* set by fake_quirk() while it is up */

	pthread_mutex_t lock; /* what follows, while it is up */
	const char *silent_at; /* no answer where the trace ends with this; NULL: nowhere */
	bool refuses_features; /* FEATURES_OK does not stick */
	GString *trace; /* "SET_FEATURES SET_VRING_NUM/0 " */
	uint64_t acked, driver_features;
	uint8_t status;
	uint8_t config[256];
	struct fake_ring ring[FAKE_QUEUES];
	struct mem_region_desc region[FAKE_REGIONS];
	unsigned n_regions, connections, tables;
	uint8_t table[VU_MAX_PAYLOAD]; /* the last SET_MEM_TABLE's payload */
	struct vu_inflight area; /* of the last SET_INFLIGHT_FD; no queues: none came */
	int area_fd; /* likewise; -1 */
	unsigned areas; /* made */

	/* Read after fake_finish(), or while it waits for the next request. */
	struct fake_note notes[128]; /* the first so many */
	unsigned n_notes;

	char *path;
	int listener, conn, channel, stop;
	bool up, finishing;
	unsigned received; /* fake_received() */
	pthread_t thread;
	struct vu_msg msg; /* the thread's */
};

/* One with all that most tests want: change it before it is up. path: NULL, or for fake_up(). */
struct fake_backend *fake_new(const char *path);
void fake_free(struct fake_backend *b);
/* Starts it at its path, one connection after another. */
void fake_up(struct fake_backend *b);
/* Starts it on one connection; returns the front-end's end. */
int fake_pair(struct fake_backend *b);
/* Ends it at once, as kill -9 does; it forgets everything but its configuration space. */
void fake_down(struct fake_backend *b);
/* Ends it when it has seen all that the front-end, which has left, ever sent. */
void fake_finish(struct fake_backend *b);

/* From now on; FAKE_RIGHT for all requests again: fake_behave(). */
void fake_quirk(struct fake_backend *b, uint32_t request, enum fake_quirk quirk);
void fake_behave(struct fake_backend *b);
void fake_silence_at(struct fake_backend *b, const char *what);
void fake_refuse_features(struct fake_backend *b, bool refuse);

/* What came since the last call; to be freed. */
char *fake_trace(struct fake_backend *b);
/*
 * How many requests have arrived, also while it waits for the lock before it serves or reads one.
 */
unsigned fake_received(const struct fake_backend *b);
/* How many of these requests it saw, and the first of them (NULL: none). */
unsigned fake_count(const struct fake_backend *b, uint32_t request);
const struct fake_note *fake_note(const struct fake_backend *b, uint32_t request);
/* What it knows of a ring. */
struct fake_ring fake_ring(struct fake_backend *b, unsigned ring);

/* A used buffer notification of this ring. */
void fake_call(struct fake_backend *b, unsigned ring);
/* Sends a request on the back-end channel, with a payload of zeroes; 0, or -1: it cannot. */
int64_t fake_channel_send(struct fake_backend *b, uint32_t request, uint32_t flags, uint32_t size);
/* Likewise VU_BACKEND_SHMEM_MAP, or VU_BACKEND_SHMEM_UNMAP with fd -1. */
int64_t fake_channel_shm(struct fake_backend *b, uint32_t request, uint32_t flags,
	const struct vu_shmem_map *map, int fd);
/*
 * Returns the channel, which the fake's own thread closes when the front-end leaves: whatever the
 * test did with it before this call comes before that.
 */
int fake_channel_fd(struct fake_backend *b);
/* Sends bytes on the channel, whole messages or parts, as sock_send() does. */
int fake_channel_bytes(
	struct fake_backend *b, const void *bytes, size_t len, const int *fds, unsigned n_fds);
/* Waits for an acknowledgement and returns it; -1: none comes. */
int64_t fake_channel_ack(struct fake_backend *b);
/* All that in one. */
void fake_config_changed(struct fake_backend *b);
int64_t fake_shm(struct fake_backend *b, uint32_t request, const struct vu_shmem_map *map, int fd);

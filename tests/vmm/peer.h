/* SPDX-License-Identifier: Apache-2.0 */
/* A back-end of no device, at a socket path, in a thread: notes what it is asked, and plays along. */
#pragma once

#include <glib.h>
#include <pthread.h>

#include "vhost-user/wire/vu_msg.h"

#define PEER_QUEUES 8
#define PEER_CONFIG 16
#define PEER_REGIONS 8

struct peer_ring {
	uint32_t num, base, from; /* from: where it was told to start */
	struct vu_vring_addr addr;
	int kick, call;
	bool enabled;
	unsigned kicks; /* how many wake-ups; reading drains */
};

struct peer;
/* Serves a ring that was kicked, and moves its base on; under the lock. NULL: nobody does. */
typedef void peer_device(struct peer *p, struct peer_ring *r);

struct peer {
	/* To be changed while it is down. */
	uint32_t device_id, config_size, queues;
	uint64_t features, protocol;
	struct vu_shmem_config shm; /* with protocol bits 10 and 22 */
	peer_device *device;
	void *opaque; /* the device's */

	pthread_mutex_t lock;
	/* Misbehaviour; under the lock. */
	uint32_t silent, refused;
	const char *silent_at; /* likewise, as the trace says it; NULL: nowhere */
	bool refuses_features; /* FEATURES_OK does not stick */
	/* What it has been told; under the lock. */
	GString *trace; /* "SET_FEATURES SET_VRING_NUM/0 " */
	uint64_t driver_features;
	uint8_t status;
	/* Byte 1 is twice byte 0, like a field that depends on a selector. */
	uint8_t config[PEER_CONFIG];
	struct peer_ring ring[PEER_QUEUES];
	struct mem_region_desc region[PEER_REGIONS];
	unsigned n_regions, connections, tables;
	struct vu_inflight area; /* of the last SET_INFLIGHT_FD; no queues: none came */
	int area_fd; /* likewise; -1 */
	unsigned areas; /* made */

	char *path;
	int listener, conn, channel, stop;
	uint64_t acked;
	bool up;
	pthread_t thread;
};

struct peer *peer_new(const char *path);
void peer_free(struct peer *p);
void peer_up(struct peer *p);
/* Gone at once, as by kill -9; it forgets everything but its configuration space. */
void peer_down(struct peer *p);

/* Leaves what the trace calls so without an answer; NULL: no more. */
void peer_silence_at(struct peer *p, const char *what);
/* From now on: leaves this request without an answer; says no to this one; takes no features. */
void peer_silence(struct peer *p, uint32_t request);
void peer_refuse(struct peer *p, uint32_t request);
void peer_refuse_features(struct peer *p, bool refuse);
/* What came since the last call; to be freed. */
char *peer_trace(struct peer *p);
/* What it knows of a ring. */
struct peer_ring peer_ring(struct peer *p, unsigned ring);
/* A used buffer notification of this ring. */
void peer_call(struct peer *p, unsigned ring);
void peer_config_changed(struct peer *p);
/* Sends VU_BACKEND_SHMEM_MAP or _UNMAP (fd -1); returns the acknowledgement, -1: none came. */
int64_t peer_shm(struct peer *p, uint32_t request, const struct vu_shmem_map *map, int fd);

/* SPDX-License-Identifier: Apache-2.0 */
/* An agent with shared memory regions, and the front-end's end of its channel. */
#pragma once

#include "tests/daemon/agent.h"

#define PAGE 4096
#define REGION 7
#define PAGES 1024
#define SHM_FEATURES (ALL_PROTOCOL_FEATURES | VU_BIT(VU_F_BACKEND_SEND_FD) | VU_BIT(VU_F_SHMEM))

#define PENDING 1
#define SHM_JOBS 600

/* What the device asks for, all of it in one callback of one queue, and what it came to. */
struct shm_job {
	struct virtio_shm_map map;
	_Atomic int result, thread;
};
extern struct shm_job shm_jobs[SHM_JOBS];
extern unsigned shm_n_jobs;
extern int shm_file; /* a memfd */

/* Adds one, in REGION. */
struct shm_job *shm_add(uint64_t at, uint64_t len, int fd);
/* An agent_fn. */
void shm_submit(struct virtio_device *d, struct vq *q);
void shm_on_done(struct virtio_device *d, struct vq *q, struct virtio_shm_map *m, int result);
/* One job on queue 0; returns its result so far. */
int shm_ask(struct peer *p, uint64_t at, uint64_t len, int fd);

/* The last message that the front-end received on the channel. */
extern struct vu_msg shm_msg;
void shm_open_channel(struct peer *p);
/* Receives the next one: its number; 0: there is none. */
uint32_t shm_hear(struct peer *p);
/* Receives this one. */
void shm_expect(struct peer *p, uint32_t request, uint64_t at, uint64_t len);
void shm_answer(struct peer *p, uint32_t request, uint64_t value);
/* The device maps this, and the front-end agrees. */
void shm_map_one(struct peer *p, uint64_t at, uint64_t len);

/*
 * Runs the test in each mode, with all queues running and a channel. No job is pending in the end.
 */
void shm_in_modes(void **state, void (*test)(struct peer *p));

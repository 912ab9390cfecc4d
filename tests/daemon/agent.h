/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that runs functions of the test in its verbs: what a test registers there it registers
 * on the right thread. It has four queues, and echoes requests.
 */
#pragma once

#include "tests/daemon/peer.h"

#define AGENT_QUEUES 4
#define AGENT_CONFIG 16

typedef void agent_fn(struct virtio_device *d, struct vq *q);

struct agent {
	struct virtio_device *device;
	const struct virtio_shm_region *shm; /* of the agents to come */
	const struct virtio_device_wire *wire;
	agent_fn *_Atomic todo; /* runs once in the next kick */
	agent_fn *_Atomic on_start, *_Atomic on_stop; /* in each queue_start, queue_stop */
	void (*on_open)(struct virtio_device *d);
	_Atomic int thread[AGENT_QUEUES]; /* of the last queue_start */
	_Atomic int in_verb; /* queue verbs that run now */
	_Atomic int verb_thread; /* of the last device verb */
	_Atomic unsigned resets, reloads, writes;
	_Atomic bool breaks; /* the next request breaks its queue */
};
extern struct agent agent;

/* The ways of giving queues to threads. */
struct agent_mode {
	const char *name;
	enum virtio_device_threads threads;
	unsigned workers, common;
};
#define AGENT_ONE                              \
	{                                      \
		"one", VIRTIO_DEVICE_ONE, 1, 0 \
	}
#define AGENT_PAIRS                                   \
	{                                             \
		"pairs", VIRTIO_DEVICE_PER_PAIR, 2, 0 \
	}

/* Makes p's back-end the agent, connects, and starts all queues unless told otherwise. */
void agent_make(struct peer *p, const struct agent_mode *mode);
void agent_start(struct peer *p);
/* Runs fn on behalf of the queue, on its thread, and waits until it has. */
void agent_do(struct peer *p, unsigned queue, agent_fn *fn);
/* In a callback of the device as a whole: nothing else runs, on the right thread. */
void agent_check_alone(void);

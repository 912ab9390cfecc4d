/* SPDX-License-Identifier: Apache-2.0 */
/* What the contract device's own files share. */
#pragma once

#include <pthread.h>

#include "contract.h"
#include "daemon/device.h"

enum { CONTRACT_REQUESTS, CONTRACT_BUFFERS, CONTRACT_OTHER, CONTRACT_QUEUES };

#define CONTRACT_HELD 32
#define CONTRACT_MAPS 16
/* No result yet: the request is held. */
#define CONTRACT_LATER INT32_MIN
/* A queue that is needed does not run yet. */
#define CONTRACT_NOT_YET (INT32_MIN + 1)

struct contract_map {
	struct virtio_shm_map map;
	struct vq_chain *c; /* the request; NULL: none */
};

struct contract {
	struct virtio_device *d;
	unsigned answers;
	uint8_t frames;
	struct {
		struct vq_chain *c;
		enum contract_verb why;
	} held[CONTRACT_HELD];
	struct virtio_pages *pages;

	/* contract_sources.c */
	struct virtio_timer timer;
	struct virtio_watch watch[2]; /* of the two ends of a socket; the first one writes */
	struct virtio_watch successor;
	int to_send, to_receive, received;
	struct virtio_wakeup wakeup;
	pthread_t thread;
	bool has_thread;
	unsigned signals, wakes;

	/* contract_shm.c */
	struct contract_map maps[CONTRACT_MAPS];
	int file;
};

/* Writes the answer, in front of which nothing was written. */
void contract_answer(struct contract *t, struct vq_chain *c, int result);
/* Holds the request; returns CONTRACT_LATER. */
int contract_hold(struct contract *t, struct vq_chain *c, enum contract_verb why);
/* Answers what is held for this reason. */
void contract_release(struct contract *t, enum contract_verb why, int result);

int contract_do_timer(struct contract *t, struct vq_chain *c, const struct contract_request *r);
int contract_do_watch(struct contract *t, struct vq_chain *c, const struct contract_request *r);
int contract_do_close(struct contract *t, struct vq_chain *c, const struct contract_request *r);
int contract_do_wake(struct contract *t, struct vq_chain *c, const struct contract_request *r);
void contract_sources_open(struct contract *t);
void contract_sources_start(struct contract *t, struct vq *q);
/* The requests that wait for sources are kept. */
void contract_sources_stop(struct contract *t, struct vq *q);
void contract_sources_close(struct contract *t);
extern const struct virtio_device_needs contract_needs;

int contract_do_map(struct contract *t, struct vq_chain *c, const struct contract_request *r);
bool contract_shm_open(struct contract *t);
extern const struct virtio_shm_region contract_regions[];

extern const struct virtio_device_wire contract_wire;

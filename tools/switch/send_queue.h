/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that wait until a slow port takes more: a stream of bytes (each frame after its length),
 * bounded. A source gets no more room than is left for others: one alone has at most half of the
 * queue, two that flood have a third each, and there is room for who sends little, always. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/iov.h"

#define SEND_QUEUE_SIZE (256u << 10) /* a power of two */
/* What a frame counts for besides its bytes, which bounds the number of frames. */
#define SEND_QUEUE_FRAME 128
#define SEND_QUEUE_FRAMES (SEND_QUEUE_SIZE / SEND_QUEUE_FRAME)

struct send_queue {
	uint8_t *bytes; /* a ring, from start on */
	uint32_t start, used;
	struct send_queue_frame {
		uint32_t len; /* bytes of it that wait */
		uint32_t cost;
		uint16_t from;
	} * frames; /* a ring, from first on */
	uint32_t first, n;
	uint32_t cost; /* of all frames */
	uint32_t *held; /* of those of each source */
};

/* sources: each is a number below this. */
void send_queue_init(struct send_queue *q, unsigned sources);
void send_queue_free(struct send_queue *q);
/* Drops all frames. */
void send_queue_reset(struct send_queue *q, unsigned sources);
/* Adds a frame, len bytes at the cursor; false: the source has no room, the cursor stays. */
bool send_queue_put(struct send_queue *q, unsigned from, struct iov_cursor *c, uint32_t len);
/* Likewise what is left of a frame that was sent in part; the queue is empty. */
void send_queue_keep(struct send_queue *q, unsigned from, struct iov_cursor *c, uint32_t len);
/* Describes all bytes that wait; returns in how many pieces. */
unsigned send_queue_peek(const struct send_queue *q, struct iovec iov[2]);
/* Takes bytes off that were sent. */
void send_queue_take(struct send_queue *q, uint32_t len);

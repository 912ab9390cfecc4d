/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits by token buckets: tokens are bytes, requests, frames. A bucket is described by the time
 * when it will be full, which each token that is taken puts off: so it needs no clock of its own.
 * What takes tokens passes while there is one, and may take more than there are, so that any size
 * passes; what comes next waits for them.
 *
 * Any number of threads may ask, take, give back and set at a time, also of processes that share
 * the bucket's memory: whatever it holds is only a limit, if a wrong one.
 */
#pragma once

#include <stdint.h>

/* All atomic. */
struct bucket {
	uint64_t rate; /* tokens per second; 0: no limit */
	uint64_t burst_ns; /* that it fills in */
	uint64_t full_at; /* when it will be full, in ns */
};

#define BUCKET_MAX_RATE (UINT64_C(1) << 50)
#define BUCKET_MAX_BURST_S 3600

/* Returns the monotonic time in ns, for the functions below. */
uint64_t bucket_now(void);
/*
 * Sets the rate (0: no limit; at most BUCKET_MAX_RATE) and the tokens that a full bucket holds: at
 * most BUCKET_MAX_BURST_S seconds of the rate; 0: a tenth of a second's, and at least one.
 */
void bucket_set(struct bucket *b, uint64_t rate, uint64_t burst);
uint64_t bucket_rate(const struct bucket *b);
/* Returns the tokens that a full bucket holds. */
uint64_t bucket_burst(const struct bucket *b);
/*
 * Returns 0 if there is a token, or the time when to ask again: when there will be enough that
 * waking for them is worth it.
 */
uint64_t bucket_wait(const struct bucket *b, uint64_t now);
void bucket_take(struct bucket *b, uint64_t tokens, uint64_t now);
/* Undoes bucket_take(). */
void bucket_give_back(struct bucket *b, uint64_t tokens);

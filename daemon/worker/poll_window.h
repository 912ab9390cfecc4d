/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a worker looks for new requests by itself before it asks for kicks and goes to sleep.
 * Plain arithmetic on nanoseconds, with no clock of its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct poll_window {
	int64_t cap; /* 0: never poll */
	int64_t gap; /* moving average: how long polling has to wait for a request */
	int64_t open; /* the last window */
	unsigned misses; /* of trials, in a row */
	unsigned skip; /* windows until the next trial */
	bool hopeless; /* the last sleep was too long for a trial to be worth it */
};

void poll_window_init(struct poll_window *p, int64_t cap);
/* The worker has nothing to do: for how long is it to poll? */
int64_t poll_window_next(struct poll_window *p);
/* Something was found after so long. */
void poll_window_hit(struct poll_window *p, int64_t gap);
/* Nothing was, in the last window, or it was 0; something came after so long. */
void poll_window_slept(struct poll_window *p, int64_t gap);

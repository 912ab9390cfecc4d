/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests whose subject is time itself: a moment at which something is killed, a limit that
 * passes.
 */
#pragma once

#include <poll.h>
#include <time.h>

/*
 * Lets this many microseconds pass, less than a second. Not to wait for something: test.h has that.
 */
static inline void elapse(unsigned us)
{
	ppoll(NULL, 0, &(struct timespec){ .tv_nsec = us * 1000L }, NULL);
}

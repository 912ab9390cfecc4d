/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A back-end that tries to make a front-end keep what it must not keep, or wait where it must not
 * wait. It does one trick at a time:
 *
 *	hostile_begin()		it listens; or, by the trick, does not accept
 *	hostile_meet()		a front-end has connected, and may not have asked everything yet
 *	hostile_act()		the driver has started, as far as it could
 *	hostile_leave()		it has ended
 *	hostile_wait()		another one can be started
 *	hostile_end()		the files that it passed have ended, too
 */
#pragma once

#include "tests/lib/deaf_file.h"
#include "tests/lib/fake_backend.h"

#define HOSTILE_SHM_SIZE UINT64_C(0x10000) /* of shared memory region 1, which it shows */

struct hostile {
	struct fake_backend *b; /* the test's; down between two tricks */
	bool fuse; /* deaf files can be made */
	struct deaf_file deaf; /* fd -1: not now */
	GArray *own; /* fds to close in the end */
};

/* Initialises it; b is at the path that front-ends dial. */
void hostile_init(struct hostile *h, struct fake_backend *b);
void hostile_clear(struct hostile *h);

/* How many tricks there are; what one is called (to be freed). */
unsigned hostile_tricks(void);
char *hostile_name(unsigned trick);
/* Returns whether the front-end finds out only as its deadline passes. */
bool hostile_is_slow(unsigned trick);

/* No other process may be made until hostile_end(): deaf_file.h. */
void hostile_begin(struct hostile *h, unsigned trick);
void hostile_meet(struct hostile *h, unsigned trick);
void hostile_act(struct hostile *h, unsigned trick);
void hostile_leave(struct hostile *h);
/* The front-end may have been passed the listening socket, but does not keep it. */
void hostile_wait(struct hostile *h);
void hostile_end(struct hostile *h);

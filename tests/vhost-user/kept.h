/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that outlives its front-end: its sockets and its state are kept here. */
#pragma once

#include "front_fixture.h"

struct kept {
	int fd, channel;
	struct vu_front_state *state; /* shared with children */
};
extern struct kept kept;
extern const struct vu_front_events kept_events;

int kept_setup(void **state);
int kept_teardown(void **state);
int kept_dup(int fd);
/* A front-end, f, on sockets of which dups are kept. */
void kept_start(void);
/* That has died already. */
void kept_connect(void);
/* A new f goes on. */
void kept_adopt(void);
/* That f works: properties, configuration, and a change of that is told once. */
void kept_check(void);
void kept_finish(void);

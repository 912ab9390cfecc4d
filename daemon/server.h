/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings front-ends to the back-end: one at a time, from a listening socket or a connected one;
 * and ends on SIGTERM or SIGINT.
 */
#pragma once

#include "daemon/backend.h"

struct server;

/*
 * The back-end is idle, and outlives the server. fd, listening or connected, is the server's from
 * now on. With one_off it ends with its first front-end; so it does if fd is a connected socket.
 */
struct server *server_new(struct backend *b, int fd, bool one_off);
/*
 * Serves until there is a reason to end. False: requests are still in flight after a while, and
 * nothing of the back-end may be freed.
 */
bool server_run(struct server *s);
void server_free(struct server *s);

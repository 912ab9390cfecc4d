/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings front-ends to the back-end: one at a time, from a listening socket or a connected one;
 * and ends on SIGTERM or SIGINT.
 */
#pragma once

#include "daemon/session/backend.h"

struct server;

/*
 * The back-end is idle, and outlives the server. Signals are heeded from now on, so make it before
 * the socket is visible. With one_off it ends with the first front-end that sends anything.
 */
struct server *server_new(struct backend *b, bool one_off);
/* Statistics are logged on SIGUSR1; and from now on every so many seconds. Once. */
void server_log_stats_every(struct server *s, unsigned seconds);
/*
 * fd, listening or connected, is the server's from now on. With a connected one it ends with that
 * front-end.
 */
void server_start(struct server *s, int fd);
/*
 * Serves until there is a reason to end. False: requests are still in flight after a while, and
 * nothing of the back-end may be freed.
 */
bool server_run(struct server *s);
/* Ends as on SIGTERM: soon, from the main loop. */
void server_quit(struct server *s);
void server_free(struct server *s);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that another process makes, for one whose sandbox forbids that. The request names a path;
 * the other process connects to those that it was given beforehand, and to no others.
 */
#pragma once

#include <stdbool.h>

/*
 * From now on sock_connect(), sock_connect_now() and sock_pair() of this process ask the one at the
 * other end of fd (of sock_pair_records()), which is taken over.
 */
void sock_maker_use(int fd);
/* Returns whether sock_maker_use() was called. */
bool sock_maker_is_used(void);
/*
 * Returns a socket connected to path, without waiting for its server, or -errno: -ETIMEDOUT if the
 * other process does not answer for 3 s. Any thread.
 */
int sock_maker_connect(const char *path);
/* Makes two connected sockets as sock_pair() does. 0 or -errno, likewise. Any thread. */
int sock_maker_pair(int fds[2]);

/* Answers requests that arrive at fd, until its other end is closed. paths: a NULL-ended list. */
void sock_maker_serve(int fd, const char *const *paths);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that another process makes, for one whose sandbox forbids that. The request names a path;
 * the other process connects to those that it was given beforehand, and to no others.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What may be connected to. */
struct sock_maker_paths {
	const char *const *exact; /* NULL-ended; NULL: none */
	const char *const *stems; /* likewise: a decimal number follows, as in "/run/socket_1024" */
	const char *const *folders; /* likewise: all directly in them, by paths that begin so */
};

/* Returns whether path is that of a folder, as it stands there, and the name of something in it. */
bool sock_maker_is_in(const char *path, const char *folder);
/*
 * From now on sock_connect(), sock_connect_now(), sock_reach_datagram() and sock_pair() of this
 * process ask the one at the other end of fd (of sock_pair_records()), which is taken over.
 */
void sock_maker_use(int fd);
/*
 * Makes two connected sockets now, for the first sock_pair() after sock_maker_use(): the other
 * process need not be waited for then. False with errno.
 */
bool sock_maker_keep_pair(void);
/* Returns whether sock_maker_use() was called. */
bool sock_maker_is_used(void);
/*
 * Returns a socket connected to path, without waiting for its server, or -errno: -ETIMEDOUT if the
 * other process does not answer for 3 s. Any thread.
 */
int sock_maker_connect(const char *path);
/* Likewise, for datagrams. */
int sock_maker_connect_datagram(const char *path);
/* Makes two connected sockets as sock_pair() does, or gives the kept ones. Likewise. Any thread. */
int sock_maker_pair(int fds[2]);

/*
 * The same for one thread that waits for nothing. The process makes no other requests then.
 */

/* Returns what is readable when there is an answer; -1: no other process is used. */
int sock_maker_fd(void);
/*
 * Asks for a socket connected to path, for whole records (SOCK_SEQPACKET) or a stream. 0, or
 * -errno: -EAGAIN if too many requests are on their way.
 */
int sock_maker_ask(uint32_t serial, const char *path, bool records);
/*
 * Takes an answer: of the request with *serial, *result a socket, the caller's, or -errno. False:
 * there is none (now, or ever again, which is logged).
 */
bool sock_maker_take(uint32_t *serial, int *result);

/* Answers requests that arrive at fd, until its other end is closed. */
void sock_maker_serve(int fd, const struct sock_maker_paths *paths);

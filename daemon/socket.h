/* SPDX-License-Identifier: Apache-2.0 */
/* The socket of a daemon: made at a path, inherited by number, or passed by socket activation. */
#pragma once

#include <sys/stat.h>

#include "daemon/options.h"

/* The name of a socket that was made here. */
struct socket_name {
	int folder; /* O_PATH, owned; AT_FDCWD: path is absolute or relative; -1: out of reach */
	const char *path; /* from folder on; NULL: there is none */
	struct stat made; /* what it names */
};

/*
 * Returns whether exactly one socket is named, and, where it is an inherited one, whether it is a
 * Unix stream socket that listens or is connected: before anything else is opened. activated: how
 * many fds socket activation passed; *fd: the inherited socket (made non-blocking, and not for
 * children), or -1: to be made by daemon_socket_listen().
 */
bool daemon_socket_check(const struct options *o, unsigned activated, int *fd, GError **error);
/* Returns a socket that listens at --socket-path, or -1. */
int daemon_socket_listen(const struct options *o, GError **error);
/* Returns a socket that listens at --control, or -1. */
int daemon_socket_listen_control(const struct options *o, GError **error);
/*
 * Sets what daemon_socket_remove() needs, while the path (NULL: there is none) can be found. keep:
 * by its folder, as the path cannot be found later.
 */
void daemon_socket_name(struct socket_name *name, const char *path, bool keep);
/* Removes the name at the program's end, if it still leads to the socket and that is permitted. */
void daemon_socket_remove(struct socket_name *name);

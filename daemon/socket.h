/* SPDX-License-Identifier: Apache-2.0 */
/* The socket of a daemon: made at a path, inherited by number, or passed by socket activation. */
#pragma once

#include "daemon/options.h"

/*
 * Returns whether exactly one socket is named, and, where it is an inherited one, whether it is a
 * Unix stream socket that listens or is connected: before anything else is opened. activated: how
 * many fds socket activation passed; *fd: the inherited socket (made non-blocking, and not for
 * children), or -1: to be made by daemon_socket_listen().
 */
bool daemon_socket_check(const struct options *o, unsigned activated, int *fd, GError **error);
/* Returns a socket that listens at --socket-path, or -1. */
int daemon_socket_listen(const struct options *o, GError **error);

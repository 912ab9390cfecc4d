/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon gives up before it reads the first byte of a front-end. */
#pragma once

#include "daemon/options.h"
#include "daemon/session/backend.h"
#include "daemon/socket.h"

/* Sockets that were made here: --socket-path, --control. */
struct socket_names {
	struct socket_name front_end, control;
};

/*
 * Drops the privileges that the options name, and, by --sandbox, all that neither the core nor the
 * device (ops->needs) needs any more; starts the back-end's threads; sets names. The device is open
 * and the socket listens. To be called once, while the process has one thread. On error it must
 * exit.
 */
bool daemon_sandbox_enter(
	struct backend *b, struct options *o, struct socket_names *names, GError **error);

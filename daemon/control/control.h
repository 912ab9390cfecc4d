/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket (--control): JSON-RPC 2.0, one object a line, for the operator of the daemon.
 * It serves the methods of every daemon (methods.c) and those of the device (device.h), and sends
 * events of the device to clients that ask for them. All of it runs on the main loop; only methods
 * of the device run elsewhere (backend_call()), one at a time. A client that does not read gets no
 * further answer, and delays none but its own.
 */
#pragma once

#include "daemon/session/backend.h"
#include "daemon/session/server.h"

struct control;

/*
 * fd listens, and is the control's from now on. Root, the user or group that calls this, and those
 * that the process has when a client connects may use it.
 */
struct control *control_new(struct backend *b, struct server *s, int fd);
/* After the back-end, which may still run a method. NULL is nothing. */
void control_free(struct control *c);

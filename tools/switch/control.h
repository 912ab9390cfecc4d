/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket of the switch (--control): JSON-RPC 2.0, as that of the daemons. */
#pragma once

#include "control/server.h"
#include "tools/switch/switcher.h"

struct switch_control {
	struct control_server server;
	struct switcher *sw;
	GMainLoop *loop; /* what the method "quit" ends */
};

/* fd listens, and is the control's from now on, until control_server_stop(). */
void switch_control_start(struct switch_control *c, struct switcher *sw, GMainLoop *loop, int fd);

/* SPDX-License-Identifier: Apache-2.0 */
/* Device-specific messages: what both kinds of run have of kit_wire.c. */
#pragma once

#include "tests/lib/kit_core.h"
#include "vhost-user/wire/vu_msg.h"

/* Sends a message, whose fds stay the caller's; on return it is the reply. False: refused. */
bool kit_core_message(struct kit_core *c, struct vu_msg *msg);
bool kit_socket_message(int fd, struct vu_msg *msg);
/* Saves or loads the device's state; the queues of the socket's device are stopped. */
bool kit_core_state(struct kit_core *c, GByteArray *state, bool load);
bool kit_socket_state(int fd, GByteArray *state, bool load);

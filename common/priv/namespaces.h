/* SPDX-License-Identifier: Apache-2.0 */
/* Leaving the host's namespaces. */
#pragma once

#include <stdbool.h>

#include "priv/sandbox.h"

/*
 * Gives the process a network (unless keep_network) and an IPC namespace of its own, both empty.
 * Without the capability it takes a user namespace, too, if may_be_user is set, in which it has all
 * capabilities: over these namespaces alone. Open sockets stay in the host's network. Reports what
 * is not permitted here. The process must have one thread.
 */
void namespaces_enter(bool keep_network, bool may_be_user, struct sandbox_report *missing);

/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker gives up before it reads anything that a guest wrote. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "priv/sandbox.h"

/*
 * Restricts the process, which must have one thread, and all its threads to come: user uid (0: the
 * current one) in the directory root, which is empty ("": one without a name), no capabilities, no
 * network, no core dumps, no tracing, few files; only the system calls that a worker needs, and of
 * all ioctls device model operations, event channel notifications and mappings of the guest's
 * memory. All else ends it (priv/syscall_filter.h). On error the process is in an undefined state
 * and must exit. With SANDBOX_NONE it only changes user and root directory, and forbids tracing.
 */
bool worker_sandbox_enter(
	enum sandbox_mode mode, const char *root, uid_t uid, gid_t gid, GError **error);

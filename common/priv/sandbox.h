/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker gives up before it looks at anything that a guest wrote. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

struct sandbox {
	const char *root; /* an empty folder; "": stay where we are */
	uid_t uid; /* 0: stay who we are */
	gid_t gid;
};

/*
 * For all threads to come, and for good: that user in an empty root, no new privileges, no core, not
 * to be traced, few files; and of all system calls those that a worker needs, of all ioctls device
 * model operations and event channel notifications. To be called while there is one thread.
 * Others fail with EPERM. An error leaves it somewhere in between: to be ended.
 */
bool sandbox_enter(const struct sandbox *s, GError **error);

/* SPDX-License-Identifier: Apache-2.0 */
/* Giving up capabilities. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/*
 * No program that is executed gains any. This takes a capability itself, without which nothing
 * happens.
 */
void capabilities_unbind(void);
/*
 * Leaves the calling thread, and those that it makes, none: effective, permitted, inheritable or
 * ambient.
 */
bool capabilities_drop(GError **error);
/* Likewise, but for cap (CAP_...), if the thread has it. */
bool capabilities_keep(unsigned cap, GError **error);
/* Returns whether the calling thread has any, or that is not known. */
bool capabilities_left(void);

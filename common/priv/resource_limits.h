/* SPDX-License-Identifier: Apache-2.0 */
/* Resource limits. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/resource.h>

struct resource_limit {
	int resource; /* RLIMIT_... */
	rlim_t max;
};

/* Lowers the hard limit to max, unless it is lower already, and sets the soft limit to it. */
bool resource_limit_lower(const struct resource_limit *limit, GError **error);

/* SPDX-License-Identifier: Apache-2.0 */
/* Lowering resource limits. */
#include "priv/resource_limits.h"

#include <errno.h>

#include "base/error.h"

bool resource_limit_lower(const struct resource_limit *limit, GError **error)
{
	struct rlimit now;

	if (getrlimit(limit->resource, &now) == 0) {
		now.rlim_max = MIN(now.rlim_max, limit->max);
		now.rlim_cur = now.rlim_max;
		if (setrlimit(limit->resource, &now) == 0)
			return true;
	}
	error_errno(error, errno, "cannot lower resource limit %d", limit->resource);
	return false;
}

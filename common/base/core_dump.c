/* SPDX-License-Identifier: Apache-2.0 */
/* See core_dump.h. */
#include "base/core_dump.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

void core_dump_forbid(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_cur == 0)
		return;
	limit.rlim_cur = 0;
	setrlimit(RLIMIT_CORE, &limit);
}

void *core_dump_exclude(void *addr, size_t len)
{
	int saved = errno;

	/* Old kernels refuse it for some files, which is no reason to fail. */
	if (addr != MAP_FAILED)
		madvise(addr, len, MADV_DONTDUMP);
	errno = saved;
	return addr;
}

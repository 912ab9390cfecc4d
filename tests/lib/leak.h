/* SPDX-License-Identifier: Apache-2.0 */
/* How many file descriptors are open: a test compares before and after. */
#pragma once

#include <dirent.h>

static inline unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

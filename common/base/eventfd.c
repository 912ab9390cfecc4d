/* SPDX-License-Identifier: Apache-2.0 */
/* See eventfd.h. */
#include "base/eventfd.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>

#include "base/nowait.h"

static const uint64_t one = 1;

void eventfd_signal(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	/* What poll() reports may be wrong by now, but most often saves the interruption. */
	if (fd >= 0 && poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLOUT))
		nowait_write(fd, &one, sizeof(one));
}

void eventfd_signal_fast(int fd, bool *full)
{
	if (__atomic_load_n(full, __ATOMIC_RELAXED))
		eventfd_signal(fd);
	else if (fd >= 0 && nowait_write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		__atomic_store_n(full, true, __ATOMIC_RELAXED);
}

bool eventfd_collect(int fd)
{
	uint64_t count;

	return nowait_read(fd, &count, sizeof(count)) == sizeof(count);
}

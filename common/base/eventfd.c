/* SPDX-License-Identifier: Apache-2.0 */
/* Signals of eventfds. */
#include "base/eventfd.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

void eventfd_signal(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	uint64_t one = 1;

	/* A counter so full that write() would block is as good as signalled. */
	if (fd < 0 || poll(&pfd, 1, 0) <= 0 || !(pfd.revents & POLLOUT))
		return;
	if (write(fd, &one, sizeof(one)) < 0)
		log_debug(NULL, "cannot signal an eventfd: %s", g_strerror(errno));
}

bool eventfd_is(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == 0;
}

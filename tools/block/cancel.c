/* SPDX-License-Identifier: Apache-2.0 */
/* See cancel.h: a signal handler that only writes to an eventfd. */
#include "tools/block/cancel.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int event_fd = -1;
static volatile sig_atomic_t caught;

static void on_signal(int signum)
{
	int saved = errno;
	uint64_t one = 1;
	ssize_t n;

	caught = signum;
	n = write(event_fd, &one, sizeof(one));
	(void)n; /* the eventfd takes any number of these */
	errno = saved;
}

void cancel_on_signals(void)
{
	/* No SA_RESTART: a read() of a slow pipe ends with EINTR. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };

	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event_fd < 0)
		return; /* then a signal kills, as it did */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int cancel_fd(void)
{
	return event_fd;
}

int cancel_signal(void)
{
	return caught;
}

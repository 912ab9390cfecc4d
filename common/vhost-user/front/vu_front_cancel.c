/* SPDX-License-Identifier: Apache-2.0 */
/* Waits of the front-end that end when the caller cancels. */
#include <poll.h>

#include "base/sock.h"
#include "vhost-user/front/vu_front_impl.h"

#define DIAL_S 3
#define DIAL_STEP_MS 20

bool vu_front_wait(const struct vu_front_options *o, int fd, short events, unsigned timeout_ms)
{
	struct pollfd pfd[] = { { .fd = fd, .events = events },
		{ .fd = o->cancel ? *o->cancel : -1, .events = POLLIN } };

	return poll(pfd, G_N_ELEMENTS(pfd), (int)timeout_ms) <= 0 || !pfd[1].revents;
}

/*
 * Dials in steps: while its backlog is full, connect() would wait without noticing that the
 * caller cancels.
 */
int vu_front_dial(const struct vu_front_options *o, const char *path, GError **error)
{
	gint64 end = g_get_monotonic_time() + DIAL_S * G_TIME_SPAN_SECOND;
	g_autoptr(GError) why = NULL;
	int fd;

	if (!o->cancel)
		return sock_connect(path, error);
	do {
		g_clear_error(&why);
		fd = sock_connect_now(path, &why);
	} while (g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_AGAIN) &&
		g_get_monotonic_time() < end && vu_front_wait(o, -1, 0, DIAL_STEP_MS));
	if (g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_AGAIN))
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN,
			"cannot connect to '%s': its server has accepted no connection for %u s",
			path, DIAL_S);
	else if (why)
		g_propagate_error(error, g_steal_pointer(&why));
	return fd;
}

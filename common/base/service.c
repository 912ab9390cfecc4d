/* SPDX-License-Identifier: Apache-2.0 */
/* sd_notify(3) and sd_listen_fds(3), which are datagrams and a few environment variables. */
#include "base/service.h"

#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/sock.h"
#include "base/util.h"

/* How long a service manager that reads nothing may delay the program, and its end. */
#define NOTIFY_MS 100

static int kept = -1; /* connected to $NOTIFY_SOCKET */
static bool is_kept; /* it is that, or nothing: no other can be made any more */
static struct loop_watch *watchdog;

/* Connects; -1 without such a variable. */
static int dial(void)
{
	const char *path = g_getenv("NOTIFY_SOCKET");
	int fd;

	if (!path || !*path)
		return -1;
	fd = sock_connect_datagram(path);
	if (fd < 0)
		log_warning(NULL, "cannot notify '%s': %s", path, g_strerror(-fd));
	return fd;
}

void service_notify_keep(void)
{
	fd_close(&kept);
	kept = dial();
	is_kept = true;
}

void service_notify(const char *state)
{
	autofd dialled = is_kept ? -1 : dial();
	int fd = is_kept ? kept : dialled;
	int err;

	if (fd < 0)
		return;
	err = sock_send(fd, state, strlen(state), NULL, 0, NOTIFY_MS);
	if (err)
		log_warning(NULL, "cannot notify of %s: %s", state, g_strerror(-err));
}

static bool getenv_number(const char *name, guint64 max, guint64 *number)
{
	const char *value = g_getenv(name);

	return value && g_ascii_string_to_unsigned(value, 10, 0, max, number, NULL);
}

static void feed(void *opaque)
{
	service_notify("WATCHDOG=1");
}

/* Starts it if it is for us, as sd_watchdog_enabled(3) says. The variables stay, for exec(). */
static void start_watchdog(void)
{
	guint64 pid = 0, us = 0;
	bool ours = !g_getenv("WATCHDOG_PID") ||
		(getenv_number("WATCHDOG_PID", G_MAXINT, &pid) && pid == (guint64)getpid());

	if (watchdog || !ours || !getenv_number("WATCHDOG_USEC", G_MAXUINT64, &us) || !us)
		return;
	/* Half of it, as that manual advises. */
	watchdog = loop_watch_timer(CLAMP(us / 2000, 1, G_MAXINT), feed, NULL);
}

void service_ready(void)
{
	service_notify("READY=1");
	start_watchdog();
}

void service_stopping(void)
{
	service_notify("STOPPING=1");
	g_clear_pointer(&watchdog, loop_watch_free);
}

unsigned service_listen_fds(void)
{
	guint64 pid = 0, n = 0;
	bool ours = getenv_number("LISTEN_PID", G_MAXINT, &pid) && pid == (guint64)getpid() &&
		getenv_number("LISTEN_FDS", G_MAXINT, &n);

	g_unsetenv("LISTEN_PID");
	g_unsetenv("LISTEN_PIDFDID");
	g_unsetenv("LISTEN_FDS");
	g_unsetenv("LISTEN_FDNAMES");
	return ours ? n : 0;
}

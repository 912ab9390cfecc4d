/* SPDX-License-Identifier: Apache-2.0 */
/* Ports that connect, and do so again when the peer has left. */
#include <errno.h>
#include <fcntl.h>

#include "base/error.h"
#include "base/sock.h"
#include "base/util.h"
#include "tools/switch/port.h"
#include "tools/switch/switcher.h"

/* Between attempts: doubled each time, until frames arrive. */
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 5000

static void on_retry(void *opaque)
{
	struct port *p = opaque;

	g_clear_pointer(&p->retry, loop_watch_free);
	port_dial(p);
}

void port_dial_later(struct port *p)
{
	p->retry_ms = CLAMP(2 * p->retry_ms, RETRY_MIN_MS, RETRY_MAX_MS);
	p->retry = loop_watch_timer(p->retry_ms, on_retry, p);
}

bool port_set_nonblocking(int fd, GError **error)
{
	int flags = fcntl(fd, F_GETFL);

	return (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0) ||
		error_errno(error, errno, "file descriptor %d", fd);
}

void port_dial(struct port *p)
{
	g_autoptr(GError) error = NULL;
	autofd fd = sock_connect_now(p->settings->path, &error);

	if (fd >= 0 && port_set_nonblocking(fd, &error)) {
		p->told = false;
		switcher_attach(p->sw, p, fd_steal(&fd));
		return;
	}
	if (!p->told)
		log_warning(p->name, "%s (trying again)", error->message);
	p->told = true;
	port_dial_later(p);
}

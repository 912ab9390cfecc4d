/* SPDX-License-Identifier: Apache-2.0 */
/* What is opened, or was inherited, before the sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/sock.h"
#include "base/util.h"
#include "net/tap.h"
#include "tools/switch/listener.h"
#include "tools/switch/port.h"

/* Checks an inherited socket. */
static bool check_socket(int fd, bool listens, GError **error)
{
	int type = 0;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return error_errno(error, errno, "file descriptor %d", fd);
	if (type != SOCK_STREAM || sock_is_listening(fd) != listens)
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"file descriptor %d is no stream socket that %s", fd,
			listens ? "listens" : "is connected");
	return port_set_nonblocking(fd, error) &&
		(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ||
			error_errno(error, errno, "file descriptor %d", fd));
}

/* Takes an inherited tap; the kernel completes frames that are for it. */
static bool take_tap(struct port *p, int fd, GError **error)
{
	struct net_tap tap;
	int err;

	if (!net_tap_take(fd, &tap, error))
		return false;
	p->has_header = tap.header;
	err = net_tap_set_offloads(fd, 0);
	return !err || error_errno(error, -err, "cannot set the offloads of tap '%s'", tap.name);
}

bool switcher_add_port(struct switcher *sw, struct port_settings *s, GError **error)
{
	struct port *p = port_new(sw, s, true);

	p->name = g_strdup(s->name);
	g_ptr_array_add(sw->ports, p);
	if (s->path)
		return true;
	if (s->tap)
		return net_tap_open(s->tap, false, 1, &p->settings->fd, error);
	return s->is_tap ? take_tap(p, s->fd, error) : check_socket(s->fd, false, error);
}

bool switcher_add_listener(
	struct switcher *sw, struct port_settings *s, mode_t mode, gid_t group, GError **error)
{
	if (s->path)
		s->fd = sock_listen(s->path, mode, group, error);
	else if (!check_socket(s->fd, true, error))
		return false;
	if (s->fd < 0)
		return false;
	g_ptr_array_add(sw->listeners, listener_new(sw, s, fd_steal(&s->fd)));
	return true;
}

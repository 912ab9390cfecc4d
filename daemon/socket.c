/* SPDX-License-Identifier: Apache-2.0 */
/* See socket.h. */
#include "daemon/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/option.h"
#include "base/service.h"
#include "base/sock.h"
#include "base/util.h"

static bool bad_fd(int fd, const char *why, GError **error)
{
	return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "socket fd %d: %s", fd, why);
}

static bool check_inherited(int fd, GError **error)
{
	int domain = 0, type = 0, flags = fcntl(fd, F_GETFL);
	socklen_t len = sizeof(int), peer_len = sizeof(struct sockaddr_un);
	struct sockaddr_un peer;

	if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return bad_fd(fd, g_strerror(errno), error);
	if (domain != AF_UNIX || type != SOCK_STREAM)
		return bad_fd(fd, "not a Unix stream socket", error);
	if (!sock_is_listening(fd) && getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0)
		return bad_fd(fd, "neither listening nor connected", error);
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return bad_fd(fd, g_strerror(errno), error);
	return true;
}

bool daemon_socket_check(const struct options *o, unsigned activated, int *fd, GError **error)
{
	*fd = activated ? SERVICE_LISTEN_FD : o->fd;
	if (activated && (o->socket_path || o->fd >= 0))
		return option_bad(error,
			"%s and a socket passed by socket activation (LISTEN_FDS) exclude each "
			"other",
			o->socket_path ? "--socket-path" : "--fd");
	if (activated > 1)
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"socket activation passed %u sockets (LISTEN_FDS): one is needed",
			activated);
	if (*fd >= 0)
		return check_inherited(*fd, error);
	return o->socket_path ||
		option_bad(error, "one of --socket-path=PATH and --fd=N is needed (try --help)");
}

int daemon_socket_listen(const struct options *o, GError **error)
{
	return sock_listen(o->socket_path, o->socket_mode, o->socket_group, error);
}

int daemon_socket_listen_control(const struct options *o, GError **error)
{
	return sock_listen(o->control, 0600, (gid_t)-1, error);
}

void daemon_socket_name(struct socket_name *name, const char *path, bool keep)
{
	g_autofree char *folder = NULL;
	const char *slash;

	*name = (struct socket_name){ .folder = AT_FDCWD, .path = path };
	if (name->path && keep)
		name->folder = -1;
	if (!name->path || lstat(name->path, &name->made) < 0 || !keep)
		return;
	slash = strrchr(name->path, '/');
	folder = g_path_get_dirname(name->path);
	name->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (slash)
		name->path = slash + 1;
}

/*
 * Removes the name. After privileges were dropped that may not be permitted, and in another root it
 * cannot be found: the next start replaces it.
 */
void daemon_socket_remove(struct socket_name *name)
{
	struct stat now;

	if (name->path && name->folder != -1 &&
		(fstatat(name->folder, name->path, &now, AT_SYMLINK_NOFOLLOW) < 0 ||
			(now.st_ino == name->made.st_ino && now.st_dev == name->made.st_dev)) &&
		unlinkat(name->folder, name->path, 0) < 0)
		log_debug(NULL, "cannot remove '%s': %s", name->path, g_strerror(errno));
	if (name->folder >= 0)
		fd_close(&name->folder);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets: the only file that makes any. */
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/sock_maker.h"
#include "base/util.h"

#define CONNECT_TIMEOUT_S 3
#define ASK_PAUSE_US 20000
#define LOCK_TRIES 100
#define LOCK_PAUSE_US 10000

static void set_error(GError **error, int err, const char *what, const char *path)
{
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err), "%s '%s': %s", what, path,
		g_strerror(err));
}

static bool set_address(struct sockaddr_un *address, const char *path, GError **error)
{
	size_t len = strlen(path);

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len == 0) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "the socket path is empty");
		return false;
	}
	if (len >= sizeof(address->sun_path)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NAMETOOLONG,
			"socket path '%s' is %zu bytes long, the limit is %zu", path, len,
			sizeof(address->sun_path) - 1);
		return false;
	}
	memcpy(address->sun_path, path, len);
	return true;
}

/*
 * Locks the directory. Of two daemons started at the same path at the same time, each could take
 * the other's socket, bound but not yet listening, for a stale one: finding out and replacing is
 * done under this lock. Any process that can read the directory can hold it: after a second goes
 * on without.
 */
static int lock_directory(const char *path)
{
	g_autofree char *dir = g_path_get_dirname(path);
	autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
		g_usleep(LOCK_PAUSE_US);
	return fd_steal(&fd);
}

/* Makes path free for bind(): removes a socket without a listener, refuses anything else. */
static bool clear_path(const struct sockaddr_un *address, GError **error)
{
	const char *path = address->sun_path;
	autofd fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return true;
		set_error(error, errno, "cannot listen at", path);
		return false;
	}
	if (!S_ISSOCK(st.st_mode)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
			"cannot listen at '%s': it exists and is not a socket", path);
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		set_error(error, errno, "no socket for", path);
		return false;
	}
	/* A full backlog (EAGAIN) and another type (EPROTOTYPE) mean that somebody is there. */
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		errno == EAGAIN || errno == EPROTOTYPE) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
			"cannot listen at '%s': another process serves it", path);
		return false;
	}
	if (errno != ENOENT && (errno != ECONNREFUSED || unlink(path) < 0)) {
		set_error(error, errno, "cannot replace the socket", path);
		return false;
	}
	return true;
}

/*
 * Binds and, but for datagrams, listens. The umask sets the file's mode; no client can connect
 * before listen().
 */
static bool bind_and_listen(int fd, int type, const struct sockaddr_un *address, mode_t mode,
	gid_t group, GError **error)
{
	const char *path = address->sun_path;
	mode_t saved = umask(~mode & 0777);
	int err = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;

	umask(saved);
	if (err) {
		set_error(error, err, "cannot make the socket", path);
		return false;
	}
	if (group != (gid_t)-1 && lchown(path, -1, group) < 0) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			"cannot give '%s' to group %u: %s", path, (unsigned)group,
			g_strerror(errno));
		unlink(path);
		return false;
	}
	if (type != SOCK_DGRAM && listen(fd, SOMAXCONN) < 0) {
		set_error(error, errno, "cannot listen at", path);
		unlink(path);
		return false;
	}
	return true;
}

static int serve(int type, const char *path, mode_t mode, gid_t group, GError **error)
{
	autofd fd = -1, lock = -1;
	struct sockaddr_un address;

	if (!set_address(&address, path, error))
		return -1;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		set_error(error, errno, "no socket for", path);
		return -1;
	}
	lock = lock_directory(path);
	if (!clear_path(&address, error) ||
		!bind_and_listen(fd, type, &address, mode, group, error))
		return -1;
	return fd_steal(&fd);
}

int sock_listen(const char *path, mode_t mode, gid_t group, GError **error)
{
	return serve(SOCK_STREAM, path, mode, group, error);
}

int sock_listen_records(const char *path, mode_t mode, GError **error)
{
	return serve(SOCK_SEQPACKET, path, mode, (gid_t)-1, error);
}

int sock_bind_datagram(const char *path, mode_t mode, GError **error)
{
	return serve(SOCK_DGRAM, path, mode, (gid_t)-1, error);
}

/* Connects. timeout_s: how long a full backlog may delay it; 0: not at all. fd, or -errno. */
static int connect_to(int type, const struct sockaddr_un *address, unsigned timeout_s)
{
	struct timeval timeout = { .tv_sec = timeout_s }, none = { 0 };
	autofd fd = -1;
	int ret;

	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | (timeout_s ? 0 : SOCK_NONBLOCK), 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	do {
		ret = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	} while (ret < 0 && errno == EINTR);
	if (ret < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)) < 0 ||
		fcntl(fd, F_SETFL, 0) < 0)
		return -errno;
	return fd_steal(&fd);
}

/* Does the same by the process that makes sockets for this one. */
static int ask_for(const char *path, unsigned timeout_s)
{
	gint64 end = g_get_monotonic_time() + timeout_s * G_TIME_SPAN_SECOND;
	int fd;

	while ((fd = sock_maker_connect(path)) == -EAGAIN && g_get_monotonic_time() < end)
		g_usleep(ASK_PAUSE_US);
	return fd;
}

/* Connects, however long a wedged server delays it up to timeout_s. */
static int dial(const char *path, unsigned timeout_s, GError **error)
{
	struct sockaddr_un address;
	int fd;

	if (!set_address(&address, path, error))
		return -1;
	fd = sock_maker_is_used() ? ask_for(path, timeout_s)
				  : connect_to(SOCK_STREAM, &address, timeout_s);
	if (fd >= 0)
		return fd;
	if (fd == -EAGAIN)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN,
			"cannot connect to '%s': its server has accepted no connection for %u s",
			path, timeout_s);
	else
		set_error(error, -fd, "cannot connect to", path);
	return -1;
}

int sock_try(const char *path)
{
	struct sockaddr_un address;

	return set_address(&address, path, NULL) ? connect_to(SOCK_STREAM, &address, 0) : -EINVAL;
}

int sock_try_records(const char *path)
{
	struct sockaddr_un address;

	return set_address(&address, path, NULL) ? connect_to(SOCK_SEQPACKET, &address, 0)
						 : -EINVAL;
}

int sock_connect(const char *path, GError **error)
{
	return dial(path, CONNECT_TIMEOUT_S, error);
}

int sock_connect_now(const char *path, GError **error)
{
	return dial(path, 0, error);
}

int sock_listen_ip(const struct sockaddr *address, socklen_t len)
{
	bool is_v6 = address->sa_family == AF_INET6;
	const int on = 1;
	autofd fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* IPv4 is another address, and connections that have ended do not keep this one. */
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
		(!is_v6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
		bind(fd, address, len) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd_steal(&fd);
	return -errno;
}

int sock_accept(int fd)
{
	int conn;

	do {
		conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (conn < 0 && errno == EINTR);
	return conn;
}

bool sock_pair(int fds[2])
{
	int err;

	if (sock_maker_is_used()) {
		err = sock_maker_pair(fds);
		errno = -err;
		return !err;
	}
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0;
}

bool sock_pair_records(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0;
}

bool sock_is_listening(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

pid_t sock_peer_pid(int fd)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
}

bool sock_peer_user(int fd, uid_t *uid, gid_t *gid)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	*uid = peer.uid;
	*gid = peer.gid;
	return true;
}

int sock_connect_datagram(const char *path)
{
	autofd fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	socklen_t address_len = offsetof(struct sockaddr_un, sun_path) + strlen(path);

	if (!set_address(&address, path, NULL))
		return -EINVAL;
	if (*path == '@') /* an abstract name begins with NUL and is as long as the address says */
		address.sun_path[0] = '\0';
	if (fd < 0 ||
		connect(fd, (struct sockaddr *)&address,
			*path == '@' ? address_len : sizeof(address)) < 0)
		return -errno;
	return fd_steal(&fd);
}

int sock_reach_datagram(const char *path)
{
	return sock_maker_is_used() ? sock_maker_connect_datagram(path)
				    : sock_connect_datagram(path);
}

/* Compares names, which alone tell who is connected to whom: one made for fd is no other's. */
bool sock_is_peer_of(int fd, int ours)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX }, peer = { 0 };
	socklen_t len = sizeof(name), peer_len = sizeof(peer);

	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		return false;
	if (len == sizeof(name.sun_family)) {
		len = sizeof(name);
		if (bind(fd, (const struct sockaddr *)&name, sizeof(name.sun_family)) < 0 ||
			getsockname(fd, (struct sockaddr *)&name, &len) < 0)
			return false;
	}
	return getpeername(ours, (struct sockaddr *)&peer, &peer_len) == 0 && peer_len == len &&
		!memcmp(&peer, &name, len);
}

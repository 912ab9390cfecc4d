/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets, and file descriptors sent over them. Every fd made here is CLOEXEC. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Largest number of fds in one message: SCM_MAX_FD of Linux. */
#define SOCK_MAX_FDS 253

/*
 * A listening, non-blocking socket at path, with this mode from the first moment on, and this
 * group ((gid_t)-1: as created). A socket file without a listener is replaced; one that
 * somebody serves, or any other kind of file, is an error that names it. -1 on error.
 */
int sock_listen(const char *path, mode_t mode, gid_t group, GError **error);
/* Likewise, for whole records (SOCK_SEQPACKET). */
int sock_listen_records(const char *path, mode_t mode, GError **error);
/*
 * A connected socket, blocking; -1 on error (G_FILE_ERROR, e.g. NOENT; refused:
 * G_FILE_ERROR_FAILED; a server that accepts nothing for 3 s: G_FILE_ERROR_AGAIN).
 */
int sock_connect(const char *path, GError **error);
/* Likewise, without waiting: G_FILE_ERROR_AGAIN at once while the server accepts nothing. */
int sock_connect_now(const char *path, GError **error);
/* Likewise, by this process itself whatever sock_maker.h has; -errno. */
int sock_try(const char *path);
/* The same to a socket of whole records (SOCK_SEQPACKET). */
int sock_try_records(const char *path);
/* Returns a listening, non-blocking socket at an address of IP, or -errno. */
int sock_listen_ip(const struct sockaddr *address, socklen_t len);
/* The next connection, non-blocking; -1 with errno as accept4(). */
int sock_accept(int fd);
/* Two sockets connected to each other, blocking. False with errno as socketpair(). */
bool sock_pair(int fds[2]);
/* Likewise, for whole records (SOCK_SEQPACKET); sock_send() and sock_recv() take one each. */
bool sock_pair_records(int fds[2]);
/* True for a listening socket, false for a connected one (SO_ACCEPTCONN). */
bool sock_is_listening(int fd);
/* The process that listens (or made the pair), by its own word to the kernel; 0: not known. */
pid_t sock_peer_pid(int fd);
/* The user and group of the process that connected; false: not known. */
bool sock_peer_user(int fd, uid_t *uid, gid_t *gid);

/* For datagrams to the socket at path ("@name": an abstract one); blocking. -errno on error. */
int sock_connect_datagram(const char *path);
/* Likewise, also in a sandbox (sock_maker.h). */
int sock_reach_datagram(const char *path);
/* A non-blocking socket at path that datagrams can be sent to; -1 as sock_listen(). */
int sock_bind_datagram(const char *path, mode_t mode, GError **error);

/*
 * Sends all len bytes, the fds with the first one; waits (poll) while a non-blocking socket is
 * full, or too many fds are on their way (ETOOMANYREFS), at most timeout_ms (-1: for ever). 0, or
 * -errno (-EPIPE when the peer is gone, never SIGPIPE; -ETIMEDOUT).
 */
int sock_send(int fd, const void *buf, size_t len, const int *fds, unsigned n_fds, int timeout_ms);
/* Sends as much as there is room for, without waiting: bytes, or -1 with errno (no SIGPIPE). */
ssize_t sock_send_some(int fd, const void *buf, size_t len);
/*
 * One recvmsg() of up to len bytes, without waiting. Returns the bytes read, 0 at the end of the
 * stream, or -errno (-EAGAIN: nothing there). fds arriving are stored from fds[*n_fds] on and
 * *n_fds grows; they are the caller's, also on error. More than fit, or MSG_CTRUNC: the surplus
 * is closed and *truncated set; otherwise *truncated is left as it was. With max_fds 0 the kernel
 * makes none of them, so that none has to be closed (fd_kind.h).
 */
ssize_t sock_recv(int fd, void *buf, size_t len, int *fds, unsigned max_fds, unsigned *n_fds,
	bool *truncated);
/*
 * Copies up to len bytes from the head of the stream and leaves them there, with any fds. Returns
 * as sock_recv() does.
 */
ssize_t sock_peek(int fd, void *buf, size_t len);
/* How many bytes wait to be read, or -errno. *ended: no more will come, the peer has closed. */
ssize_t sock_unread(int fd, bool *ended);
/* Returns whether there are fds with the first 64 KiB of what waits to be read. */
bool sock_has_unread_fds(int fd);
/*
 * Returns whether fd, a Unix socket, is the other end of our socket: who keeps it never sees the
 * peer leave. To find out, fd is given a name (an abstract address) if it has none.
 */
bool sock_is_peer_of(int fd, int ours);

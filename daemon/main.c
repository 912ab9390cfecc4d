/* SPDX-License-Identifier: Apache-2.0 */
/* main() of every virtiod-<device>: options, device, socket, and then the loop. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/service.h"
#include "base/sock.h"
#include "base/footprint.h"
#include "base/util.h"
#include "daemon/options.h"
#include "daemon/session/server.h"
#include "memory/guest_mem.h"
#include "memory/types/mem_xen.h"

/* Checks a socket that was inherited. */
static int inherited_socket(int fd, GError **error)
{
	int domain = 0, type = 0, flags = fcntl(fd, F_GETFL);
	socklen_t len = sizeof(int);

	if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "socket fd %d: %s",
			fd, g_strerror(errno));
		return -1;
	}
	if (domain != AF_UNIX || type != SOCK_STREAM) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"socket fd %d: not a Unix stream socket", fd);
		return -1;
	}
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "socket fd %d: %s",
			fd, g_strerror(errno));
		return -1;
	}
	return fd;
}

/* The socket to serve, or -1. */
static int open_socket(const struct options *o, GError **error)
{
	int fd;

	if (o->socket_path)
		return sock_listen(o->socket_path, o->socket_mode, o->socket_group, error);
	if (o->fd >= 0)
		return inherited_socket(o->fd, error);
	fd = service_listen_fd();
	if (fd == -2)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"more than one socket was passed by socket activation");
	else if (fd == -1)
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
			"one of --socket-path=PATH and --fd=N is needed (try --help)");
	return fd < 0 ? -1 : inherited_socket(fd, error);
}

/*
 * Removes the socket if it is still the one that was made here. After privileges were dropped that
 * may not be permitted, and in another root it cannot be found: the next start replaces it.
 */
static void remove_socket(const char *path, const struct stat *ours)
{
	struct stat now;

	if (lstat(path, &now) == 0 && (now.st_ino != ours->st_ino || now.st_dev != ours->st_dev))
		return;
	if (unlink(path) < 0)
		log_debug(NULL, "cannot remove '%s': %s", path, g_strerror(errno));
}

/* Nothing has been read of what a front-end may have sent. Sets *idle as server_run() does. */
static bool serve(
	struct server *s, struct backend *b, struct options *o, int fd, bool *idle, GError **error)
{
	struct stat ours = { 0 };
	bool ok;

	if (o->socket_path)
		lstat(o->socket_path, &ours);
	if (o->privileges.chroot)
		service_notify_keep();
	ok = privileges_drop(&o->privileges, error) && backend_start_workers(b, error);
	*idle = true;
	if (ok) {
		server_start(s, fd);
		if (o->socket_path)
			log_info(NULL, "listening at %s", o->socket_path);
		service_notify("READY=1");
		footprint_trim();
		*idle = server_run(s);
	} else {
		close(fd);
	}
	if (o->socket_path)
		remove_socket(o->socket_path, &ours);
	return ok;
}

/*
 * Ignores signals from here on: the program ends anyway, with a status that is known. When the
 * server's watches are freed GLib restores the signals' default, which would kill.
 */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static bool run(struct options *o, GError **error)
{
	struct backend *b;
	struct server *s;
	bool idle = true, ok;
	int fd;

	log_set_level(o->log_level);
	if (!privileges_prepare(&o->privileges, error))
		return false;
#ifdef M_ARENA_MAX
	/* Threads need no heaps of their own: none allocates where speed matters. */
	mallopt(M_ARENA_MAX, 1);
#endif
	guest_mem_catch_sigbus();
	signal(SIGPIPE, SIG_IGN);
	/* A write beyond the file size limit fails, and the guest gets an I/O error. */
	signal(SIGXFSZ, SIG_IGN);
	mem_grant_set_copy_max(o->xen_copy);
	b = backend_new(&virtio_device_ops,
		&(struct backend_options){
			.probe = o->probe,
			.xen = o->xen,
			.workers = o->workers,
			.cpus = o->cpus,
			.n_cpus = o->n_cpus,
			.poll_us = o->poll_us,
		},
		error);
	if (!b)
		return false;
	s = server_new(b, o->one_off);
	if (o->stats)
		server_log_stats_every(s, o->stats);
	fd = open_socket(o, error);
	ok = fd >= 0 && serve(s, b, o, fd, &idle, error);
	block_signals();
	if (idle) {
		server_free(s);
		backend_free(b);
	}
	return ok;
}

int main(int argc, char **argv)
{
	/* For good: a worker that could not be waited for may log until the very end. */
	char *name = g_strconcat("virtiod-", virtio_device_ops.name, NULL);
	g_autofree char *capabilities = options_capabilities(&virtio_device_ops);
	g_autoptr(GError) error = NULL;
	struct options o;
	bool ok;

	g_set_prgname(name);
	log_set_program(name);
	ok = options_parse(&o, &virtio_device_ops, argc, argv, &error);
	if (ok && o.print_capabilities)
		fputs(capabilities, stdout);
	else if (ok && o.version)
		printf("%s %s\n", name, VIRTIOD_VERSION);
	else if (ok)
		ok = run(&o, &error);
	if (!ok)
		log_error(NULL, "%s", error->message);
	options_clear(&o);
	return ok ? 0 : 1;
}

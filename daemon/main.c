/* SPDX-License-Identifier: Apache-2.0 */
/* main() of every virtiod-<device>: options, device, socket, and then the loop. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/footprint.h"
#include "base/option.h"
#include "base/service.h"
#include "base/start.h"
#include "base/util.h"
#include "daemon/control/control.h"
#include "daemon/options.h"
#include "daemon/sandbox.h"
#include "daemon/session/server.h"
#include "daemon/socket.h"
#include "memory/guest_mem.h"
#include "memory/types/mem_xen.h"

/*
 * Serves front-ends: nothing has been read of what one may have sent. Sets *idle as server_run()
 * does.
 */
static bool serve(
	struct server *s, struct backend *b, struct options *o, int fd, bool *idle, GError **error)
{
	struct socket_names names;
	bool ok = daemon_sandbox_enter(b, o, &names, error);

	*idle = true;
	if (ok) {
		server_start(s, fd);
		if (o->socket_path)
			log_info(NULL, "listening at %s", o->socket_path);
		service_ready();
		footprint_trim();
		*idle = server_run(s);
	} else {
		close(fd);
	}
	daemon_socket_remove(&names.front_end);
	daemon_socket_remove(&names.control);
	return ok;
}

/* Makes the control socket, if there is to be one. */
static bool start_control(struct control **c, struct backend *b, struct server *s,
	const struct options *o, GError **error)
{
	int fd = o->control ? daemon_socket_listen_control(o, error) : -1;

	if (fd >= 0)
		*c = control_new(b, s, fd);
	return !o->control || fd >= 0;
}

/* Runs the daemon. fd: an inherited socket, which has been checked; -1: to be made. */
static bool run(struct options *o, int fd, GError **error)
{
	struct backend *b;
	struct server *s;
	struct control *c = NULL;
	bool idle = true, ok;

	if (!privileges_prepare(&o->privileges, error))
		return false;
#ifdef M_ARENA_MAX
	/* Threads need no heaps of their own: none allocates where speed matters. */
	mallopt(M_ARENA_MAX, 1);
#endif
#ifdef M_MMAP_THRESHOLD
	/* What a request of unusual size takes is given back to the host as soon as it is freed. */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
#endif
	guest_mem_catch_sigbus();
	signal(SIGPIPE, SIG_IGN);
	/* A write beyond the file size limit fails, and the guest gets an I/O error. */
	signal(SIGXFSZ, SIG_IGN);
	mem_grant_set_copy_max(o->xen_copy);
	b = backend_new(&virtio_device_ops,
		&(struct backend_options){
			.probe = o->probe,
			.split_only = !o->packed,
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
	ok = start_control(&c, b, s, o, error);
	if (ok && fd < 0)
		fd = daemon_socket_listen(o, error);
	ok = ok && fd >= 0 && serve(s, b, o, fd, &idle, error);
	if (idle) {
		server_free(s);
		backend_free(b);
		control_free(c);
	}
	return ok;
}

/* Closes all files that were inherited but the socket and those that the device is to have. */
static void close_others(char **argv, int fd)
{
	g_autoptr(GArray) keep = g_array_new(TRUE, FALSE, sizeof(int));
	const struct option_entry *o = virtio_device_ops.options;
	const int end = -1;

	if (fd >= 0)
		g_array_append_val(keep, fd);
	for (; o && o->name; o++) {
		for (const int *i = o->fds ? *o->fds : NULL; i && *i >= 0; i++)
			g_array_append_val(keep, *i);
	}
	g_array_append_val(keep, end);
	start_close_fds(argv, (const int *)(const void *)keep->data);
}

static bool start(struct options *o, char **argv, GError **error)
{
	unsigned activated = service_listen_fds();
	int fd;

	log_set_level(o->log_level);
	if (!daemon_socket_check(o, activated, &fd, error))
		return false;
	close_others(argv, fd);
	return run(o, fd, error);
}

int main(int argc, char **argv)
{
	g_autofree char *name = g_strconcat("virtiod-", virtio_device_ops.name, NULL);
	g_autofree char *capabilities = NULL;
	g_autoptr(GError) error = NULL;
	struct options o;
	bool ok;

	start_program(name, (const int[]){ SIGHUP, SIGUSR1, 0 });
	capabilities = options_capabilities(&virtio_device_ops);
	ok = options_parse(&o, &virtio_device_ops, argc, argv, &error);
	if (ok && o.print_capabilities)
		fputs(capabilities, stdout);
	else if (ok && o.version)
		printf("%s %s\n", name, VIRTIOD_VERSION);
	else if (ok && !o.check)
		ok = start(&o, argv, &error);
	if (!ok)
		log_error(NULL, "%s", error->message);
	options_clear(&o);
	return option_exit_status(error);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-switch: options, what is to be opened, the sandbox, and then the loop. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>

#include "base/footprint.h"
#include "base/option.h"
#include "base/service.h"
#include "base/sock.h"
#include "base/start.h"
#include "base/util.h"
#include "tools/switch/control.h"
#include "tools/switch/options.h"
#include "tools/switch/report.h"
#include "tools/switch/sandbox.h"
#include "tools/switch/switcher.h"

static void on_end(void *loop)
{
	g_main_loop_quit(loop);
}

static void on_report(void *sw)
{
	report_log(sw);
}

static bool open_captures(const GPtrArray *settings, GError **error)
{
	for (unsigned i = 0; i < settings->len; i++) {
		struct port_settings *s = settings->pdata[i];

		s->pcap = s->pcap_path ? net_pcap_open(s->pcap_path, error) : NULL;
		if (s->pcap_path && !s->pcap)
			return false;
	}
	return true;
}

/* Opens all that a sandbox has out of reach. */
static bool open_all(struct switcher *sw, const struct switch_options *o, GError **error)
{
	if (!open_captures(o->listeners, error) || !open_captures(o->ports, error))
		return false;
	for (unsigned i = 0; i < o->ports->len; i++) {
		if (!switcher_add_port(sw, o->ports->pdata[i], error))
			return false;
	}
	for (unsigned i = 0; i < o->listeners->len; i++) {
		if (!switcher_add_listener(
			    sw, o->listeners->pdata[i], o->socket_mode, o->socket_group, error))
			return false;
	}
	return true;
}

/* Serves until a signal, or a request, ends it. control: listens, and is taken; -1: none. */
static bool serve(struct switcher *sw, struct switch_options *o, int control, GError **error)
{
	autofd fd = control;
	GMainLoop *loop = g_main_loop_new(NULL, FALSE);
	struct switch_control c = { .server.fd = -1 };
	struct loop_watch *watches[] = {
		loop_watch_signal(SIGTERM, on_end, loop),
		loop_watch_signal(SIGINT, on_end, loop),
		loop_watch_signal(SIGUSR1, on_report, sw),
	};
	bool ok = switch_sandbox_enter(o, error);

	if (ok) {
		switcher_start(sw);
		if (fd >= 0)
			switch_control_start(&c, sw, loop, fd_steal(&fd));
		service_ready();
		footprint_trim();
		g_main_loop_run(loop);
		control_server_stop(&c.server);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(watches); i++)
		loop_watch_free(watches[i]);
	g_main_loop_unref(loop);
	return ok;
}

static bool run(struct switch_options *o, GError **error)
{
	struct switcher sw;
	autofd control = -1;
	bool ok;

	if (!privileges_prepare(&o->privileges, error) ||
		!switcher_init(&sw, o->max_ports, o->max_macs, o->ageing, error))
		return false;
	ok = open_all(&sw, o, error);
	if (ok && o->control)
		control = sock_listen(o->control, 0600, (gid_t)-1, error);
	ok = ok && (!o->control || control >= 0) && serve(&sw, o, fd_steal(&control), error);
	switcher_clear(&sw);
	return ok;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_auto(switch_options) o = { 0 };
	bool ok;

	start_program("virtiod-switch", (const int[]){ SIGUSR1, 0 });
	signal(SIGPIPE, SIG_IGN);
	ok = switch_options_parse(&o, argc, argv, &error);
	if (ok && o.version) {
		printf("virtiod-switch %s\n", VIRTIOD_VERSION);
	} else if (ok) {
		g_autofree int *fds = switch_options_fds(&o);

		service_listen_fds(); /* named by fd:N, if at all */
		start_close_fds(argv, fds);
		log_set_level(o.log_level);
#ifdef M_ARENA_MAX
		/* A thread's own arena opens a file when it shrinks, which the sandbox forbids. */
		mallopt(M_ARENA_MAX, 1);
#endif
		ok = run(&o, &error);
	}
	if (!ok)
		log_error(NULL, "%s", error->message);
	return option_exit_status(error);
}

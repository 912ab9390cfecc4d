/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-xen: runs the supervisor, one attached device, or a worker. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/option.h"
#include "base/start.h"
#include "xen/options.h"
#include "xen/worker/worker.h"

static bool run(const struct xen_options *o, GError **error)
{
	if (!supervisor_check(error))
		return false;
	if (o->command == XEN_ATTACH)
		return supervisor_attach(&o->supervisor, &o->attach, error);
	return supervisor_run(&o->supervisor, error);
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_auto(xen_options) o = { 0 };
	int status = EXIT_SUCCESS;
	bool ok;

	start_program("virtiod-xen", (const int[]){ SIGHUP, SIGUSR1, 0 });
	signal(SIGPIPE, SIG_IGN);
	ok = xen_options_parse(&o, argc, argv, &error);
	log_set_level(o.log_level);
	if (ok && o.command == XEN_WORKER) {
		start_close_fds(argv, (const int[]){ o.commands, o.requests, -1 });
		return worker_run(o.commands, o.requests);
	}
	if (ok && o.version) {
		printf("virtiod-xen %s\n", VIRTIOD_VERSION);
	} else if (!ok) {
		status = EXIT_USAGE;
	} else {
		start_close_fds(argv, NULL);
		if (!run(&o, &error))
			status = option_exit_status(error);
	}
	if (error)
		log_error(NULL, "%s", error->message);
	return status;
}

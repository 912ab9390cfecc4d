/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-kvm: options, the machine, exit status. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "base/start.h"
#include "kvm-stub/machine/machine.h"

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_auto(kvm_options) o = { 0 };
	enum exit_status status;

	start_program("virtiod-kvm", (const int[]){ SIGHUP, 0 });
	signal(SIGPIPE, SIG_IGN);
	if (!kvm_options_parse(&o, argc, argv, &error)) {
		status = EXIT_STATUS_BAD_OPTIONS;
	} else if (o.version) {
		printf("virtiod-kvm %s\n", VIRTIOD_VERSION);
		status = EXIT_STATUS_OK;
	} else {
		start_close_fds(argv, NULL);
		log_set_level(o.log_level);
#ifdef M_ARENA_MAX
		/* A thread's own arena opens a file when it shrinks, which the sandbox forbids. */
		mallopt(M_ARENA_MAX, 1);
#endif
		status = machine_run(&o, &error);
	}
	if (error)
		log_error(NULL, "%s", error->message);
	return status;
}

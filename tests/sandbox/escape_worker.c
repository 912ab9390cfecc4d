/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker of virtiod-xen that has been taken over, without Xen: $SANDBOX is the number of the
 * mode, $USER_ID its user's (0: the present one), $VICTIM the pid of another process. It stops
 * before its attempts.
 */
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/start.h"
#include "tests/sandbox/attempts.h"
#include "xen/worker/worker_sandbox.h"

static int number_of(const char *variable)
{
	const char *text = getenv(variable);

	return text ? atoi(text) : 0;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	uid_t uid = (uid_t)number_of("USER_ID");

	start_program("virtiod-xen", NULL);
	start_close_fds(argv, NULL);
	if (!worker_sandbox_enter(number_of("SANDBOX"), "", uid, uid, &error)) {
		log_error(NULL, "%s", error->message);
		return EXIT_FAILURE;
	}
	log_info(NULL, "entered");
	raise(SIGSTOP);
	attempts_run(number_of("VICTIM"));
	attempts_ioctls();
	attempts_calls();
	return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library by which any program turns into one that has been taken over ($LD_PRELOAD): on SIGUSR2
 * it tries all that it can. $VICTIM is the pid of another process; with $SWEEP it tries all ioctls
 * and system calls, too.
 */
#include <signal.h>
#include <stdlib.h>

#include "tests/sandbox/attempts.h"

static int victim;
static bool with_sweep;

static void on_signal(int signum)
{
	attempts_run(victim);
	if (with_sweep) {
		attempts_ioctls();
		attempts_calls();
	}
	attempts_note("end", 0);
}

__attribute__((constructor)) static void prepare(void)
{
	const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	const char *pid = getenv("VICTIM");

	victim = pid ? atoi(pid) : 0;
	with_sweep = getenv("SWEEP");
	sigaction(SIGUSR2, &action, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands of virtioctl share: how they are called and how they end. */
#pragma once

#include <glib.h>
#include <stdlib.h>

#include "base/option.h"

/* Exit statuses; the man page documents them. */
enum ctl_status {
	CTL_OK = EXIT_SUCCESS,
	CTL_FAILED = EXIT_FAILURE,
	CTL_USAGE = EXIT_USAGE,
	CTL_BUSY = 3, /* the back-end serves another front-end */
	CTL_ABSENT = 4, /* no back-end listens on the socket */
	CTL_SIGNALLED = 128, /* plus the signal's number: interrupted */
};

/* A subcommand parses its own options; argv[0] is its name. Returns an exit status. */
struct subcommand {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

int add_run(int argc, char **argv);
int bench_run(int argc, char **argv);
int call_run(int argc, char **argv);
int check_run(int argc, char **argv);
int inflight_run(int argc, char **argv);
int list_run(int argc, char **argv);
int metrics_run(int argc, char **argv);
int probe_run(int argc, char **argv);
int read_run(int argc, char **argv);
int reload_run(int argc, char **argv);
int remove_run(int argc, char **argv);
int restart_run(int argc, char **argv);
int stats_run(int argc, char **argv);
int top_run(int argc, char **argv);
int write_run(int argc, char **argv);

#define CTL_ERROR ctl_error_quark()
GQuark ctl_error_quark(void);
enum ctl_error {
	CTL_ERROR_FAILED,
	CTL_ERROR_USAGE,
	CTL_ERROR_CANCELLED, /* by a signal: see cancel.h */
};

/* Prints "virtioctl: message" on stderr; returns the exit status that fits the error. */
int ctl_report(const GError *error);

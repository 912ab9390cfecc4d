/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of virtiod-xen. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/log.h"
#include "xen/supervisor/supervisor.h"

typedef struct options options; /* for g_auto */
struct options {
	enum {
		OPTIONS_SERVE, /* all guests of this host */
		OPTIONS_ATTACH, /* one device */
		OPTIONS_WORKER, /* by a supervisor, for one guest */
	} command;
	struct supervisor_options supervisor;
	struct attach_options attach;
	int commands, requests; /* the worker's sockets */
	enum log_level log_level;
	bool version;
	/* What supervisor and attach point to. */
	char *config, *defaults, *run, *socket;
};

/* False, with an error that names the option and its value. --help does not return. */
bool options_parse(struct options *o, int argc, char **argv, GError **error);
/* Also after options_parse() has failed. */
void options_clear(struct options *o);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(options, options_clear)

/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of virtiod-xen. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/log.h"
#include "xen/supervisor/supervisor.h"

typedef struct xen_options xen_options; /* for g_auto */
struct xen_options {
	enum {
		XEN_SERVE, /* all guests of this host */
		XEN_ATTACH, /* one device */
		XEN_WORKER, /* started by a supervisor, for one guest */
	} command;
	struct supervisor_options supervisor;
	struct attach_options attach;
	int commands, requests; /* the worker's sockets */
	enum log_level log_level;
	bool version;
	/* What supervisor and attach point to. */
	char *config, *defaults, *run, *socket;
};

/* Returns false with an error that names the option and its value. --help does not return. */
bool xen_options_parse(struct xen_options *o, int argc, char **argv, GError **error);
/* Also to be called after xen_options_parse() has failed. */
void xen_options_clear(struct xen_options *o);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(xen_options, xen_options_clear)

/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of virtiod-switch. */
#pragma once

#include "base/log.h"
#include "priv/privileges.h"
#include "tools/switch/settings.h"

typedef struct switch_options switch_options; /* for g_auto */
struct switch_options {
	GPtrArray *listeners, *ports; /* of struct port_settings, owned */
	unsigned max_ports, max_macs, ageing;
	mode_t socket_mode;
	gid_t socket_group; /* (gid_t)-1: as created */
	char *control; /* NULL: none */
	struct privileges privileges; /* not prepared yet */
	enum log_level log_level;
	bool version;
};

/* Returns false, with an error that names option and value. --help prints and exits. */
bool switch_options_parse(struct switch_options *o, int argc, char **argv, GError **error);
/* Returns the inherited fds that are named, ending in -1; the caller frees. */
int *switch_options_fds(const struct switch_options *o);
/* Frees what switch_options_parse() allocated, whether or not it succeeded. */
void switch_options_clear(struct switch_options *o);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(switch_options, switch_options_clear)

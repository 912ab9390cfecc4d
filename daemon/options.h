/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of every virtiod-<device>. */
#pragma once

#include <sys/types.h>

#include "base/log.h"
#include "daemon/device.h"
#include "priv/privileges.h"

struct options {
	char *socket_path; /* NULL: not given */
	int fd; /* -1: not given */
	bool one_off;
	mode_t socket_mode;
	gid_t socket_group; /* (gid_t)-1: as created */
	bool probe;
	bool packed; /* offer packed vrings; with --packed=auto: if drivers cope with them */
	bool xen; /* offer what Xen guests need; with --xen=auto: if this is a Xen host */
	unsigned xen_copy; /* pages: mem_grant_set_copy_max() */
	unsigned workers;
	unsigned *cpus; /* to run them on; NULL: anywhere */
	unsigned n_cpus;
	unsigned poll_us; /* the longest that a worker polls; 0: never */
	struct privileges privileges; /* not prepared yet */
	char *control; /* NULL: not given */
	unsigned stats; /* log them every so many seconds; 0: when asked */
	enum log_level log_level;
	bool check, print_capabilities, version;
};

/*
 * Sets o; the device's own options go to their own variables. --help prints and exits.
 * --print-capabilities and --version win over whatever else is wrong.
 */
bool options_parse(struct options *o, const struct virtio_device_ops *ops, int argc, char **argv,
	GError **error);
void options_clear(struct options *o);
/* What --print-capabilities prints: one JSON object as QEMU's vhost-user.json has it. */
char *options_capabilities(const struct virtio_device_ops *ops);

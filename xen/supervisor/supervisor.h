/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor: watches xenstore, and runs a broker and a worker for each guest that has virtio
 * devices.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct supervisor_options {
	const char *config, *defaults; /* rule files */
	const char *run; /* folder of sockets, of the lock and of the workers' empty root */
	unsigned wait_ms;
	unsigned leave_ms; /* of struct xen_guest_config */
	bool eventfds;
	unsigned sandbox; /* of workers: an enum sandbox_mode */
	unsigned uid_base; /* a guest's worker runs as uid_base + domid; 0: the current user */
};

/* Fails unless this is root in a dom0 with all of Xen's device files. */
bool supervisor_check(GError **error);

/* Runs until SIGTERM, SIGINT or SIGHUP. */
bool supervisor_run(const struct supervisor_options *o, GError **error);

struct attach_options {
	unsigned domid;
	uint64_t base;
	uint32_t irq;
	const char *socket;
	bool grants;
};
/* Serves one device without a node in xenstore, until a signal or the end of the domain. */
bool supervisor_attach(
	const struct supervisor_options *o, const struct attach_options *a, GError **error);

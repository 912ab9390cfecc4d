/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor: xenstore's watches on one side, a broker and a worker for each guest that has
 * devices of ours on the other.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct supervisor_options {
	const char *config, *defaults; /* rule files */
	const char *run; /* folder of sockets; our lock and the workers' empty root, too */
	unsigned wait_ms;
	bool eventfds;
	unsigned uid_base; /* a guest's worker is uid_base + domid; 0: stays what we are */
};

/* An error unless we are root in a domain 0 that has all its devices. */
bool supervisor_check(GError **error);

/* Until SIGTERM, SIGINT or SIGHUP. */
bool supervisor_run(const struct supervisor_options *o, GError **error);

struct attach_options {
	unsigned domid;
	uint64_t base;
	uint32_t irq;
	const char *socket;
	bool grants;
};
/* One device by hand, without a node in xenstore; until the domain or we are ended. */
bool supervisor_attach(
	const struct supervisor_options *o, const struct attach_options *a, GError **error);

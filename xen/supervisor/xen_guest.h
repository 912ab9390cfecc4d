/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One guest: its broker, and its worker's process, which is replaced whenever it dies. Main loop
 * only.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "xen/supervisor/broker.h"

struct xen_guest;
typedef struct xen_guest xen_guest; /* for g_autoptr */

struct xen_guest_config {
	struct broker_config broker;
	unsigned uid_base; /* the worker is uid_base + domid; 0: what we are */
	const char *root; /* the worker's root directory, an empty one; "": ours. Copied */
};

/* From the main loop, never from within the calls below. */
struct xen_guest_events {
	/* xen_guest_remove()'s work is done: nobody of ours has anything of the device any more. */
	void (*removed)(void *opaque, unsigned device);
	/* After the last device's: there is no broker and no worker. May call xen_guest_free(). */
	void (*ended)(void *opaque);
};

/* Its ioreq server is there on return; the first device brings the worker. */
struct xen_guest *xen_guest_new(const struct xen_guest_config *config,
	const struct xen_guest_events *events, void *opaque, GError **error);
/* At once; back-ends lose the connection, nobody is asked to stop anything first. */
void xen_guest_free(struct xen_guest *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xen_guest, xen_guest_free)

/* As broker_add() and broker_add_empty(), and the worker learns of it. */
bool xen_guest_add(struct xen_guest *g, const struct broker_device_config *config,
	struct backend_process *backend, unsigned *device, GError **error);
bool xen_guest_add_empty(struct xen_guest *g, uint64_t base, unsigned *device, GError **error);
/*
 * The worker lets go of it within a second, or is replaced for that: removed() follows. Without
 * devices that stay the worker ends, then everything.
 */
void xen_guest_remove(struct xen_guest *g, unsigned device);

/* "domain web (3)" */
const char *xen_guest_who(const struct xen_guest *g);
/* A line in the log, and the worker's own. */
void xen_guest_log_counters(struct xen_guest *g);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One guest: its broker and its worker process, which is replaced whenever it dies. Main loop only.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "xen/supervisor/broker.h"

struct xen_guest;
typedef struct xen_guest xen_guest; /* for g_autoptr */

/*
 * A worker needs half a second at most, whatever its back-ends do. libxl waits ten seconds, its
 * users two; SIGTERM ends the supervisor within one.
 */
#define XEN_GUEST_LEAVE_MS 800

struct xen_guest_config {
	struct broker_config broker;
	unsigned sandbox; /* the worker's: an enum sandbox_mode */
	unsigned uid_base; /* the worker's user is uid_base + domid; 0: the current one */
	unsigned leave_ms; /* the worker's, for a device; 0: XEN_GUEST_LEAVE_MS */
	const char *root; /* the worker's root, an empty directory; "": the current one. Copied */
};

/* Called from the main loop, never from within the functions below. */
struct xen_guest_events {
	/* xen_guest_remove() is complete: nothing of the device is left. */
	void (*removed)(void *opaque, unsigned device);
	/* No back-end came for the device: its slot is empty, until it is removed. */
	void (*given_up)(void *opaque, unsigned device);
	/* Follows the last removed(): broker and worker have ended. May call xen_guest_free(). */
	void (*ended)(void *opaque);
};

/* Creates the guest's ioreq servers; the first device starts the worker. */
struct xen_guest *xen_guest_new(const struct xen_guest_config *config,
	const struct xen_guest_events *events, void *opaque, GError **error);
/* Ends everything immediately: back-ends lose the connection without their rings being stopped. */
void xen_guest_free(struct xen_guest *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xen_guest, xen_guest_free)

/* Like broker_add() and broker_add_empty(), and informs the worker. */
bool xen_guest_add(struct xen_guest *g, const struct broker_device_config *config,
	struct backend_process *backend, unsigned *device, GError **error);
bool xen_guest_add_empty(struct xen_guest *g, uint64_t base, unsigned *device, GError **error);
/*
 * Has the worker release the device; one that takes longer than leave_ms is replaced. removed()
 * follows. With the last device the worker ends, then ended() follows.
 */
void xen_guest_remove(struct xen_guest *g, unsigned device);

/* Returns "domain web (3)", for messages. */
const char *xen_guest_who(const struct xen_guest *g);
/* Logs a line, and has the worker log its counters. */
void xen_guest_log_counters(struct xen_guest *g);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event channels. The only file that includes <xenevtchn.h>. The broker opens the device, binds and
 * restricts; a worker receives the same open file as an fd, so bindings outlive it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct evtchn;
typedef struct evtchn evtchn; /* for g_autoptr */

struct evtchn *evtchn_open(GError **error);
/* Takes over fd, also on error. */
struct evtchn *evtchn_from_fd(int fd, GError **error);
void evtchn_free(struct evtchn *e);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(evtchn, evtchn_free)

/* Readable when a port is pending; non-blocking. */
int evtchn_fd(const struct evtchn *e);
/* Binds to the guest's port; *port is the local one. */
bool evtchn_bind(
	struct evtchn *e, unsigned domid, uint32_t remote_port, uint32_t *port, GError **error);
/* Restricts the open file, for good, to binding ports of this domain. */
bool evtchn_restrict(struct evtchn *e, unsigned domid, GError **error);

/* Takes the next pending port, which stays masked; false: there is none. */
bool evtchn_pending(struct evtchn *e, uint32_t *port);
/* Any thread. */
void evtchn_unmask(struct evtchn *e, uint32_t port);
void evtchn_notify(struct evtchn *e, uint32_t port);

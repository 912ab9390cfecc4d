/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event channels. The only file that includes <xenevtchn.h>. The broker opens, binds and restricts;
 * a worker uses the same open file, received by fd, so bindings outlive it.
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
/* Our port of the guest's. */
bool evtchn_bind(
	struct evtchn *e, unsigned domid, uint32_t remote_port, uint32_t *port, GError **error);
/* From now on only this domain's ports can be bound by this file. */
bool evtchn_restrict(struct evtchn *e, unsigned domid, GError **error);

/* The next pending port, which stays masked; false: none. */
bool evtchn_pending(struct evtchn *e, uint32_t *port);
/* Any thread. */
void evtchn_unmask(struct evtchn *e, uint32_t port);
void evtchn_notify(struct evtchn *e, uint32_t port);

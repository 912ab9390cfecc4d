/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who runs the rings: workers (worker.h), as the control thread sees them. It gives orders and is
 * told of what happened on the main loop; it never waits for a worker.
 */
#pragma once

#include "daemon/session/backend_impl.h"

/* Starts the workers: no more than there are queues for. All rings are stopped. */
bool owner_open(struct backend *b, GError **error);
/* Ends them; all rings are stopped. Nothing if there are none. */
void owner_close(struct backend *b);

/* The ring, whose vq has been started, runs from now on; its first burst follows soon. */
void owner_start(struct ring *r);
/* Takes nothing more from the ring, and lets the requests in flight end; then, ring_drained(). */
void owner_drain(struct ring *r);
/* The driver is called, whether there is a reason or not. */
void owner_call(struct ring *r);
/*
 * Calls then() once while no worker runs a verb of the device, nor will before it returns: now, if
 * no ring runs; else by and by. What the device completes in it is published afterwards.
 */
void owner_pause(struct backend *b, void (*then)(struct backend *b));

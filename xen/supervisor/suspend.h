/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs an error when the toolstack asks a guest to suspend, as it does to save or migrate it: with
 * the devices of virtiod-xen that cannot work. On the main loop's thread.
 */
#pragma once

#include "xen/supervisor/xenstore.h"

struct suspend;

/* Begins to watch a guest. The store must outlive it; who: the guest, for messages. */
struct suspend *suspend_new(struct xenstore *store, unsigned domid, const char *who);
/* Ends the watch. NULL is ignored. */
void suspend_free(struct suspend *w);
/* Handles a change in xenstore; ignores other paths. */
void suspend_changed(struct suspend *w, const char *path);

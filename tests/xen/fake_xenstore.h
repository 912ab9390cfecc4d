/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A xenstore in memory, in place of xen/supervisor/xenstore.c. Absolute paths below /local/domain/0
 * and relative ones are the same; a watch reports changes from the main loop. A domain is
 * there if it has a folder.
 */
#pragma once

#include "xen/supervisor/xenstore.h"

/*
 * There is one store; it lives until fake_xenstore_clear(), however often it is opened and freed.
 */
void fake_xenstore_set(const char *path, const char *value);
/* As above, with any bytes. */
void fake_xenstore_set_bytes(const char *path, const void *value, size_t len);
/* And all that is below. */
void fake_xenstore_remove(const char *path);
/* NULL: not there. Valid until the next change. */
const char *fake_xenstore_get(const char *path);
/* Reading and writing of this path fail with this error, once it is wanted; -1: no more. */
void fake_xenstore_fail(const char *path, GFileError code);
/* Returns whether this very path is watched. */
bool fake_xenstore_is_watched(const char *path);
/* Returns the number of events that were not delivered yet. */
unsigned fake_xenstore_pending(void);
void fake_xenstore_clear(void);

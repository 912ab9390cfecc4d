/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenstore, from the main loop's thread. The only file that includes <xenstore.h>. What is read is
 * written by others: values are bounded, and text (no NUL, no control characters).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct store;
typedef struct store store; /* for g_autoptr */

/* changed: something happened at or below a watched path; runs from the main loop. */
struct store *store_open(
	void (*changed)(void *opaque, const char *path), void *opaque, GError **error);
void store_free(struct store *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(store, store_free)

/*
 * Paths are absolute, or relative to our own domain's folder (/local/domain/<id>), and reported
 * as they were given here. Reports path itself once at first.
 */
bool store_watch(struct store *s, const char *path, GError **error);
/*
 * The value, to free. NULL with G_FILE_ERROR_NOENT: there is none; with G_FILE_ERROR_INVAL: longer
 * than max bytes, or no text. Errors name the path.
 */
char *store_read(struct store *s, const char *path, size_t max, GError **error);
/* The names below path, at most 4096; NULL (NOENT) if path is not there. */
char **store_list(struct store *s, const char *path, GError **error);
/* Writes, if there is such a node: one that was removed does not come back. */
bool store_update(struct store *s, const char *path, const char *value, GError **error);
/* False once it is dying, whatever is left of its folder. Watch "@releaseDomain" to be told. */
bool store_has_domain(struct store *s, unsigned domid);

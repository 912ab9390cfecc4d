/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenstore, from the main loop's thread. The only file that includes <xenstore.h>. What is read is
 * written by others: values are bounded, and text (no NUL, no control characters).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct xenstore;
typedef struct xenstore xenstore; /* for g_autoptr */

/* changed: something happened at or below a watched path; runs from the main loop. */
struct xenstore *xenstore_open(
	void (*changed)(void *opaque, const char *path), void *opaque, GError **error);
void xenstore_free(struct xenstore *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xenstore, xenstore_free)

/*
 * Paths are absolute, or relative to our own domain's folder (/local/domain/<id>), and reported
 * as they were given here. Reports path itself once at first.
 */
bool xenstore_watch(struct xenstore *s, const char *path, GError **error);
/*
 * The value, to free. NULL with G_FILE_ERROR_NOENT: there is none; with G_FILE_ERROR_INVAL: longer
 * than max bytes, or no text. Errors name the path.
 */
char *xenstore_read(struct xenstore *s, const char *path, size_t max, GError **error);
/* The names below path, at most 4096; NULL (NOENT) if path is not there. */
char **xenstore_list(struct xenstore *s, const char *path, GError **error);
/* Writes, if there is such a node: one that was removed does not come back. */
bool xenstore_update(struct xenstore *s, const char *path, const char *value, GError **error);
/* False once it is dying, whatever is left of its folder. Watch "@releaseDomain" to be told. */
bool xenstore_has_domain(struct xenstore *s, unsigned domid);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenstore, on the main loop's thread. The only file that includes <xenstore.h>. Others write what
 * is read: values are checked to be bounded text (no NUL, no control characters).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct xenstore;
typedef struct xenstore xenstore; /* for g_autoptr */

/* changed: called from the main loop when something happened at or below a watched path. */
struct xenstore *xenstore_open(
	void (*changed)(void *opaque, const char *path), void *opaque, GError **error);
void xenstore_free(struct xenstore *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xenstore, xenstore_free)

/*
 * Watches a path, absolute or relative to this domain's folder (/local/domain/<id>); changes are
 * reported with the path in the same form. The path itself is reported once immediately.
 */
bool xenstore_watch(struct xenstore *s, const char *path, GError **error);
/* Ends a watch. Reports of earlier changes may still follow. */
void xenstore_unwatch(struct xenstore *s, const char *path);
/*
 * Returns the value, which the caller frees. NULL with G_FILE_ERROR_NOENT: there is none; with
 * G_FILE_ERROR_INVAL: longer than max bytes, or not text. Errors name the path.
 */
char *xenstore_read(struct xenstore *s, const char *path, size_t max, GError **error);
/* Returns the names below path, at most 4096; NULL (NOENT) if path does not exist. */
char **xenstore_list(struct xenstore *s, const char *path, GError **error);
/* Writes a value to an existing node; does not create one that was removed. */
bool xenstore_update(struct xenstore *s, const char *path, const char *value, GError **error);
/* Likewise, and creates it, provided that the node beside exists (else NOENT). */
bool xenstore_write(struct xenstore *s, const char *path, const char *beside, const char *value,
	GError **error);
/* Returns false once the domain is dying, even if its folder still exists. See "@releaseDomain". */
bool xenstore_has_domain(struct xenstore *s, unsigned domid);

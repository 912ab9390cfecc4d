/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-line failures: each function sets *error (NULL: the caller does not want it) and returns
 * false, so that a check reads  return error_set(error, DOMAIN, CODE, "…");
 */
#pragma once

#include <glib.h>
#include <stdarg.h>
#include <stdbool.h>

bool error_set(GError **error, GQuark domain, int code, const char *format, ...)
	G_GNUC_PRINTF(4, 5);
/* Puts "prefix: " before the message; NULL: nothing. For functions that take "…" themselves. */
bool error_setv(GError **error, GQuark domain, int code, const char *prefix, const char *format,
	va_list args) G_GNUC_PRINTF(5, 0);
/* Sets a G_FILE_ERROR whose message ends in ": " and what errno value err (positive) means. */
bool error_errno(GError **error, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);

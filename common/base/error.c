/* SPDX-License-Identifier: Apache-2.0 */
/* See error.h. */
#include "base/error.h"

bool error_setv(GError **error, GQuark domain, int code, const char *prefix, const char *format,
	va_list args)
{
	g_autofree char *text = g_strdup_vprintf(format, args);

	g_set_error(error, domain, code, "%s%s%s", prefix ? prefix : "", prefix ? ": " : "", text);
	return false;
}

bool error_set(GError **error, GQuark domain, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_setv(error, domain, code, NULL, format, args);
	va_end(args);
	return false;
}

bool error_errno(GError **error, int err, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(
		error, G_FILE_ERROR, g_file_error_from_errno(err), "%s: %s", text, g_strerror(err));
	return false;
}

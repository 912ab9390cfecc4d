/* SPDX-License-Identifier: Apache-2.0 */
/* See edit.h. */
#include "tools/supervisor/edit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "launch/device_set.h"
#include "tools/supervisor/check.h"

/* Writes a file at once, and so that it is there after a crash. */
static bool write_file(const char *path, const char *text, size_t len, GError **error)
{
	return g_file_set_contents_full(path, text, (gssize)len,
		G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644, error);
}

/* Checks that the text adds this device and no other, and that the whole can be used. */
static bool check_addition(GPtrArray *entries, const char *programs, const char *path,
	const char *name, const char *text, GError **error)
{
	unsigned n = entries->len;

	if (!device_file_parse(entries, path, text, strlen(text), error))
		return false;
	if (entries->len != n + 1)
		return error_set(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE,
			"invalid lines: KEY=VALUE each, without another [GUEST/DEVICE]");
	return check_entry(entries->pdata[n], programs, error) && device_set_sort(entries, error);
}

bool edit_add(const char *folder, const char *programs, const char *name, const char *lines,
	GError **error)
{
	g_autoptr(GPtrArray) entries = NULL;
	g_autofree char *file = NULL, *path = NULL;
	g_autofree char *text = g_strdup_printf("[%s]\n%s\n", name, lines);
	const char *fault = device_name_fault(name);

	if (fault)
		return error_set(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE,
			"invalid name '%s': %s", name, fault);
	file = g_strdup_printf("%s.conf", name);
	*strchr(file, '/') = '+'; /* which no name has */
	path = g_build_filename(folder, file, NULL);
	entries = device_set_read(folder, error);
	if (!entries || !check_addition(entries, programs, path, name, text, error))
		return false;
	if (access(path, F_OK) == 0)
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
			"'%s' exists: remove it, or edit it and reload", path);
	if (g_mkdir_with_parents(folder, 0755) < 0)
		return error_errno(error, errno, "cannot make '%s'", folder);
	return write_file(path, text, strlen(text), error);
}

/* Returns the text without the lines from `first` to before `end`. */
static char *without_lines(const char *text, unsigned first, unsigned end)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	GString *left = g_string_new(NULL);

	for (unsigned i = 0; lines[i]; i++) {
		if (i + 1 < first || i + 1 >= end)
			g_string_append_printf(left, "%s%s", lines[i], lines[i + 1] ? "\n" : "");
	}
	return g_string_free(left, FALSE);
}

/* Tells whether another one is of the same file. */
static bool has_company(const GPtrArray *entries, const char *path)
{
	for (unsigned i = 0; i < entries->len; i++) {
		if (strcmp(((const struct device_entry *)entries->pdata[i])->path, path) == 0)
			return true;
	}
	return false;
}

static bool remove_lines(const struct device_entry *e, GError **error)
{
	size_t len;
	g_autofree char *text = device_file_load(e->path, &len, error);
	g_autofree char *left = text ? without_lines(text, e->line, e->end) : NULL;

	return left && write_file(e->path, left, strlen(left), error);
}

bool edit_remove(const char *folder, const char *name, GError **error)
{
	g_autoptr(GPtrArray) entries = device_set_read(folder, error);
	g_autoptr(device_entry) gone = NULL;

	for (unsigned i = 0; entries && i < entries->len && !gone; i++) {
		if (strcmp(((struct device_entry *)entries->pdata[i])->name, name) == 0)
			gone = g_ptr_array_steal_index(entries, i);
	}
	if (!entries)
		return false;
	if (!gone)
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
			"no file of '%s' has a group [%s]", folder, name);
	if (!device_set_sort(entries, error)) {
		g_prefix_error(error, "cannot remove [%s]: ", name);
		return false;
	}
	if (has_company(entries, gone->path))
		return remove_lines(gone, error);
	return unlink(gone->path) == 0 ||
		error_errno(error, errno, "cannot remove '%s'", gone->path);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See device_set.h. */
#include "launch/device_set.h"

#include <string.h>

#include "base/error.h"

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Returns the paths of the files, sorted; NULL: an error. */
static GPtrArray *list_files(const char *folder, GError **error)
{
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) why = NULL;
	g_autoptr(GDir) dir = g_dir_open(folder, 0, &why);
	const char *name;

	if (!dir && !g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		g_propagate_error(error, g_steal_pointer(&why));
		return NULL;
	}
	while (dir && (name = g_dir_read_name(dir))) {
		if (*name == '.' || !g_str_has_suffix(name, ".conf"))
			continue;
		if (paths->len == DEVICE_SET_MAX) {
			error_set(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
				"'%s' has more than %u files", folder, DEVICE_SET_MAX);
			return NULL;
		}
		g_ptr_array_add(paths, g_build_filename(folder, name, NULL));
	}
	g_ptr_array_sort(paths, compare);
	return g_steal_pointer(&paths);
}

GPtrArray *device_set_read(const char *folder, GError **error)
{
	g_autoptr(GPtrArray) paths = list_files(folder, error);
	g_autoptr(GPtrArray) entries = device_entries_new();

	if (!paths)
		return NULL;
	for (unsigned i = 0; i < paths->len; i++) {
		if (!device_file_read(entries, paths->pdata[i], error))
			return NULL;
		if (entries->len > DEVICE_SET_MAX) {
			error_set(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
				"'%s' has more than %u devices", folder, DEVICE_SET_MAX);
			return NULL;
		}
	}
	return device_set_sort(entries, error) ? g_steal_pointer(&entries) : NULL;
}

static bool fail(const struct device_entry *s, unsigned line, GError **error, const char *format,
	...) G_GNUC_PRINTF(4, 5);
static bool fail(
	const struct device_entry *s, unsigned line, GError **error, const char *format, ...)
{
	g_autofree char *where = g_strdup_printf("%s:%u: [%s]", s->path, line, s->name);
	va_list args;

	va_start(args, format);
	error_setv(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, where, format, args);
	va_end(args);
	return false;
}

/* Fills the table with the devices by name. */
static bool index_names(GHashTable *by_name, const GPtrArray *entries, GError **error)
{
	for (unsigned i = 0; i < entries->len; i++) {
		struct device_entry *s = entries->pdata[i], *other;

		other = g_hash_table_lookup(by_name, s->name);
		if (other)
			return fail(s, s->line, error,
				"%s:%u has a group of this name, too: rename or remove one",
				other->path, other->line);
		g_hash_table_insert(by_name, s->name, s);
	}
	return true;
}

static bool check_after(GHashTable *by_name, const struct device_entry *s, GError **error)
{
	for (char **name = s->after; *name; name++) {
		if (!g_hash_table_contains(by_name, *name))
			return fail(s, s->after_line, error,
				"invalid after=%s: there is no group [%s]", *name, *name);
	}
	return true;
}

/* Returns the first device that it waits for and that has no place yet; NULL: none. */
static struct device_entry *find_missing(
	GHashTable *by_name, GHashTable *placed, const struct device_entry *s)
{
	for (char **name = s->after; *name; name++) {
		if (!g_hash_table_contains(placed, *name))
			return g_hash_table_lookup(by_name, *name);
	}
	return NULL;
}

/* Names a circle. s: a device without a place: those that it waits for lead into one. */
static bool fail_circle(
	GHashTable *by_name, GHashTable *placed, const struct device_entry *s, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct device_entry *first;

	for (unsigned i = g_hash_table_size(by_name); i; i--)
		s = find_missing(by_name, placed, s);
	first = s;
	do {
		g_string_append_printf(text, "%s waits for ", s->name);
		s = find_missing(by_name, placed, s);
		if (text->len > 512) {
			g_string_append(text, "... ");
			break;
		}
	} while (s != first);
	return fail(first, first->after_line, error, "after= makes a circle: %s%s (remove one)",
		text->str, first->name);
}

bool device_set_sort(GPtrArray *entries, GError **error)
{
	g_autoptr(GHashTable) by_name = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GHashTable) placed = g_hash_table_new(g_str_hash, g_str_equal);
	unsigned n = 0, before;

	if (!index_names(by_name, entries, error))
		return false;
	for (unsigned i = 0; i < entries->len; i++) {
		if (!check_after(by_name, entries->pdata[i], error))
			return false;
	}
	/* Each round places, in front, those whose turn it is. */
	do {
		before = n;
		for (unsigned i = n; i < entries->len; i++) {
			struct device_entry *s = entries->pdata[i];

			if (find_missing(by_name, placed, s))
				continue;
			memmove(entries->pdata + n + 1, entries->pdata + n,
				(i - n) * sizeof(*entries->pdata));
			entries->pdata[n++] = s;
			g_hash_table_add(placed, s->name);
		}
	} while (n > before);
	return n == entries->len || fail_circle(by_name, placed, entries->pdata[n], error);
}

struct device_entry *device_set_find(const GPtrArray *entries, const char *name)
{
	for (unsigned i = 0; i < entries->len; i++) {
		struct device_entry *s = entries->pdata[i];

		if (strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

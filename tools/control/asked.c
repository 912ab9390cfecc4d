/* SPDX-License-Identifier: Apache-2.0 */
/* See asked.h. */
#include "tools/control/asked.h"

#include <string.h>

#include "tools/virtioctl.h"

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool add_folder(GStrvBuilder *to, const char *folder, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, error);
	const char *name;

	if (!dir)
		return false;
	while ((name = g_dir_read_name(dir))) {
		if (g_str_has_suffix(name, CONTROL_SUFFIX))
			g_ptr_array_add(found, g_build_filename(folder, name, NULL));
	}
	if (!found->len) {
		g_set_error(error, CTL_ERROR, CTL_ERROR_FAILED,
			"'%s' has no control socket: no name there ends in " CONTROL_SUFFIX,
			folder);
		return false;
	}
	g_ptr_array_sort(found, by_name);
	for (guint i = 0; i < found->len; i++)
		g_strv_builder_add(to, found->pdata[i]);
	return true;
}

GStrv asked_paths(char *const *args, GError **error)
{
	g_autoptr(GStrvBuilder) paths = g_strv_builder_new();

	for (; *args; args++) {
		if (!g_file_test(*args, G_FILE_TEST_IS_DIR))
			g_strv_builder_add(paths, *args);
		else if (!add_folder(paths, *args, error))
			return NULL;
	}
	return g_strv_builder_end(paths);
}

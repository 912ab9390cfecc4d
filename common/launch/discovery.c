/* SPDX-License-Identifier: Apache-2.0 */
/* See discovery.h. Anybody may have written the files: each is bounded, and skipped when bad. */
#include "launch/discovery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json_read.h"
#include "base/log.h"
#include "base/util.h"

#define MAX_FILE_BYTES 65536

/* What counts of a file. A value that is no string is as if it were missing. */
struct description {
	const char *type, *binary; /* in the file's text */
};

/* Returns the folders: NULL-terminated, most specific first; to be freed by g_strfreev(). */
static char **conventional_folders(void)
{
	GPtrArray *folders = g_ptr_array_new();

	g_ptr_array_add(
		folders, g_build_filename(g_get_user_config_dir(), "qemu", "vhost-user", NULL));
	g_ptr_array_add(folders, g_strdup("/etc/qemu/vhost-user"));
	g_ptr_array_add(folders, g_strdup("/usr/share/qemu/vhost-user"));
	g_ptr_array_add(folders, g_strdup(VIRTIOD_SYSCONFDIR "/virtiod/vhost-user"));
	g_ptr_array_add(folders, g_strdup(VIRTIOD_DATADIR "/virtiod/vhost-user"));
	/* Where our own files are installed when that is not /usr/share. */
	g_ptr_array_add(folders, g_strdup(VIRTIOD_DATADIR "/qemu/vhost-user"));
	g_ptr_array_add(folders, NULL);
	return (char **)g_ptr_array_free(folders, FALSE);
}

/* Adds base name -> path of the folder's files, except of those that a folder before hides. */
static void list_folder(const char *folder, GHashTable *files)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GDir) dir = g_dir_open(folder, 0, &error);
	const char *name;

	if (!dir) {
		if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			log_warning(NULL, "%s", error->message);
		return;
	}
	while ((name = g_dir_read_name(dir))) {
		if (*name != '.' && g_str_has_suffix(name, ".json") &&
			!g_hash_table_contains(files, name))
			g_hash_table_insert(
				files, g_strdup(name), g_build_filename(folder, name, NULL));
	}
}

/* Returns the text of a file; NULL, with *why, if it has none or is hidden (then *why is NULL). */
static char *read_file(const char *path, size_t *len, const char **why)
{
	/* Not to wait for the writer of a FIFO. */
	autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	g_autofree char *text = g_malloc(MAX_FILE_BYTES + 1);
	struct stat st;
	ssize_t n;

	*why = NULL;
	*len = 0;
	if (fd < 0 || fstat(fd, &st) < 0) {
		*why = g_strerror(errno);
		return NULL;
	}
	if (st.st_size == 0)
		return NULL;
	if (!S_ISREG(st.st_mode)) {
		*why = "not a file";
		return NULL;
	}
	while ((n = read(fd, text + *len, MAX_FILE_BYTES + 1 - *len)) > 0)
		*len += n;
	if (n < 0)
		*why = g_strerror(errno);
	else if (*len > MAX_FILE_BYTES)
		*why = "too long";
	return *why ? NULL : g_steal_pointer(&text);
}

/* Notes a member; of two of one name the last one counts. */
static bool note_member(void *opaque, const char *key, const struct json_value *v)
{
	const char *string = v->type == JSON_STRING ? v->text : NULL;
	struct description *d = opaque;

	if (strcmp(key, "type") == 0)
		d->type = string;
	else if (strcmp(key, "binary") == 0)
		d->binary = string;
	return true;
}

/* Returns why the text describes no back-end, or NULL. */
static const char *parse(char *text, size_t len, struct description *d)
{
	*d = (struct description){ 0 };
	if (!g_utf8_validate(text, len, NULL))
		return "not UTF-8";
	if (!json_read_object(text, len, note_member, d))
		return "not a JSON object";
	if (!d->type || !d->binary)
		return d->type ? "it has no string \"binary\"" : "it has no string \"type\"";
	return NULL;
}

/* Returns why binary cannot be run, or NULL. */
static const char *binary_fault(const char *binary)
{
	struct stat st;

	if (!g_path_is_absolute(binary))
		return "is not absolute";
	if (stat(binary, &st) < 0)
		return "is not there";
	if (!S_ISREG(st.st_mode) || access(binary, X_OK) < 0)
		return "is not executable";
	return NULL;
}

static void note_type(GPtrArray *types, const char *type)
{
	if (!g_ptr_array_find_with_equal_func(types, type, g_str_equal, NULL))
		g_ptr_array_add(types, g_strdup(type));
}

/*
 * Returns the binary, if the file at path is a good one of this type. Adds other types to
 * others.
 */
static char *match_file(const char *path, const char *type, GPtrArray *others)
{
	g_autofree char *text = NULL;
	struct description d;
	const char *why;
	size_t len;

	text = read_file(path, &len, &why);
	if (text)
		why = parse(text, len, &d);
	if (why)
		log_warning(NULL, "%s is skipped: %s", path, why);
	if (!text || why)
		return NULL;
	if (strcmp(d.type, type) != 0) {
		log_debug(NULL, "%s is of type %s", path, d.type);
		if (!binary_fault(d.binary))
			note_type(others, d.type);
		return NULL;
	}
	why = binary_fault(d.binary);
	if (why) {
		log_warning(NULL, "%s is skipped: its binary %s %s", path, d.binary, why);
		return NULL;
	}
	log_debug(NULL, "%s: type %s is served by %s", path, type, d.binary);
	return g_strdup(d.binary);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Returns, for a message, the folders searched and what is there instead. */
static void fail(GError **error, const char *type, char *const *folders, GPtrArray *types)
{
	g_autofree char *places = g_strjoinv(", ", (char **)folders), *others = NULL;

	g_ptr_array_add(types, NULL);
	others = g_strjoinv(", ", (char **)types->pdata);
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
		"no discovery file of a back-end of type \"%s\" (%s%s) in: %s", type,
		*others ? "types: " : "there is none at all", others, places);
}

char *discovery_find(const char *type, const char *const *folders, GError **error)
{
	g_autoptr(GHashTable) files =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_auto(GStrv) conventional = folders ? NULL : conventional_folders();
	char *const *all = folders ? (char *const *)folders : conventional;
	g_autoptr(GList) names = NULL;
	g_autoptr(GPtrArray) others = g_ptr_array_new_with_free_func(g_free);
	char *binary;

	for (unsigned i = 0; all[i]; i++)
		list_folder(all[i], files);
	names = g_list_sort(g_hash_table_get_keys(files), compare_names);
	for (const GList *l = names; l; l = l->next) {
		binary = match_file(g_hash_table_lookup(files, l->data), type, others);
		if (binary)
			return binary;
	}
	fail(error, type, all, others);
	return NULL;
}

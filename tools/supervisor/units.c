/* SPDX-License-Identifier: Apache-2.0 */
/* See units.h. */
#include "tools/supervisor/units.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "launch/device_set.h"

#define DROP_IN "50-devices.conf"
#define HEAD "# Made by virtiod-generator from %s:%u, of the device [%s].\n"

/* Appends a name as systemd-escape(1) does: "/" becomes "-". */
static void append_instance(GString *out, const char *name)
{
	for (; *name; name++) {
		if (*name == '/')
			g_string_append_c(out, '-');
		else if (g_ascii_isalnum(*name) || strchr(":_.", *name))
			g_string_append_c(out, *name);
		else
			g_string_append_printf(out, "\\x%02x", (unsigned char)*name);
	}
}

char *units_name(const struct device_entry *e)
{
	GString *name = g_string_new(NULL);

	g_string_append_printf(name, "virtiod-%s@", e->type);
	append_instance(name, e->name);
	return g_string_free(name, FALSE);
}

/* Appends a word of a command line: quoted, and with nothing that is replaced. */
static void append_word(GString *out, const char *word)
{
	g_string_append_c(out, '"');
	for (; *word; word++) {
		unsigned char c = *word;

		if (c == '"' || c == '\\')
			g_string_append_printf(out, "\\%c", c);
		else if (c == '%' || c == '$')
			g_string_append_printf(out, "%c%c", c, c);
		else if (c < 0x20 || c >= 0x7f)
			g_string_append_printf(out, "\\x%02x", c);
		else
			g_string_append_c(out, c);
	}
	g_string_append_c(out, '"');
}

char *units_socket(const struct device_entry *e, const char *run)
{
	GString *text = g_string_new(NULL);

	g_string_append_printf(text, HEAD "[Socket]\nListenStream=\n", e->path, e->line, e->name);
	g_string_append_printf(text, "ListenStream=%s/%s.sock\n", run, e->name);
	g_string_append_printf(text, "SocketMode=%04o\n", (unsigned)e->socket_mode);
	g_string_append(text, "SocketGroup=");
	if (e->socket_group != (gid_t)-1)
		g_string_append_printf(text, "%u", (unsigned)e->socket_group);
	g_string_append_c(text, '\n');
	return g_string_free(text, FALSE);
}

char *units_service(const struct device_entry *e, const char *programs, const GPtrArray *entries)
{
	GString *text = g_string_new(NULL);
	g_autofree char *program = g_strdup_printf("%s/virtiod-%s", programs, e->type);

	g_string_append_printf(
		text, HEAD "[Unit]\nSourcePath=%s\n", e->path, e->line, e->name, e->path);
	for (char **name = e->after; *name; name++) {
		g_autofree char *other = units_name(device_set_find(entries, *name));

		g_string_append_printf(text, "Wants=%s.service\nAfter=%s.service\n", other, other);
	}
	g_string_append(text, "[Service]\nEnvironmentFile=\nExecStart=\nExecStart=");
	append_word(text, program);
	for (char **o = e->options; *o; o++) {
		g_string_append_c(text, ' ');
		append_word(text, *o);
	}
	g_string_append_c(text, '\n');
	return g_string_free(text, FALSE);
}

static bool make_folder(const char *path, GError **error)
{
	return g_mkdir_with_parents(path, 0755) == 0 ||
		error_errno(error, errno, "cannot make '%s'", path);
}

/* Writes FOLDER/UNIT.d/50-devices.conf. */
static bool write_drop_in(const char *folder, const char *unit, const char *text, GError **error)
{
	g_autofree char *name = g_strdup_printf("%s.d", unit);
	g_autofree char *inner = g_build_filename(folder, name, NULL);
	g_autofree char *path = g_build_filename(inner, DROP_IN, NULL);

	return make_folder(inner, error) &&
		g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0644, error);
}

/* Has the socket started at boot. */
static bool want(const char *folder, const struct device_entry *e, const char *unit,
	const char *templates, GError **error)
{
	g_autofree char *wants = g_build_filename(folder, "sockets.target.wants", NULL);
	g_autofree char *link = g_build_filename(wants, unit, NULL);
	g_autofree char *target = g_strdup_printf("%s/virtiod-%s@.socket", templates, e->type);

	if (!make_folder(wants, error))
		return false;
	if (access(target, F_OK) < 0)
		return error_set(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
			"%s:%u: [%s]: invalid device=%s: there is no unit '%s'", e->path, e->line,
			e->name, e->type, target);
	return symlink(target, link) == 0 || errno == EEXIST ||
		error_errno(error, errno, "cannot make '%s'", link);
}

static bool write_device(const struct device_entry *e, const GPtrArray *entries, const char *folder,
	const char *templates, const char *run, const char *programs, GError **error)
{
	g_autofree char *name = units_name(e), *socket_text = units_socket(e, run);
	g_autofree char *service_text = units_service(e, programs, entries);
	g_autofree char *socket = g_strdup_printf("%s.socket", name);
	g_autofree char *service = g_strdup_printf("%s.service", name);

	return want(folder, e, socket, templates, error) &&
		write_drop_in(folder, socket, socket_text, error) &&
		write_drop_in(folder, service, service_text, error);
}

bool units_write(const GPtrArray *entries, const char *folder, const char *templates,
	const char *run, const char *programs, GError **error)
{
	for (unsigned i = 0; i < entries->len; i++) {
		if (!write_device(
			    entries->pdata[i], entries, folder, templates, run, programs, error))
			return false;
	}
	return true;
}

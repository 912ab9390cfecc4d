/* SPDX-License-Identifier: Apache-2.0 */
/* See check.h. */
#include "tools/supervisor/check.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

static bool fail(const struct device_entry *e, unsigned line, const char *why, GError **error)
{
	return error_set(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, "%s:%u: [%s]: %s",
		e->path, line, e->name, why);
}

/* Returns the line of the option that a message is about; if that is none, of the group. */
static unsigned find_line(const struct device_entry *e, const char *message)
{
	for (unsigned i = 0; e->options[i]; i++) {
		if (strstr(message, e->options[i]))
			return e->option_lines[i];
	}
	for (unsigned i = 0; e->options[i]; i++) {
		g_autofree char *name =
			g_strndup(e->options[i], strchr(e->options[i], '=') - e->options[i]);

		if (strstr(message, name))
			return e->option_lines[i];
	}
	return e->line;
}

/* Returns the first line that the program said, without its own name. */
static const char *first_line(char *said, const char *name)
{
	char *end = strchr(said, '\n');
	g_autofree char *prefix = g_strdup_printf("%s: error: ", name);

	if (end)
		*end = 0;
	return g_str_has_prefix(said, prefix) ? said + strlen(prefix) : said;
}

/* Runs in the new process: the signals that we watch are not blocked there. */
static void set_up(void *opaque)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

bool check_entry(const struct device_entry *e, const char *programs, GError **error)
{
	g_autofree char *name = g_strdup_printf("virtiod-%s", e->type);
	g_autofree char *program = g_build_filename(programs, name, NULL), *said = NULL;
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_autoptr(GError) why = NULL;
	int status = 0;

	if (access(program, X_OK) < 0) {
		g_autofree char *text = g_strdup_printf(
			"invalid device=%s: there is no program '%s'", e->type, program);

		return fail(e, e->line, text, error);
	}
	g_ptr_array_add(argv, program);
	for (char **o = e->options; *o; o++)
		g_ptr_array_add(argv, *o);
	g_ptr_array_add(argv, (char *)"--check-options");
	g_ptr_array_add(argv, NULL);
	if (!g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, set_up,
		    NULL, NULL, &said, &status, &why))
		return fail(e, e->line, why->message, error);
	if (status == 0)
		return true;
	return fail(e, find_line(e, said), first_line(said, name), error);
}

unsigned check_entries(const GPtrArray *entries, const char *programs)
{
	unsigned n = 0;

	for (unsigned i = 0; i < entries->len; i++) {
		g_autoptr(GError) error = NULL;

		if (check_entry(entries->pdata[i], programs, &error))
			continue;
		log_error(NULL, "%s", error->message);
		n++;
	}
	return n;
}

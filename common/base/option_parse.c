/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splits the command line. Not by GOption, which converts values from the locale's encoding, so
 * that a file name may be impossible, and drops the value of "--flag=off"; it lays out --help.
 */
#include "base/option_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* A command line that is being split. */
struct parsing {
	const struct option_syntax *syntax;
	const struct option_entry *tables[OPTION_TABLES + 1]; /* with those of the command */
	char **next; /* of argv: the first that has not been looked at */
	GPtrArray *given; /* struct option_entry: in use, in order */
};

/* Finds by name or, if name is NULL, by letter. */
static const struct option_entry *find(const struct parsing *p, const char *name, char letter)
{
	for (size_t i = 0; i < G_N_ELEMENTS(p->tables); i++) {
		for (const struct option_entry *o = p->tables[i]; o && o->name; o++) {
			if (name ? strcmp(o->name, name) == 0 : o->letter == letter)
				return o;
		}
	}
	return NULL;
}

/* Uses an option. value: what is behind "=", or NULL. */
static bool use(struct parsing *p, const struct option_entry *o, const char *value, GError **error)
{
	if (!value && !o->flag) {
		value = *p->next;
		if (!value)
			return error_set(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
				"Missing argument for --%s", o->name);
		p->next++;
	}
	if (!option_set(o, value, error)) {
		g_prefix_error(error, "invalid --%s=%s: ", o->name, value);
		return false;
	}
	if (!o->flag || *o->flag)
		g_ptr_array_add(p->given, (void *)o);
	return true;
}

static GOptionEntry to_gentry(const struct option_entry *o, GPtrArray *strings)
{
	char *argument = option_argument(o);
	const char *help = o->help;

	g_ptr_array_add(strings, argument);
	if (o->initial) {
		help = g_strdup_printf("%s (default: %s)", help, o->initial);
		g_ptr_array_add(strings, (void *)help);
	}
	return (GOptionEntry){
		.long_name = o->name,
		.short_name = o->letter,
		.flags = o->hidden ? G_OPTION_FLAG_HIDDEN : 0,
		.arg = argument ? G_OPTION_ARG_STRING : G_OPTION_ARG_NONE,
		.arg_data = strings, /* anything: GOption does not parse */
		.description = help,
		.arg_description = argument,
	};
}

static void add_entries(GOptionGroup *group, const struct option_entry *o, GPtrArray *strings)
{
	for (; o && o->name; o++) {
		const GOptionEntry entries[] = { to_gentry(o, strings), { NULL } };

		g_option_group_add_entries(group, entries);
	}
}

/* Prints the help. which: what follows --help ("-all", "-attach"). */
static bool print_help(const struct option_syntax *s, const char *which)
{
	g_autoptr(GOptionContext) context = g_option_context_new(s->arguments);
	g_autoptr(GPtrArray) strings = g_ptr_array_new_with_free_func(g_free);
	GOptionGroup *main = g_option_group_new("main", NULL, NULL, NULL, NULL), *group = NULL;
	g_autofree char *text = NULL;
	char *dots;

	g_option_context_set_summary(context, s->summary);
	for (size_t i = 0; i < G_N_ELEMENTS(s->tables); i++)
		add_entries(main, s->tables[i], strings);
	g_option_context_set_main_group(context, main);
	if (s->group.name) {
		group = g_option_group_new(
			s->group.name, s->group.title, s->group.help, NULL, NULL);
		add_entries(group, s->group.entries, strings);
		g_option_context_add_group(context, group);
	}
	text = g_option_context_get_help(
		context, *which == '\0', *which && strcmp(which, "-all") != 0 ? group : NULL);
	/* GLib's ellipsis is no ASCII, and the output's encoding is not known. */
	dots = strstr(text, "\xe2\x80\xa6");
	if (dots)
		memcpy(dots, "...", strlen("..."));
	return fputs(text, stdout) >= 0 && fflush(stdout) == 0;
}

static void help_and_exit(const struct option_syntax *s, const char *which)
{
	exit(print_help(s, which) ? EXIT_SUCCESS : EXIT_FAILURE);
}

static bool is_help(const struct option_syntax *s, const char *name)
{
	if (!g_str_has_prefix(name, "help"))
		return false;
	name += strlen("help");
	return !*name || strcmp(name, "-all") == 0 ||
		(s->group.name && *name == '-' && strcmp(name + 1, s->group.name) == 0);
}

/* Parses "--name" or "--name=value". text: behind the dashes. */
static bool parse_long(struct parsing *p, const char *text, GError **error)
{
	const char *value = strchr(text, '=');
	g_autofree char *name = value ? g_strndup(text, value - text) : g_strdup(text);
	const struct option_entry *o = find(p, name, 0);

	if (o)
		return use(p, o, value ? value + 1 : NULL, error);
	if (is_help(p->syntax, text))
		help_and_exit(p->syntax, text + strlen("help"));
	return error_set(
		error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION, "Unknown option --%s", text);
}

/* Parses short options. letters: "v", "fm256": flags, and at the end one that may have a value. */
static bool parse_short(struct parsing *p, const char *letters, GError **error)
{
	for (; *letters; letters++) {
		const struct option_entry *o = find(p, NULL, *letters);

		if (!o && (*letters == 'h' || *letters == '?'))
			help_and_exit(p->syntax, "");
		if (!o)
			return error_set(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
				"Unknown option -%c", *letters);
		if (!o->flag)
			return use(p, o, letters[1] ? letters + 1 : NULL, error);
		if (!use(p, o, NULL, error))
			return false;
	}
	return true;
}

/* Adds to arguments what is no option. */
static bool split(struct parsing *p, GPtrArray *arguments, GError **error)
{
	bool options = true;

	while (*p->next) {
		const char *arg = *p->next++;
		bool ok = true;

		if (!options || arg[0] != '-' || !arg[1])
			g_ptr_array_add(arguments, g_strdup(arg));
		else if (arg[1] != '-')
			ok = parse_short(p, arg + 1, error);
		else if (arg[2])
			ok = parse_long(p, arg + 2, error);
		else
			options = false;
		if (!ok)
			return false;
	}
	return true;
}

static bool check_exclusions(const struct parsing *p, GError **error)
{
	for (unsigned i = 0; i < p->given->len; i++) {
		const struct option_entry *o = p->given->pdata[i];

		for (unsigned j = 0; j < p->given->len; j++) {
			const struct option_entry *other = p->given->pdata[j];

			for (unsigned k = 0; k < G_N_ELEMENTS(o->excludes) && o->excludes[k]; k++) {
				if (strcmp(o->excludes[k], other->name) == 0)
					return option_bad(error, "--%s and --%s exclude each other",
						o->name, other->name);
			}
		}
	}
	return true;
}

static bool check_count(const struct option_syntax *s, char **arguments, GError **error)
{
	unsigned n = arguments[0] ? g_strv_length(arguments + 1) : 0;

	if (n >= s->min_arguments && n <= s->max_arguments)
		return true;
	if (n > s->max_arguments)
		return error_set(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
			"unexpected argument '%s' (try --help)", arguments[1 + s->max_arguments]);
	return error_set(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "usage: %s [OPTION...] %s",
		g_get_prgname(), s->arguments);
}

static void set_initial(const struct option_entry *o)
{
	for (; o && o->name; o++) {
		if (o->initial && !option_set(o, o->initial, NULL))
			g_error("option --%s cannot be %s", o->name, o->initial);
	}
}

bool option_parse(const struct option_syntax *s, char ***argv, GError **error)
{
	g_autoptr(GPtrArray) given = g_ptr_array_new();
	g_autoptr(GPtrArray) arguments = g_ptr_array_new_with_free_func(g_free);
	struct parsing p = { .syntax = s, .next = *argv, .given = given };

	memcpy(p.tables, s->tables, sizeof(s->tables));
	p.tables[OPTION_TABLES] = s->group.name ? s->group.entries : NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(p.tables); i++)
		set_initial(p.tables[i]);
	if (*p.next) /* the program's name */
		g_ptr_array_add(arguments, g_strdup(*p.next++));
	if (!split(&p, arguments, error) || !check_exclusions(&p, error))
		return false;
	g_ptr_array_add(arguments, NULL);
	if (!check_count(s, (char **)arguments->pdata, error))
		return false;
	g_strfreev(*argv);
	*argv = (char **)g_ptr_array_free(g_steal_pointer(&arguments), FALSE);
	return true;
}

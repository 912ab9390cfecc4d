/* SPDX-License-Identifier: Apache-2.0 */
/* See option.h. GOption splits the command line and prints --help; the values are read here. */
#include "base/option.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"

struct kind {
	size_t offset; /* of the target's pointer in struct option_entry */
	size_t size; /* of the target */
	bool (*set)(const struct option_entry *o, const char *text, GError **error);
	const char *argument; /* what --help calls the value */
	int flags; /* of GOptionEntry */
};

bool option_bad(GError **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_setv(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, NULL, format, args);
	va_end(args);
	return false;
}

static bool set_flag(const struct option_entry *o, const char *text, GError **error)
{
	*o->flag = true;
	return true;
}

static bool set_on_off(const struct option_entry *o, const char *text, GError **error)
{
	static const char *const words[] = { "off", "on", NULL };
	unsigned which;

	if (!choice_parse(text, words, &which))
		return option_bad(error, "on or off");
	*o->on_off = which;
	return true;
}

static bool set_word(const struct option_entry *o, const char *text, GError **error)
{
	g_autofree char *list = NULL;

	if (choice_parse(text, o->words, o->word))
		return true;
	list = choice_list(o->words);
	return option_bad(error, "%s", list);
}

static bool replace(char **target, const char *text)
{
	g_free(*target);
	*target = g_strdup(text);
	return true;
}

static bool set_string(const struct option_entry *o, const char *text, GError **error)
{
	return replace(o->string, text);
}

static bool set_path(const struct option_entry *o, const char *text, GError **error)
{
	return replace(o->path, text);
}

static bool set_paths(const struct option_entry *o, const char *text, GError **error)
{
	unsigned n = *o->paths ? g_strv_length(*o->paths) : 0;

	*o->paths = g_renew(char *, *o->paths, n + 2);
	(*o->paths)[n] = g_strdup(text);
	(*o->paths)[n + 1] = NULL;
	return true;
}

/* A value that fits may still not be a power of two. */
static bool parse_number(
	const struct option_entry *o, const char *text, uint64_t max, uint64_t *n, GError **error)
{
	if (number_parse(text, o->min, max, n) && !(o->power_of_two && (*n & (*n - 1))))
		return true;
	if (o->min == 0 && o->power_of_two)
		return option_bad(error, "0 or a power of two up to %" G_GUINT64_FORMAT, max);
	if (o->power_of_two)
		return option_bad(error,
			"a power of two from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, o->min,
			max);
	return option_bad(
		error, "a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, o->min, max);
}

static bool set_fd(const struct option_entry *o, const char *text, GError **error)
{
	gint64 none;
	uint64_t n;

	if (g_ascii_string_to_signed(text, 10, G_MININT, -1, &none, NULL)) {
		*o->fd = -1;
		return true;
	}
	if (!parse_number(o, text, G_MAXINT, &n, error))
		return false;
	*o->fd = (int)n;
	return true;
}

static bool set_number(const struct option_entry *o, const char *text, GError **error)
{
	uint64_t n;

	if (o->unset && strcmp(text, o->unset) == 0) {
		*o->number = (unsigned)atoi(text);
		return true;
	}
	if (o->name_of && o->name_of(text, o->number))
		return true;
	if (parse_number(o, text, o->max ? o->max : G_MAXUINT, &n, error)) {
		*o->number = (unsigned)n;
		return true;
	}
	if (o->name_of)
		g_prefix_error(error, "a name or ");
	return false;
}

static bool set_number64(const struct option_entry *o, const char *text, GError **error)
{
	return parse_number(o, text, o->max ? o->max : UINT64_MAX, o->number64, error);
}

static bool set_bytes(const struct option_entry *o, const char *text, GError **error)
{
	uint64_t n;

	if (number_parse_bytes(text, o->shift, &n) && n >= o->min && (!o->max || n <= o->max)) {
		*o->bytes = n;
		return true;
	}
	if (o->shift)
		return option_bad(error, "a size such as 256M or 2G");
	if (!o->max)
		return option_bad(error, "a number of bytes such as 4096, 64K or 2G");
	return option_bad(error,
		"a number of bytes such as 4096 or 64K, from %" G_GUINT64_FORMAT
		" to %" G_GUINT64_FORMAT,
		o->min, o->max);
}

static bool set_real(const struct option_entry *o, const char *text, GError **error)
{
	char *end;
	double value = g_ascii_strtod(text, &end);

	if (end == text || *end || !isfinite(value) || signbit(value))
		return option_bad(error, "a number such as 5 or 0.5");
	*o->real = value;
	return true;
}

static bool set_mode(const struct option_entry *o, const char *text, GError **error)
{
	guint64 n;

	if (!g_ascii_string_to_unsigned(text, 8, 0, 0777, &n, NULL))
		return option_bad(error, "an octal mode up to 777");
	*o->mode = (mode_t)n;
	return true;
}

static bool set_parse(const struct option_entry *o, const char *text, GError **error)
{
	return o->parse(text, error);
}

#define TARGET(member)                                   \
	.offset = offsetof(struct option_entry, member), \
	.size = sizeof(*((struct option_entry *)NULL)->member)

static const struct kind kinds[] = {
	{ TARGET(flag), set_flag, NULL, G_OPTION_FLAG_NO_ARG },
	{ TARGET(on_off), set_on_off, "on|off" },
	{ TARGET(word), set_word, "WORD" },
	{ TARGET(string), set_string, "TEXT" },
	{ TARGET(path), set_path, "PATH", G_OPTION_FLAG_FILENAME },
	{ TARGET(paths), set_paths, "PATH", G_OPTION_FLAG_FILENAME },
	{ TARGET(fd), set_fd, "N" },
	{ TARGET(number), set_number, "N" },
	{ TARGET(number64), set_number64, "N" },
	{ TARGET(bytes), set_bytes, "BYTES" },
	{ TARGET(real), set_real, "N" },
	{ TARGET(mode), set_mode, "MODE" },
	{ .offset = offsetof(struct option_entry, parse), .set = set_parse, .argument = "VALUE" },
};

static const struct kind *kind_of(const struct option_entry *o)
{
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		void *target;

		memcpy(&target, (const char *)o + kinds[i].offset, sizeof(target));
		if (target)
			return &kinds[i];
	}
	g_error("option --%s has no target", o->name);
}

void *option_target(const struct option_entry *o, size_t *size)
{
	const struct kind *kind = kind_of(o);
	void *target;

	*size = kind->size;
	memcpy(&target, (const char *)o + kind->offset, sizeof(target));
	return kind->size ? target : NULL;
}

void option_clear(const struct option_entry *entries)
{
	for (const struct option_entry *o = entries; o->name; o++) {
		char **string = o->string ? o->string : o->path;

		if (string)
			g_clear_pointer(string, g_free);
		if (o->paths)
			g_clear_pointer(o->paths, g_strfreev);
	}
}

bool option_set(const struct option_entry *o, const char *text, GError **error)
{
	return kind_of(o)->set(o, text, error);
}

/* While GOption parses: it knows the options of one group by their names only. */
struct parsing {
	const struct option_entry *const *tables;
	size_t n_tables;
	GPtrArray *strings; /* made for GOption, which keeps pointers */
};

static const struct option_entry *find(const struct parsing *p, const char *given)
{
	/* "--name", or "-n". */
	bool is_long = given[1] == '-';

	for (size_t i = 0; i < p->n_tables; i++) {
		for (const struct option_entry *o = p->tables[i]; o && o->name; o++) {
			if (is_long ? strcmp(o->name, given + 2) == 0 : o->letter == given[1])
				return o;
		}
	}
	return NULL;
}

static gboolean on_option(const char *given, const char *text, void *opaque, GError **error)
{
	const struct option_entry *o = find(opaque, given);

	if (option_set(o, text, error))
		return TRUE;
	g_prefix_error(error, "invalid --%s=%s: ", o->name, text);
	return FALSE;
}

static char *keep(struct parsing *p, char *string)
{
	g_ptr_array_add(p->strings, string);
	return string;
}

static GOptionEntry to_gentry(struct parsing *p, const struct option_entry *o)
{
	const struct kind *kind = kind_of(o);
	const char *argument = o->argument ? o->argument : kind->argument;
	const char *help = o->help;

	if (o->word && !o->argument)
		argument = keep(p, g_strjoinv("|", (char **)o->words));
	if (o->initial)
		help = keep(p, g_strdup_printf("%s (default: %s)", help, o->initial));
	return (GOptionEntry){
		.long_name = o->name,
		.short_name = o->letter,
		.flags = kind->flags | (o->hidden ? G_OPTION_FLAG_HIDDEN : 0),
		.arg = G_OPTION_ARG_CALLBACK,
		.arg_data = (void *)on_option,
		.description = help,
		.arg_description = argument,
	};
}

static void add_entries(GOptionGroup *group, struct parsing *p)
{
	for (size_t i = 0; i < p->n_tables; i++) {
		for (const struct option_entry *o = p->tables[i]; o && o->name; o++) {
			const GOptionEntry entries[] = { to_gentry(p, o), { NULL } };

			g_option_group_add_entries(group, entries);
		}
	}
}

static void set_initial(const struct parsing *p)
{
	for (size_t i = 0; i < p->n_tables; i++) {
		for (const struct option_entry *o = p->tables[i]; o && o->name; o++) {
			if (o->initial && !option_set(o, o->initial, NULL))
				g_error("option --%s cannot be %s", o->name, o->initial);
		}
	}
}

static bool check_arguments(const struct option_syntax *s, char ***argv, GError **error)
{
	char **args = *argv;
	unsigned n;

	/* GOption leaves a "--" in place. */
	if (args[0] && g_strcmp0(args[1], "--") == 0) {
		g_free(args[1]);
		memmove(args + 1, args + 2, (g_strv_length(args + 2) + 1) * sizeof(*args));
	}
	n = args[0] ? g_strv_length(args + 1) : 0;
	if (n >= s->min_arguments && n <= s->max_arguments)
		return true;
	if (n > s->max_arguments)
		return error_set(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
			"unexpected argument '%s' (try --help)", args[1 + s->max_arguments]);
	return error_set(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "usage: %s [OPTION...] %s",
		g_get_prgname(), s->arguments);
}

bool option_parse(const struct option_syntax *s, char ***argv, GError **error)
{
	g_autoptr(GOptionContext) context = g_option_context_new(s->arguments);
	g_autoptr(GPtrArray) strings = g_ptr_array_new_with_free_func(g_free);
	struct parsing all = { s->tables, G_N_ELEMENTS(s->tables), strings };
	struct parsing extra = { &s->group.entries, s->group.name ? 1 : 0, strings };
	GOptionGroup *group = g_option_group_new("main", NULL, NULL, &all, NULL);

	set_initial(&all);
	set_initial(&extra);
	g_option_context_set_summary(context, s->summary);
	add_entries(group, &all);
	g_option_context_set_main_group(context, group);
	if (s->group.name) {
		group = g_option_group_new(
			s->group.name, s->group.title, s->group.help, &extra, NULL);
		add_entries(group, &extra);
		g_option_context_add_group(context, group);
	}
	return g_option_context_parse_strv(context, argv, error) && check_arguments(s, argv, error);
}

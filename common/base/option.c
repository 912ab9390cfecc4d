/* SPDX-License-Identifier: Apache-2.0 */
/* See option.h. Sets targets from text, by kind; the command line is option_parse.c's. */
#include "base/option_impl.h"

#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"

struct kind {
	size_t offset; /* of the target's pointer in struct option_entry */
	size_t size; /* of the target */
	bool (*set)(const struct option_entry *o, const char *text, GError **error);
	const char *argument; /* what --help calls the value */
};

bool option_bad(GError **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_setv(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, NULL, format, args);
	va_end(args);
	return false;
}

int option_exit_status(const GError *error)
{
	if (!error)
		return EXIT_SUCCESS;
	return error->domain == G_OPTION_ERROR || error->domain == G_KEY_FILE_ERROR ? EXIT_USAGE
										    : EXIT_FAILURE;
}

static bool parse_on_off(const char *text, bool *on, GError **error)
{
	static const char *const words[] = { "off", "on", NULL };
	unsigned which;

	if (!choice_parse(text, words, &which))
		return option_bad(error, "on or off");
	*on = which;
	return true;
}

static bool set_flag(const struct option_entry *o, const char *text, GError **error)
{
	*o->flag = true;
	return !text || parse_on_off(text, o->flag, error);
}

static bool set_on_off(const struct option_entry *o, const char *text, GError **error)
{
	return parse_on_off(text, o->on_off, error);
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

/* Parses a number: a value that fits may still not be a power of two. */
static bool parse_number(
	const struct option_entry *o, const char *text, uint64_t max, uint64_t *n, GError **error)
{
	bool ok = o->units ? number_parse_bytes(text, 0, n) : number_parse(text, 0, UINT64_MAX, n);

	if (ok && *n >= o->min && *n <= max && !(o->power_of_two && (*n & (*n - 1))))
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
	uint64_t n;

	if (!parse_number(o, text, G_MAXINT, &n, error))
		return false;
	*o->fd = (int)n;
	return true;
}

static bool set_fds(const struct option_entry *o, const char *text, GError **error)
{
	g_auto(GStrv) numbers = g_strsplit(text, ",", -1);
	unsigned n = g_strv_length(numbers);
	g_autofree int *fds = g_new(int, n + 1);
	uint64_t fd;

	for (unsigned i = 0; i < n; i++) {
		if (!number_parse(numbers[i], 0, G_MAXINT, &fd))
			return option_bad(error, "numbers of open files such as 5,6");
		fds[i] = (int)fd;
	}
	if (!n)
		return option_bad(error, "numbers of open files such as 5,6");
	fds[n] = -1;
	g_free(*o->fds);
	*o->fds = g_steal_pointer(&fds);
	return true;
}

/* Returns whether the value stands for "not given", however its number is written. */
static bool is_unset(const struct option_entry *o, const char *text)
{
	uint64_t unset, n;

	if (!o->unset || strcmp(text, o->unset) == 0)
		return o->unset;
	return number_parse(o->unset, 0, UINT64_MAX, &unset) &&
		number_parse(text, unset, unset, &n);
}

static bool set_number(const struct option_entry *o, const char *text, GError **error)
{
	uint64_t n;

	if (is_unset(o, text)) {
		*o->number = (unsigned)atoi(o->unset);
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
	double value;

	if (!number_parse_real(text, &value))
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

static bool set_group(const struct option_entry *o, const char *text, GError **error)
{
	const struct group *group;
	uint64_t gid;

	if (number_parse(text, 0, G_MAXINT32, &gid)) {
		*o->group = (gid_t)gid;
		return true;
	}
	group = getgrnam(text);
	if (!group)
		return option_bad(error, "there is no such group");
	*o->group = group->gr_gid;
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
	{ TARGET(flag), set_flag },
	{ TARGET(on_off), set_on_off, "on|off" },
	{ TARGET(word), set_word, "WORD" },
	{ TARGET(string), set_string, "TEXT" },
	{ TARGET(path), set_path, "PATH" },
	{ TARGET(paths), set_paths, "PATH" },
	{ TARGET(fd), set_fd, "N" },
	{ TARGET(fds), set_fds, "N,..." },
	{ TARGET(number), set_number, "N" },
	{ TARGET(number64), set_number64, "N" },
	{ TARGET(bytes), set_bytes, "BYTES" },
	{ TARGET(real), set_real, "N" },
	{ TARGET(mode), set_mode, "MODE" },
	{ TARGET(group), set_group, "GROUP" },
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

char *option_argument(const struct option_entry *o)
{
	if (o->word && !o->argument)
		return g_strjoinv("|", (char **)o->words);
	return g_strdup(o->argument ? o->argument : kind_of(o)->argument);
}

void option_clear(const struct option_entry *entries)
{
	for (const struct option_entry *o = entries; o->name; o++) {
		char **string = o->string ? o->string : o->path;

		if (string)
			g_clear_pointer(string, g_free);
		if (o->paths)
			g_clear_pointer(o->paths, g_strfreev);
		if (o->fds)
			g_clear_pointer(o->fds, g_free);
	}
}

bool option_set(const struct option_entry *o, const char *text, GError **error)
{
	return kind_of(o)->set(o, text, error);
}

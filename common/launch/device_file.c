/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See device_file.h. Not by GKeyFile, which takes UTF-8 alone, keeps one value of a key, and tells
 * no lines.
 */
#include "launch/device_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/option.h"
#include "base/util.h"
#include "launch/rule_text.h"

#define MAX_LINE_BYTES 4096
#define MAX_WAIT_S 3600
#define WAIT_S 10
#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define KEY_CHARACTERS LETTERS "0123456789-"
#define NAME_BEGINNINGS LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
#define NAME_CHARACTERS NAME_BEGINNINGS ".:-"

/* A file that is being read. */
struct file_parsing {
	const char *path;
	unsigned line;
	GPtrArray *entries;
	struct device_entry *entry; /* the group of this line, owned; NULL: none yet */
	GPtrArray *options, *after;
	GArray *option_lines;
	const char *given[8]; /* keys that may be given once, and were */
	unsigned n_given, n_keys;
};

/* Keys that the program has, but that say what is not the file's to say. */
static const struct {
	const char *key, *why;
} refused[] = {
	{ "check-options", "it is no property of a device" },
	{ "fd", "the socket is made for the program" },
	{ "help", "it is no property of a device" },
	{ "print-capabilities", "it is no property of a device" },
	{ "run-as", "this is user= here" },
	{ "socket-path", "the socket is made for the program, by the group's name" },
	{ "version", "it is no property of a device" },
};

void device_entry_free(struct device_entry *s)
{
	if (!s)
		return;
	g_free(s->name);
	g_free(s->type);
	g_strfreev(s->options);
	g_free(s->option_lines);
	g_strfreev(s->after);
	g_free(s->path);
	g_free(s);
}

GPtrArray *device_entries_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)device_entry_free);
}

/* Is one part of a name: of these bytes, up to a length? */
static bool is_part(const char *text, size_t len, size_t max)
{
	return len > 0 && len <= max && strspn(text, NAME_CHARACTERS) >= len &&
		strchr(NAME_BEGINNINGS, *text);
}

const char *device_name_fault(const char *name)
{
	const char *slash = strchr(name, '/');

	if (!slash || strchr(slash + 1, '/'))
		return "GUEST/DEVICE, with one slash";
	if (!is_part(name, slash - name, DEVICE_GUEST_MAX))
		return "a guest's name of up to " G_STRINGIFY(
			DEVICE_GUEST_MAX) " letters, digits, \".\", \"_\", \":\" and \"-\", which "
					  "begins with a letter, a digit or \"_\"";
	if (!is_part(slash + 1, strlen(slash + 1), DEVICE_NAME_MAX))
		return "a device's name of up to " G_STRINGIFY(
			DEVICE_NAME_MAX) " letters, digits, \".\", \"_\", \":\" and \"-\", which "
					 "begins with a letter, a digit or \"_\"";
	return NULL;
}

/* Says where, and what is wrong. */
static bool fail(const struct file_parsing *p, GError **error, const char *format, ...)
	G_GNUC_PRINTF(3, 4);
static bool fail(const struct file_parsing *p, GError **error, const char *format, ...)
{
	g_autofree char *where = p->entry
		? g_strdup_printf("%s:%u: [%s]", p->path, p->line, p->entry->name)
		: g_strdup_printf("%s:%u", p->path, p->line);
	va_list args;

	va_start(args, format);
	error_setv(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE, where, format, args);
	va_end(args);
	return false;
}

/* Puts the group that was read, if any, to the others. */
static bool end_group(struct file_parsing *p, GError **error)
{
	struct device_entry *s = p->entry;

	if (!s)
		return true;
	if (!s->type) {
		p->line = s->line;
		return fail(p, error, "has no device=TYPE");
	}
	g_ptr_array_add(p->options, NULL);
	g_ptr_array_add(p->after, NULL);
	s->options = (char **)g_ptr_array_free(g_steal_pointer(&p->options), FALSE);
	s->after = (char **)g_ptr_array_free(g_steal_pointer(&p->after), FALSE);
	s->option_lines =
		(unsigned *)(void *)g_array_free(g_steal_pointer(&p->option_lines), FALSE);
	g_ptr_array_add(p->entries, g_steal_pointer(&p->entry));
	return true;
}

static bool begin_group(struct file_parsing *p, char *text, GError **error)
{
	size_t len = strlen(text);
	const char *fault;

	if (!end_group(p, error))
		return false;
	if (text[len - 1] != ']')
		return fail(p, error,
			"invalid group '%s': [GUEST/DEVICE], without more on its line", text);
	text[len - 1] = 0;
	fault = device_name_fault(text + 1);
	if (fault)
		return fail(p, error, "invalid group [%s]: %s", text + 1, fault);
	p->entry = g_new0(struct device_entry, 1);
	*p->entry = (struct device_entry){
		.name = g_strdup(text + 1),
		.wait_s = WAIT_S,
		.socket_mode = 0600,
		.socket_group = (gid_t)-1,
		.path = g_strdup(p->path),
		.line = p->line,
		.end = p->line + 1,
	};
	p->options = g_ptr_array_new_with_free_func(g_free);
	p->after = g_ptr_array_new_with_free_func(g_free);
	p->option_lines = g_array_new(FALSE, FALSE, sizeof(unsigned));
	p->n_given = p->n_keys = 0;
	return true;
}

static void add_option(struct file_parsing *p, const char *key, const char *value)
{
	g_ptr_array_add(p->options, g_strdup_printf("--%s=%s", key, value));
	g_array_append_val(p->option_lines, p->line);
}

static bool set_type(struct file_parsing *p, const char *value, GError **error)
{
	if (strlen(value) > DEVICE_TYPE_MAX || strspn(value, KEY_CHARACTERS) != strlen(value))
		return option_bad(error, "the last part of a program's name, virtiod-TYPE");
	p->entry->type = g_strdup(value);
	return true;
}

static bool add_after(struct file_parsing *p, const char *value, GError **error)
{
	size_t guest = strchr(p->entry->name, '/') - p->entry->name;
	g_autofree char *name = strchr(value, '/')
		? g_strdup(value)
		: g_strdup_printf("%.*s/%s", (int)guest, p->entry->name, value);

	if (device_name_fault(name))
		return option_bad(error,
			"GUEST/DEVICE, or a DEVICE of the same guest; one after= "
			"for each");
	g_ptr_array_add(p->after, g_steal_pointer(&name));
	p->entry->after_line = p->line;
	return true;
}

/* Sets what a key of ours says. *ours: it is one. */
static bool set_own(
	struct file_parsing *p, const char *key, const char *value, bool *ours, GError **error)
{
	struct device_entry *s = p->entry;
	const struct option_entry numbers[] = {
		{ "wait", .number = &s->wait_s, .max = MAX_WAIT_S },
		{ "socket-mode", .mode = &s->socket_mode },
		{ "socket-group", .group = &s->socket_group },
	};

	*ours = true;
	if (strcmp(key, "device") == 0)
		return set_type(p, value, error);
	if (strcmp(key, "after") == 0)
		return add_after(p, value, error);
	for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
		if (strcmp(key, numbers[i].name) == 0)
			return option_set(&numbers[i], value, error);
	}
	*ours = strcmp(key, "user") == 0;
	if (*ours)
		add_option(p, "run-as", value);
	return true;
}

static const char *refusal(const char *key)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(refused); i++) {
		if (strcmp(key, refused[i].key) == 0)
			return refused[i].why;
	}
	return NULL;
}

/* Notes that a key of ours is given; false: it was before. */
static bool is_first(struct file_parsing *p, const char *key)
{
	static const char *const once[] = { "device", "user", "wait", "socket-mode",
		"socket-group" };

	for (unsigned i = 0; i < p->n_given; i++) {
		if (strcmp(p->given[i], key) == 0)
			return false;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(once); i++) {
		if (strcmp(once[i], key) == 0)
			p->given[p->n_given++] = once[i];
	}
	return true;
}

static bool set_key(struct file_parsing *p, const char *key, const char *raw, GError **error)
{
	g_autoptr(GError) why = NULL;
	g_autofree char *value = rule_text_string(raw, &why);
	const char *refusal_text = refusal(key);
	bool ours = false;

	if (!*key || strspn(key, KEY_CHARACTERS) != strlen(key) || !g_ascii_isalpha(*key))
		return fail(p, error, "invalid key '%s': small letters, digits and \"-\"", key);
	if (refusal_text)
		return fail(p, error, "invalid key '%s': %s", key, refusal_text);
	if (!is_first(p, key))
		return fail(p, error, "%s=%s: the key is given twice: remove one", key, raw);
	if (++p->n_keys > DEVICE_FILE_MAX_KEYS)
		return fail(p, error, "%s=%s: more than %u keys in a group", key, raw,
			DEVICE_FILE_MAX_KEYS);
	if (!*raw)
		return fail(p, error, "%s= has no value: a switch is %s=true", key, key);
	if (!value || !set_own(p, key, value, &ours, &why))
		return fail(p, error, "invalid %s=%s: %s", key, raw, why->message);
	if (!ours)
		add_option(p, key, value);
	p->entry->end = p->line + 1;
	return true;
}

/* Reads a line without blanks at its ends. */
static bool parse_line(struct file_parsing *p, char *line, GError **error)
{
	char *equals = strchr(line, '=');

	if (!*line || *line == '#')
		return true;
	if (*line == '[')
		return begin_group(p, line, error);
	if (!p->entry)
		return fail(p, error, "'%s' stands before the first [GUEST/DEVICE]", line);
	if (!equals)
		return fail(p, error, "'%s' is not KEY=VALUE: a switch is %s=true", line, line);
	*equals = 0;
	return set_key(p, g_strchomp(line), g_strchug(equals + 1), error);
}

static void parsing_clear(struct file_parsing *p)
{
	g_clear_pointer(&p->entry, device_entry_free);
	g_clear_pointer(&p->options, g_ptr_array_unref);
	g_clear_pointer(&p->after, g_ptr_array_unref);
	g_clear_pointer(&p->option_lines, g_array_unref);
}

bool device_file_parse(
	GPtrArray *entries, const char *path, const char *text, size_t len, GError **error)
{
	struct file_parsing p = { .path = path, .entries = entries };
	const char *end;
	bool ok = true;

	for (; ok && len; len -= end - text, text = end) {
		const char *newline = memchr(text, '\n', len);
		size_t n = newline ? (size_t)(newline - text) : len;
		g_autofree char *line = g_strndup(text, n);

		end = text + n + (newline ? 1 : 0);
		p.line++;
		if (n > MAX_LINE_BYTES)
			ok = fail(&p, error, "the line has more than %u bytes", MAX_LINE_BYTES);
		else if (strlen(line) != n)
			ok = fail(&p, error, "the line has a NUL byte");
		else
			ok = parse_line(&p, g_strstrip(line), error);
	}
	ok = ok && end_group(&p, error);
	parsing_clear(&p);
	return ok;
}

/* Checks what is open before it is read: anything else could make us wait, or be of anybody. */
static bool check_file(int fd, const char *path, struct stat *st, GError **error)
{
	if (fd < 0 || fstat(fd, st) < 0)
		return error_errno(error, errno, "cannot read '%s'", path);
	if (!S_ISREG(st->st_mode))
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"cannot use '%s': it is no regular file", path);
	if (st->st_mode & S_IWOTH)
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"cannot use '%s': everybody may write it (chmod o-w)", path);
	return true;
}

char *device_file_load(const char *path, size_t *len, GError **error)
{
	autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	g_autofree char *text = NULL;
	struct stat st;
	ssize_t n;

	if (!check_file(fd, path, &st, error))
		return NULL;
	if (st.st_size > DEVICE_FILE_MAX_BYTES) {
		error_set(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"cannot use '%s': it has more than %u bytes", path, DEVICE_FILE_MAX_BYTES);
		return NULL;
	}
	text = g_malloc(st.st_size + 1);
	for (*len = 0; *len < (size_t)st.st_size; *len += n) {
		n = read(fd, text + *len, st.st_size - *len);
		if (n < 0) {
			error_errno(error, errno, "cannot read '%s'", path);
			return NULL;
		}
		if (n == 0)
			break;
	}
	text[*len] = 0;
	return g_steal_pointer(&text);
}

bool device_file_read(GPtrArray *entries, const char *path, GError **error)
{
	size_t len;
	g_autofree char *text = device_file_load(path, &len, error);

	return text && device_file_parse(entries, path, text, len, error);
}

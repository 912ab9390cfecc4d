/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads rule files and finds the rule of a device. The toolstack's strings (a domain's name,
 * params) replace placeholders after the values were split into arguments, and are not interpreted:
 * whatever they contain, an argument remains one argument, and begins as in the rule.
 */
#include "xen/supervisor/backend_rules.h"

#include <fnmatch.h>
#include <string.h>

#include "base/log.h"
#include "base/option.h"
#include "launch/backend_keys.h"
#include "launch/discovery.h"
#include "launch/rule_text.h"

#define MAX_WAIT_S 3600
#define ANY UINT_MAX
#define NOBODY 65534

enum { MODE_READ, MODE_WRITE };

static const char *const mode_words[] = { "r", "w", NULL };
static const char *const node_words[] = { "virtio", "virtio_disk", NULL };

/* A group of a file. */
struct rule_group {
	char *where;
	/* Which devices it is for. */
	char *domain; /* glob; NULL: all */
	unsigned node; /* index of node_words, or ANY */
	unsigned devid, mode; /* or ANY */
	unsigned type; /* 0: any */
	bool params; /* uses %p: only devices that have params */
	/* Their back-end, with placeholders. */
	char *socket, *program;
	char **options;
	struct backend_keys keys;
	unsigned wait; /* 0: not set */
};

struct backend_rules {
	char *config, *defaults, *run;
	unsigned uid_base;
	GPtrArray *first, *last; /* struct rule_group, of config and of defaults */
};

/* Takes over where. */
static struct rule_group *group_new(char *where)
{
	struct rule_group *g = g_new0(struct rule_group, 1);

	g->where = where;
	g->node = g->devid = g->mode = ANY;
	g->keys = (struct backend_keys)BACKEND_KEYS_INIT;
	return g;
}

static void group_free(void *opaque)
{
	struct rule_group *g = opaque;

	g_free(g->where);
	g_free(g->domain);
	g_free(g->socket);
	g_free(g->program);
	g_strfreev(g->options);
	g_free(g);
}

static bool fail(GError **error, const char *why)
{
	g_set_error_literal(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, why);
	return false;
}

/* Refuses unknown placeholders; notes whether params are needed. */
static bool check_template(struct rule_group *g, const char *value, GError **error)
{
	for (const char *p = value; p && (p = strchr(p, '%')); p += 2) {
		if (!p[1] || !strchr("ndipru%", p[1]))
			return fail(error, "one of n, d, i, p, r, u, % after each percent sign");
		g->params = g->params || p[1] == 'p';
	}
	return true;
}

/* Sets the options: every argument has to begin with a dash of the rule's own. */
static bool set_options(struct rule_group *g, const char *raw, GError **error)
{
	g->options = rule_text_list(raw, error);
	if (!g->options)
		return false;
	for (char **o = g->options; *o; o++) {
		if (**o != '-')
			return fail(error, "options that begin with a dash");
		if (!check_template(g, *o, error))
			return false;
	}
	return true;
}

static bool set_value(struct rule_group *g, const char *key, const char *value, GError **error)
{
	const struct option_entry keys[] = {
		{ "domain", .string = &g->domain },
		{ "node", .word = &g->node, .words = node_words },
		{ "devid", .number = &g->devid, .max = INT_MAX },
		{ "mode", .word = &g->mode, .words = mode_words },
		{ "type", .number = &g->type, .min = 1 },
		{ "socket", .string = &g->socket },
		{ "program", .string = &g->program },
		{ "wait", .number = &g->wait, .min = 1, .max = MAX_WAIT_S },
	};

	if (!*value)
		return fail(error, "a value");
	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
		if (strcmp(key, keys[i].name) == 0)
			return option_set(&keys[i], value, error);
	return fail(error, "there is no such key");
}

static bool set_socket(struct rule_group *g, GError **error)
{
	return *g->socket == '/' ? check_template(g, g->socket, error)
				 : fail(error, "an absolute path");
}

/* Sets a key. The error is that of backend_keys_set(), or "invalid key=value: ...". */
static bool set_key(
	struct rule_group *g, GKeyFile *file, const char *name, const char *key, GError **error)
{
	g_autofree char *raw = g_key_file_get_value(file, name, key, NULL);
	g_autofree char *value = NULL;
	bool ok;

	if (strcmp(key, "options") == 0) {
		ok = set_options(g, raw, error);
	} else {
		value = rule_text_string(raw, error);
		if (value && backend_keys_has(key))
			return backend_keys_set(&g->keys, key, value, error);
		ok = value && set_value(g, key, value, error) &&
			(strcmp(key, "socket") != 0 || set_socket(g, error));
	}
	if (!ok)
		g_prefix_error(error, "invalid %s=%s: ", key, raw);
	return ok;
}

/*
 * Tells whether it is overridden: of a key that is given again only the last value counts, as
 * everywhere in key files.
 */
static bool is_overridden(const struct rule_group *g, char **keys, unsigned i)
{
	for (unsigned j = i + 1; keys[j]; j++) {
		if (strcmp(backend_keys_name(keys[i]), backend_keys_name(keys[j])) != 0)
			continue;
		log_warning(NULL, "%s: %s= is given twice: the last one counts", g->where,
			backend_keys_name(keys[i]));
		return true;
	}
	return false;
}

static bool read_group(struct rule_group *g, GKeyFile *file, const char *name, GError **error)
{
	g_auto(GStrv) list = g_key_file_get_keys(file, name, NULL, error);

	for (unsigned i = 0; list && list[i]; i++) {
		if (!is_overridden(g, list, i) && !set_key(g, file, name, list[i], error)) {
			g_prefix_error(error, "%s: ", g->where);
			return false;
		}
	}
	if (!list)
		return false;
	if (!g->socket == !g->program)
		fail(error, "needs socket= or program=, and not both");
	else if (g->socket && g->options)
		fail(error, "options= is for program=");
	else
		return true;
	g_prefix_error(error, "%s: ", g->where);
	return false;
}

/* Reads a file; NULL: an error. */
static GPtrArray *read_file(const char *path, GError **error)
{
	g_autoptr(GPtrArray) groups = g_ptr_array_new_with_free_func(group_free);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) failed = NULL;
	g_auto(GStrv) names = NULL;

	if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &failed) &&
		!g_error_matches(failed, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		g_propagate_prefixed_error(error, g_steal_pointer(&failed), "%s: ", path);
		return NULL;
	}
	names = g_key_file_get_groups(file, NULL);
	for (unsigned i = 0; names[i]; i++) {
		struct rule_group *g = group_new(g_strdup_printf("%s [%s]", path, names[i]));

		g_ptr_array_add(groups, g);
		if (!read_group(g, file, names[i], error))
			return NULL;
	}
	return g_steal_pointer(&groups);
}

struct backend_rules *backend_rules_read(const char *config, const char *defaults, const char *run,
	unsigned uid_base, GError **error)
{
	g_autoptr(backend_rules) r = g_new0(struct backend_rules, 1);

	r->config = g_strdup(config);
	r->defaults = g_strdup(defaults);
	r->run = g_strdup(run);
	r->uid_base = uid_base;
	r->first = read_file(config, error);
	r->last = r->first ? read_file(defaults, error) : NULL;
	return r->last ? g_steal_pointer(&r) : NULL;
}

struct backend_rules *backend_rules_new_socket(const char *socket)
{
	g_auto(GStrv) parts = g_strsplit(socket, "%", -1);
	struct backend_rules *r = g_new0(struct backend_rules, 1);
	struct rule_group *g = group_new(g_strdup("--socket"));

	g->socket = g_strjoinv("%%", parts); /* no placeholders */
	r->first = g_ptr_array_new_with_free_func(group_free);
	r->last = g_ptr_array_new_with_free_func(group_free);
	g_ptr_array_add(r->first, g);
	return r;
}

void backend_rules_free(struct backend_rules *r)
{
	if (!r)
		return;
	g_clear_pointer(&r->first, g_ptr_array_unref);
	g_clear_pointer(&r->last, g_ptr_array_unref);
	g_free(r->config);
	g_free(r->defaults);
	g_free(r->run);
	g_free(r);
}

void backend_rule_free(struct backend_rule *r)
{
	if (!r)
		return;
	g_free(r->socket);
	g_free(r->program);
	g_strfreev(r->options);
	g_free(r->where);
	g_free(r);
}

static char *fill_in(const struct backend_rules *r, const char *value, const struct device_node *n)
{
	GString *s = g_string_new(NULL);

	for (const char *p = value; *p; p++) {
		if (*p != '%')
			g_string_append_c(s, *p);
		else if (*++p == 'n')
			g_string_append(s, n->domain);
		else if (*p == 'd')
			g_string_append_printf(s, "%u", n->domid);
		else if (*p == 'i')
			g_string_append_printf(s, "%u", n->devid);
		else if (*p == 'p')
			g_string_append(s, n->params);
		else if (*p == 'r')
			g_string_append(s, r->run);
		else if (*p == 'u')
			g_string_append_printf(
				s, "%u", r->uid_base ? r->uid_base + n->domid : NOBODY);
		else
			g_string_append_c(s, '%');
	}
	return g_string_free(s, FALSE);
}

static const struct rule_group *find(const GPtrArray *groups, const struct device_node *n)
{
	for (unsigned i = 0; i < groups->len; i++) {
		const struct rule_group *g = groups->pdata[i];

		if ((!g->domain || fnmatch(g->domain, n->domain, 0) == 0) &&
			(g->node == ANY || strcmp(node_words[g->node], n->kind) == 0) &&
			(g->devid == ANY || g->devid == n->devid) &&
			(!g->type || g->type == n->device_id) &&
			(g->mode == ANY || (g->mode == MODE_READ) == n->read_only) &&
			(!g->params || n->params))
			return g;
	}
	return NULL;
}

static struct backend_rule *apply(const struct backend_rules *all, const struct rule_group *g,
	const struct device_node *n, GError **error)
{
	g_autoptr(backend_rule) r = g_new0(struct backend_rule, 1);
	unsigned n_options = g->options ? g_strv_length(g->options) : 0;
	const struct backend_keys *k = &g->keys;

	r->where = g_strdup(g->where);
	r->front = (struct vu_front_options){
		.probe = k->probe,
		.packed = k->packed,
		.device_id = k->device_id,
		.config_size =
			k->config_size == BACKEND_CONFIG_SIZE_UNSAID ? -1 : (int32_t)k->config_size,
		.queues = k->queues,
	};
	r->queue_size = k->queue_size;
	r->wait_ms = g->wait * 1000;
	if (g->socket) {
		r->socket = fill_in(all, g->socket, n);
		return g_steal_pointer(&r);
	}
	r->program = g_path_is_absolute(g->program) ? g_strdup(g->program)
						    : discovery_find(g->program, NULL, error);
	if (!r->program) {
		g_prefix_error(error, "%s: ", g->where);
		return NULL;
	}
	r->options = g_new0(char *, n_options + 1);
	for (unsigned i = 0; i < n_options; i++)
		r->options[i] = fill_in(all, g->options[i], n);
	return g_steal_pointer(&r);
}

struct backend_rule *backend_rules_find(
	const struct backend_rules *r, const struct device_node *n, GError **error)
{
	const struct rule_group *g = find(r->first, n);
	g_autofree char *socket = g_strdup_printf("%s/%s/%u.sock", r->run, n->domain, n->devid);

	if (!g && g_file_test(socket, G_FILE_TEST_EXISTS)) {
		struct backend_rule *found = g_new0(struct backend_rule, 1);

		found->where = g_strdup(r->run);
		found->socket = g_steal_pointer(&socket);
		found->front.config_size = -1;
		return found;
	}
	g = g ? g : find(r->last, n);
	if (g)
		return apply(r, g, n, error);
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
		"no back-end: %s and %s have no group for it, and there is no '%s'", r->config,
		r->defaults, socket);
	return NULL;
}

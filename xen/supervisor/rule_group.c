/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the groups of a rule file, and checks each key and value. */
#include "xen/supervisor/rule_group.h"

#include <fnmatch.h>
#include <string.h>

#include "base/log.h"
#include "base/option.h"
#include "launch/rule_text.h"

#define MAX_WAIT_S 3600
#define ANY UINT_MAX

enum { MODE_READ, MODE_WRITE };

static const char *const mode_words[] = { "r", "w", NULL };
static const char *const node_words[] = { "virtio", "virtio_disk", NULL };

struct rule_group *rule_group_new(char *where)
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

GPtrArray *rule_groups_new(void)
{
	return g_ptr_array_new_with_free_func(group_free);
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

GPtrArray *rule_groups_read(const char *path, GError **error)
{
	g_autoptr(GPtrArray) groups = rule_groups_new();
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
		struct rule_group *g = rule_group_new(g_strdup_printf("%s [%s]", path, names[i]));

		g_ptr_array_add(groups, g);
		if (!read_group(g, file, names[i], error))
			return NULL;
	}
	return g_steal_pointer(&groups);
}

bool rule_group_matches(const struct rule_group *g, const struct device_node *n)
{
	return (!g->domain || fnmatch(g->domain, n->domain, 0) == 0) &&
		(g->node == ANY || strcmp(node_words[g->node], n->kind) == 0) &&
		(g->devid == ANY || g->devid == n->devid) &&
		(!g->type || g->type == n->device_id) &&
		(g->mode == ANY || (g->mode == MODE_READ) == n->read_only) &&
		(!g->params || n->params);
}

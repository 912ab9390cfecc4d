/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the rule of a device, and replaces its placeholders. The toolstack's strings (a domain's
 * name, params) come after the values were split into arguments, and are not interpreted: whatever
 * they contain, an argument remains one argument, and begins as in the rule.
 */
#include "xen/supervisor/backend_rules.h"

#include "launch/discovery.h"
#include "xen/supervisor/rule_group.h"

#define NOBODY 65534

struct backend_rules {
	char *config, *defaults, *run;
	unsigned uid_base;
	GPtrArray *first, *last; /* struct rule_group, of config and of defaults */
};

struct backend_rules *backend_rules_read(const char *config, const char *defaults, const char *run,
	unsigned uid_base, GError **error)
{
	g_autoptr(backend_rules) r = g_new0(struct backend_rules, 1);

	r->config = g_strdup(config);
	r->defaults = g_strdup(defaults);
	r->run = g_strdup(run);
	r->uid_base = uid_base;
	r->first = rule_groups_read(config, error);
	r->last = r->first ? rule_groups_read(defaults, error) : NULL;
	return r->last ? g_steal_pointer(&r) : NULL;
}

struct backend_rules *backend_rules_new_socket(const char *socket)
{
	g_auto(GStrv) parts = g_strsplit(socket, "%", -1);
	struct backend_rules *r = g_new0(struct backend_rules, 1);
	struct rule_group *g = rule_group_new(g_strdup("--socket"));

	g->socket = g_strjoinv("%%", parts); /* no placeholders */
	r->first = rule_groups_new();
	r->last = rule_groups_new();
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
	for (unsigned i = 0; i < groups->len; i++)
		if (rule_group_matches(groups->pdata[i], n))
			return groups->pdata[i];
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

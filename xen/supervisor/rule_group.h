/* SPDX-License-Identifier: Apache-2.0 */
/* A group of a rule file (its format: backend_rules.h), before placeholders are replaced. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "launch/backend_keys.h"
#include "xen/supervisor/device_node.h"

struct rule_group {
	char *where;
	/* Which devices it is for. */
	char *domain; /* glob; NULL: all */
	unsigned node; /* index of node_words; UINT_MAX: all */
	unsigned devid, mode; /* UINT_MAX: all */
	unsigned type; /* 0: any */
	bool params; /* uses %p: only devices that have params */
	/* Their back-end, with placeholders. */
	char *socket, *program;
	char **options;
	struct backend_keys keys;
	unsigned wait; /* 0: not set */
};

/* Takes over where. The group is for all devices, and names no back-end. */
struct rule_group *rule_group_new(char *where);
/* Returns a list that frees its groups. */
GPtrArray *rule_groups_new(void);
/* Reads a file; one that is missing counts as empty. NULL: an error. */
GPtrArray *rule_groups_read(const char *path, GError **error);
/* Tells whether the group is for that device. */
bool rule_group_matches(const struct rule_group *g, const struct device_node *n);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device's back-end: a socket to connect to, or a program that is started when needed,
 * restarted after its death (at most once a second), and ended with the device. Main loop only;
 * never waits.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "xen/supervisor/device_node.h"
#include "xen/supervisor/backend_rules.h"

struct backend_process;
typedef struct backend_process backend_process; /* for g_autoptr */

/*
 * Searches the rules at each attempt, as a socket may appear later. name: for messages. Copies n
 * and name, keeps r.
 */
struct backend_process *backend_process_new(
	const struct backend_rules *r, const struct device_node *n, const char *name);
void backend_process_free(struct backend_process *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(backend_process, backend_process_free)

/* Returns a connected socket, which the caller owns; -1 with an error: try again later. */
int backend_process_connect(struct backend_process *s, GError **error);
/* Returns the rule of the last attempt; NULL: none matched yet. */
const struct backend_rule *backend_process_rule(const struct backend_process *s);

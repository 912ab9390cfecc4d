/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device's back-end: a socket to dial, or a program of ours that is started when it is needed,
 * again after it has died (at most once a second), and ended with the device. Main loop only; never
 * waits.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "xen/supervisor/device_node.h"
#include "xen/supervisor/backend_rules.h"

struct backend_process;
typedef struct backend_process backend_process; /* for g_autoptr */

/* Looks in r anew at each attempt until one fits: a socket may come later. name: for messages. */
struct backend_process *backend_process_new(
	const struct backend_rules *r, const struct device_node *n, const char *name);
void backend_process_free(struct backend_process *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(backend_process, backend_process_free)

/* A connected socket, the caller's. -1, with an error: not now; try again later. */
int backend_process_connect(struct backend_process *s, GError **error);
/* The rule of the last attempt; NULL: none fits yet. */
const struct backend_rule *backend_process_rule(const struct backend_process *s);

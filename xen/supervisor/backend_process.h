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
#include "xen/supervisor/rules.h"

struct source;
typedef struct source source; /* for g_autoptr */

/* Looks in r anew at each attempt until one fits: a socket may come later. name: for messages. */
struct source *source_new(const struct rules *r, const struct node *n, const char *name);
void source_free(struct source *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(source, source_free)

/* A connected socket, the caller's. -1, with an error: not now; try again later. */
int source_connect(struct source *s, GError **error);
/* The rule of the last attempt; NULL: none fits yet. */
const struct rule *source_rule(const struct source *s);

/* SPDX-License-Identifier: Apache-2.0 */
/* OpenMetrics 1.0 text of what daemons answer to "stats". */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/json_read.h"

struct metrics;
typedef struct metrics metrics; /* for g_autoptr */

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);
/* Adds a daemon by what it answered; false: that makes no sense, and nothing is added. */
bool metrics_add(struct metrics *m, const char *path, const struct json_value *result);
/* Adds one that did not answer. */
void metrics_add_silent(struct metrics *m, const char *path);
/* Returns the text, which the caller frees. */
char *metrics_text(struct metrics *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(metrics, metrics_free)

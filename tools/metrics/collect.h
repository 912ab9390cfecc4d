/* SPDX-License-Identifier: Apache-2.0 */
/* What all daemons count, as text; those that are silent delay nobody for long. */
#pragma once

#include <glib.h>

struct collector;

/* paths: of control sockets; the caller keeps them. */
struct collector *collector_new(char *const *paths);
void collector_free(struct collector *c);
/*
 * Asks all, and returns OpenMetrics text, which the caller frees. Waits for at most a second; not
 * for those whose answers to an earlier question are still to come.
 */
char *collector_text(struct collector *c);

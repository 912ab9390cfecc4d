/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP, by libmicrohttpd: GET /metrics, and nothing else. Clients are hostile: their number, the
 * memory of each and the time that a connection lasts are limited, and none waits for another.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct metrics_server;

/* text: returns what /metrics is now, which is freed; it is asked once a second at the most. */
struct metrics_server *metrics_server_new(
	int listener, char *(*text)(void *opaque), void *opaque, GError **error);
void metrics_server_free(struct metrics_server *s);
/* What is readable when there is something to do. */
int metrics_server_fd(const struct metrics_server *s);
/* Returns for how many ms at most that may be waited for; -1: without a limit. */
int metrics_server_timeout(const struct metrics_server *s);
/* Does what is to do, without waiting. */
void metrics_server_run(struct metrics_server *s);

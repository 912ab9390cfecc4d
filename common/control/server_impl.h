/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the control socket share. */
#pragma once

#include "control/server.h"

#define CONTROL_MAX_CLIENTS 16
#define CONTROL_MAX_LINE (64u << 10) /* bytes of a request */
#define CONTROL_MAX_BACKLOG (64u << 10) /* bytes that are not sent yet: no event is added */

/* client.c */

struct control_client *control_client_new(struct control_server *s, int fd);
/* Its job, if it has one, goes on. */
void control_client_free(struct control_client *client);
/* Serves, sends and waits for more; may free the client. */
void control_client_pump(struct control_client *client);
/* Sends a line that is an event; may free the client. */
void control_client_event(struct control_client *client, const char *line, size_t len);

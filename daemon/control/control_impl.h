/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the control socket share. */
#pragma once

#include "base/util.h"
#include "control/request.h"
#include "control/server.h"
#include "daemon/control/control.h"

/* A method of the device that was asked for. */
struct control_job {
	struct backend_call call; /* the first member */
	struct control *control;
	struct control_client *client; /* NULL: it has left */
	char *line; /* what request and call point into */
	struct control_request request;
	struct json json; /* the reply */
};

struct control {
	struct control_server server;
	struct backend *backend;
	struct server *daemon;
	GQueue jobs; /* of struct control_job, in their order */
	bool running; /* the first one does */
	bool starting; /* start() is at work */
};

static inline struct control *control_of(const struct control_client *client)
{
	return container_of(client->server, struct control, server);
}

/* control.c */

/* Queues a method of the device, and runs it when those before it are done. */
void control_add_job(struct control *c, struct control_job *job);
/* Whether any client gets events has changed. */
void control_update_events(struct control *c);

/* methods.c: answers a line, or makes it a job. */
void control_serve_line(struct control_client *client, const char *line, size_t len);
